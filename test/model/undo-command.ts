import assert from 'node:assert/strict';
import { command, type ModelCommand } from './command.js';
import { linesOf, type Model } from './model.js';
import { adoptRestored } from './reachability.js';
import { undoRewind } from './rewind-commands.js';
import { scan, type World } from './world.js';

/** Takes back what the newest run did: a repair's, the background worker's, or another undo's. */
export function undoLast(): ModelCommand {
  return command({
    name: 'undo',
    possible: (model) => model.isUp && !model.isFull && model.away === null,
    async act(model, world) {
      const { runs } = await world.daemon.call('list_repairs', { ...world.id, limit: 1 });
      const [run] = runs;
      if (run === undefined) return '(no run)';
      if (run.rewind_to !== null) return await undoRewind(model, world, run.run_id);
      const result = await world.daemon.call('undo_repair', { run_id: run.run_id });
      assert.ok('undoes' in result);
      assert.deepEqual(result.errors, []);
      const pathsBy = (verdict: string): Set<string> =>
        new Set(result.undone.filter((one) => one.verdict === verdict).map(({ path }) => path));
      forgetRemoved(model, world, pathsBy('remove'));
      const back = pathsBy('restore_from_cst');
      const added = adoptRestored(model, world);
      for (const path of added)
        assert.ok(back.has(path) || model.entry(path).kind === 'folder', `${path} came by an undo`);
      return `${run.origin} (${result.message})`;
    },
  });
}

/** Only what it says it has removed is gone, and folders with nothing else in them. */
function forgetRemoved(model: Model, world: World, removed: ReadonlySet<string>): void {
  const now = linesOf(scan(world.root));
  for (const path of model.tree.keys()) {
    if (now[path] !== undefined) continue;
    const isFolder = model.entry(path).kind === 'folder';
    assert.ok(removed.has(path) || isFolder, `${path} went by an undo that does not name it`);
    model.tree.delete(path);
  }
}
