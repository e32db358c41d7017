import assert from 'node:assert/strict';
import { waitFor } from '../harness/waiting.js';
import { command, type ModelCommand, picked, type Pick } from './command.js';
import { killDaemon, settle, startDaemon } from './daemon-commands.js';
import { isBelow, linesOf, type Model, type Moment } from './model.js';
import { scan, type World } from './world.js';

/** Checkpoints, and what a rewind to one of them must and must not do. */

type Lines = Readonly<Record<string, string>>;

const isWell = (model: Model): boolean =>
  model.isUp && !model.isFull && model.away === null && model.strange.size === 0;

export function checkpoint(): ModelCommand {
  return command({
    name: 'checkpoint',
    possible: (model) => isWell(model) && model.isWatched,
    async act(model, world) {
      const { checkpoint_id } = await world.daemon.call('create_checkpoint', world.id);
      // It is made once the index is up to date.
      await settle(model, world);
      model.moments.set(checkpoint_id, momentOf(model));
      return checkpoint_id;
    },
  });
}

function momentOf(model: Model): Moment {
  const paths = model.paths('file', 'symlink', 'folder');
  return { lines: linesOf(model.tree), content: new Set(paths.filter((path) => model.isContent(path))) };
}

function chosen(model: Model, pick: Pick): { id: string; moment: Moment } {
  const id = picked([...model.moments.keys()], pick);
  return { id, moment: model.moments.get(id) ?? assert.fail('there is no such checkpoint') };
}

/** There, and back again at once; or not back. */
export function rewindTo(pick: Pick, isUndone: boolean): ModelCommand {
  return command({
    name: isUndone ? 'rewind and undo' : 'rewind',
    possible: (model) => isWell(model) && model.moments.size > 0,
    async act(model, world) {
      const { id, moment: then } = chosen(model, pick);
      const now = momentOf(model);
      const dry = await world.daemon.call('rewind', { ...world.id, to: id, dry_run: true });
      assert.deepEqual(linesOf(scan(world.root)), now.lines, 'a dry run writes nothing');
      const done = await world.daemon.call('rewind', { ...world.id, to: id });
      assert.ok('totals' in dry && 'totals' in done);
      assert.deepEqual(done.errors, []);
      const rewound = pathsOf(done.restored, done.reverted, done.removed);
      assert.deepEqual(rewound, pathsOf(dry.restored, dry.reverted, dry.removed));
      const left = new Set(pathsOf(done.conflicts, done.unknown, done.unrestorable, done.untouched));
      const after = linesOf(scan(world.root));
      assertReached(after, then.lines, (path) => left.has(path) || isUnfollowed(path, then, now));
      adopt(model, world);
      const words = `${id} (${done.message})`;
      if (!isUndone || rewound.length === 0) return words;
      const undone = await world.daemon.call('undo_repair', { run_id: done.run_id });
      assert.ok('kept' in undone);
      assert.deepEqual([undone.errors, undone.kept], [[], []]);
      assertReached(linesOf(scan(world.root)), now.lines, () => false);
      adopt(model, world);
      return words;
    },
  });
}

/** Killed in the middle, and brought to its end, or not begun: each file is what it was before, or then. */
export function cutOffRewind(pick: Pick): ModelCommand {
  return command({
    name: 'rewind, kill -9, start',
    possible: (model) => isWell(model) && model.moments.size > 0,
    async act(model, world) {
      const { id, moment: then } = chosen(model, pick);
      const now = momentOf(model);
      const rewinding = world.daemon.call('rewind', { ...world.id, to: id }).then(
        () => 'ended',
        () => 'cut off',
      );
      const begun = waitFor(
        'the rewind begins',
        async () => (await world.daemon.call('health')).repair !== null,
      ).catch(() => undefined);
      await Promise.race([begun, rewinding]);
      await killDaemon(model, world);
      const how = await rewinding;
      await startDaemon(model, world);
      // A start is complete, with what it had to finish, when a comparison is answered.
      await world.daemon.call('update_indexes', world.id);
      const after = linesOf(scan(world.root));
      assertReached(after, then.lines, (path) => after[path] === now.lines[path]);
      adopt(model, world);
      return `${id} ${how}`;
    },
  });
}

/** Rules, and what is below an ignored folder, keep what they ignore at either time out of it. */
function isUnfollowed(path: string, then: Moment, now: Moment): boolean {
  return [then, now].some(({ lines, content }) => lines[path] !== undefined && !content.has(path));
}

/** A folder is no state of its own while something is in it; it goes, comes and has its mode as what is in it needs it. */
function assertReached(after: Lines, wanted: Lines, isExcused: (path: string) => boolean): void {
  const isFolder = (line: string | undefined): boolean => line === undefined || line.startsWith('folder');
  const differing = [...new Set([...Object.keys(after), ...Object.keys(wanted)])]
    .filter((path) => after[path] !== wanted[path] && !(isFolder(after[path]) && isFolder(wanted[path])))
    .filter((path) => !isExcused(path));
  assert.deepEqual(
    differing.map((path) => `${path}: ${after[path]} instead of ${wanted[path]}`),
    [],
    'a rewind makes the project what it was',
  );
}

function pathsOf(...lists: readonly (readonly { path: string }[])[]): string[] {
  return lists.flat().map(({ path }) => path);
}

/** What a rewind left is what the user has now. */
export function adopt(model: Model, world: World): void {
  model.tree = scan(world.root);
  model.note();
}

/** Takes a rewind back: what it says it has undone has changed, and nothing else. */
export async function undoRewind(model: Model, world: World, runId: string): Promise<string> {
  const before = linesOf(model.tree);
  const result = await world.daemon.call('undo_repair', { run_id: runId });
  assert.ok('undoes' in result);
  assert.deepEqual(result.errors, []);
  const undone = result.undone.map(({ path }) => path);
  const after = linesOf(scan(world.root));
  assertReached(after, before, (path) => undone.some((one) => one === path || isBelow(path, one)));
  adopt(model, world);
  return `rewind (${result.message})`;
}
