import { command, type ModelCommand } from './command.js';
import type { Model } from './model.js';
import { mountPoint, scan, type World } from './world.js';

/** What git does to the tree is git's business: the model looks at what came out. */

function adopt(model: Model, world: World): void {
  model.adoptCheckout(scan(world.root), world.tracked());
}

/** Where a run's one repository may begin: with the project, or with a folder in it, which may be a mount of its own. */
export type GitFolder = '' | typeof mountPoint;

/** The first commit makes the repository. */
export function commitAll(folder: GitFolder): ModelCommand {
  return command({
    name: 'git commit',
    possible: (model) => model.away === null,
    act(model, world) {
      if (world.gitFolder === null) {
        world.gitFolder = folder;
        world.git('init', '--quiet', '--initial-branch', 'main');
      }
      model.gitFolder = world.gitFolder;
      world.git('add', '--all');
      world.git('commit', '--quiet', '--allow-empty', '--message', 'a state');
      adopt(model, world);
      return world.gitFolder;
    },
  });
}

/** Another branch is made where it is checked out first, from what is there. */
export function checkout(branch: 'main' | 'other'): ModelCommand {
  return command({
    name: `git checkout ${branch}`,
    possible: (model) => model.gitFolder !== null && model.away === null,
    act(model, world) {
      const isKnown = world.git('branch', '--list', branch) !== '';
      const flags = isKnown ? ['--quiet'] : ['--quiet', '-b'];
      let what = '';
      try {
        world.git('checkout', ...flags, branch);
      } catch {
        what = '(refused)';
      }
      adopt(model, world);
      return what;
    },
  });
}
