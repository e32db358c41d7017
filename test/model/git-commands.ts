import { command, type ModelCommand } from './command.js';
import type { Model } from './model.js';
import { scan, type World } from './world.js';

/** What git does to the tree is git's business: the model looks at what came out. */

const canUseGit = (model: Model): boolean => model.hasGit && model.away === null;

function adopt(model: Model, world: World): void {
  model.adoptCheckout(scan(world.root), world.tracked());
}

/** The first commit makes the repository. */
export function commitAll(): ModelCommand {
  return command({
    name: 'git commit',
    possible: (model) => model.away === null,
    act(model, world) {
      if (!model.hasGit) world.git('init', '--quiet', '--initial-branch', 'main');
      model.hasGit = true;
      world.git('add', '--all');
      world.git('commit', '--quiet', '--allow-empty', '--message', 'a state');
      adopt(model, world);
      return '';
    },
  });
}

/** Another branch is made where it is checked out first, from what is there. */
export function checkout(branch: 'main' | 'other'): ModelCommand {
  return command({
    name: `git checkout ${branch}`,
    possible: canUseGit,
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
