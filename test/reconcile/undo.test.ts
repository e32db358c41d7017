import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { readXattrs, writeXattrs } from '#src/base/xattrs.js';
import { deleteFile } from '#src/reconcile/delete-file.js';
import { renderContent } from '#src/store/contents.js';
import { requireRuns } from '#src/store/journal.js';
import { snapshot, TestProject } from './project-fixture.js';

/** A file, a symlink, or an empty folder; two of them alike, and one in a folder for its owner alone. */
const entries = {
  'a.py': 'file',
  'd/a.py': 'file',
  'd/e/b.py': 'file',
  'd/e/link': 'symlink',
  'd/empty': 'folder',
  'private/c.txt': 'file',
} as const;
type Path = keyof typeof entries;
const paths = Object.keys(entries) as Path[];

/** What became of an entry before the repair. `deleted` was seen to go, and a repair may want it back. */
type Loss = 'none' | 'lost' | 'deleted' | 'asked' | 'kept';
/** What somebody did to it after the repair. */
type Edit = 'none' | 'append' | 'anew' | 'chmod' | 'touch' | 'remove' | 'replace' | 'rename over';

function build(project: TestProject): void {
  for (const [path, kind] of Object.entries(entries)) {
    mkdirSync(dirname(project.at(path)), { recursive: true });
    if (kind === 'symlink') symlinkSync('../a.py', project.at(path));
    else if (kind === 'folder') mkdirSync(project.at(path));
    else project.write(path, `content of ${path.endsWith('a.py') ? 'a' : path}\n`, 0o640);
  }
  chmodSync(project.at('private'), 0o700);
}

async function lose(project: TestProject, path: Path, loss: Loss): Promise<void> {
  if (loss === 'none') return;
  if (loss === 'asked' && entries[path] !== 'folder') return void (await deleteFile(project.context(), path));
  rmSync(project.at(path), { recursive: true });
  if (loss === 'deleted') await project.follow(path);
  // Only in versions: a repair marks it.
  if (loss === 'kept' && entries[path] === 'file') {
    mkdirSync(dirname(project.versions.pathOf(path)), { recursive: true });
    writeFileSync(project.versions.pathOf(path), `content of ${path.endsWith('a.py') ? 'a' : path}\n`);
  }
}

function edit(project: TestProject, path: string, how: Edit): void {
  const absolute = project.at(path);
  const isFile = existsSync(absolute) && lstatSync(absolute).isFile();
  if (how === 'none' || !isFile) return;
  if (how === 'append') appendFileSync(absolute, 'more\n');
  else if (how === 'chmod') chmodSync(absolute, 0o600);
  else if (how === 'touch') utimesSync(absolute, 1, 1);
  else if (how === 'remove') unlinkSync(absolute);
  else if (how === 'replace') {
    unlinkSync(absolute);
    mkdirSync(absolute);
  } else {
    const bytes = how === 'anew' ? readFileSync(absolute) : 'another save\n';
    writeFileSync(`${absolute}.new`, bytes);
    renameSync(`${absolute}.new`, absolute);
  }
}

/** Entries at the paths, and the folders that are there. */
const treeOf = (project: TestProject): Record<string, string> => snapshot(project.root);

const losses = fc.constantFrom<Loss[]>('none', 'lost', 'lost', 'deleted', 'asked', 'kept');
const edits = fc.constantFrom<Edit[]>(
  'none',
  'none',
  'append',
  'anew',
  'chmod',
  'touch',
  'remove',
  'replace',
  'rename over', // prettier-ignore
);
const each = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<Map<Path, T>> =>
  fc.tuple(...paths.map(() => of)).map((chosen) => new Map(paths.map((path, at) => [path, chosen[at] as T])));

/** All that was ever indexed can be had: from the index, as nothing is damaged here. */
function assertNothingLost(project: TestProject, hashes: ReadonlySet<string>): void {
  for (const hash of hashes) assert.ok('bytes' in renderContent(project.index, hash), hash);
}

test('an undo brings back what was before a repair, but for what somebody did since; and an undo of it what was after it', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      each(losses),
      each(edits),
      fc.boolean(),
      fc.boolean(),
      async (lost, edited, wantsDeleted, isFollowed) => {
        const cleaning: (() => void)[] = [];
        const project = new TestProject({ after: (fn: () => void) => cleaning.push(fn) });
        try {
          build(project);
          await project.reconcile();
          const hashes = new Set([...project.rows().values()].flatMap(({ sha256 }) => sha256 ?? []));
          for (const [path, loss] of lost) await lose(project, path, loss);
          const before = treeOf(project);
          await project.repair({ deletedSince: wantsDeleted ? 0 : null });
          const run = project.lastRun;
          const after = treeOf(project);
          for (const [path, how] of edited) edit(project, path, how);
          const changed = treeOf(project);
          if (isFollowed) await project.follow(...paths.filter((path) => changed[path] !== after[path]));
          const { planned, outcome } = await project.undo(run);
          assert.deepEqual([outcome.errors, outcome.conflicts], [[], []]);
          assert.deepEqual(
            outcome.done.map(({ path }) => path).sort(),
            planned.actions.map(({ path }) => path).sort(),
          );
          const undone = treeOf(project);
          for (const path of paths) {
            const isKept = planned.kept.some((one) => one.path === path) || changed[path] !== after[path];
            const isTouched = edited.get(path) !== 'none' && entries[path] === 'file';
            if (isTouched || isKept) assert.equal(undone[path], changed[path], `${path} is somebody's`);
            else assert.equal(undone[path], before[path], `${path} as before`);
          }
          for (const path of Object.keys(undone))
            if (!(path in before)) assert.ok(path in changed, `${path} was not made by the undo`);
          assertNothingLost(project, hashes);
          if (planned.actions.length === 0) return;
          const again = await project.planUndo(run);
          assert.deepEqual([again.actions, again.kept], [[], []], 'it is undone');
          // Nothing that went by the undo is a loss to the next repair.
          const went = new Set(
            planned.actions.filter(({ verdict }) => verdict === 'remove').map(({ path }) => path),
          );
          const { plan } = await project.plan();
          const back = plan.actions.filter(
            ({ path, targets }) => went.has(path) && targets.includes('project'),
          );
          assert.deepEqual(back, []);
          const undo = project.lastRun;
          assert.equal(undo.undoes, run.runId);
          const redone = await project.undo(undo);
          assert.deepEqual(
            [redone.outcome.errors, redone.outcome.conflicts, redone.planned.kept],
            [[], [], []],
          );
          assert.deepEqual(treeOf(project), changed, 'as it was before the undo');
          assertNothingLost(project, hashes);
        } finally {
          for (const clean of cleaning.reverse()) clean();
        }
      },
    ),
    { numRuns: 60 },
  );
  t.diagnostic('60 projects');
});

test('a file that is too large to be stored goes where its only copy was, and comes back', async (t) => {
  const project = new TestProject(t);
  project.maxFileBytes = 10;
  project.write('large', 'more than ten bytes\n');
  await project.reconcile();
  await deleteFile(project.context(), 'large');
  const row = project.row('large');
  await project.index.write(() => {
    project.index.sql("UPDATE files SET cause = 'seen' WHERE id = ?").run(row.id);
  });
  await project.repair({ deletedSince: 0 });
  const run = project.lastRun;
  assert.deepEqual([project.has('large'), existsSync(project.versions.pathOf('large'))], [true, false]);
  await project.undo(run);
  assert.deepEqual([project.has('large'), existsSync(project.versions.pathOf('large'))], [false, true]);
  assert.deepEqual(project.marks().deleted, ['large']);
  await project.undo(project.lastRun);
  assert.equal(project.read('large'), 'more than ten bytes\n');
});

test('where the root is another folder everything stays', async (t) => {
  const project = new TestProject(t);
  for (const path of ['a', 'b', 'c', 'd']) project.write(path);
  await project.reconcile();
  project.remove('a');
  await project.repair();
  const run = project.lastRun;
  renameSync(project.root, `${project.root}-right`);
  mkdirSync(project.root);
  const { actions, kept } = await project.planUndo(run);
  assert.deepEqual([actions, kept.map(({ path }) => path)], [[], ['a']]);
  assert.match(kept[0]?.reason ?? '', /not the one that was registered/u);
});

test('an undo that was cut off is finished by the next start', async (t) => {
  const project = new TestProject(t);
  for (const path of ['a', 'b', 'c']) project.write(path);
  project.write('stays');
  await project.reconcile();
  for (const path of ['a', 'b', 'c']) project.remove(path);
  await project.repair();
  const run = project.lastRun;
  const planned = await project.planUndo(run);
  await project.cutOffUndo(planned);
  // One was removed, and nothing was said of it.
  project.remove('b');
  await project.repair();
  assert.deepEqual(project.marks(), { active: ['stays'], deleted: ['a', 'b', 'c'] });
  assert.equal(requireRuns(project.index, planned.undoes).length, 1);
  assert.deepEqual(Object.keys(snapshot(project.root)), ['stays']);
});

test('what somebody put back while a repair ran is not called restored, and no undo takes it away', async (t) => {
  const project = new TestProject(t);
  for (const path of ['a', 'b']) project.write(path);
  await project.reconcile();
  // With its time and all, as mv and cp -a do it.
  renameSync(project.at('a'), `${project.folder}/kept`);
  project.remove('b');
  const planned = await project.plan();
  renameSync(`${project.folder}/kept`, project.at('a'));
  const { done, conflicts, errors } = await project.execute(planned);
  assert.deepEqual(
    [done.map(({ path }) => path), conflicts.map(({ path }) => path), errors],
    [['b'], ['a'], []],
  );
  const { outcome } = await project.undo(project.lastRun);
  assert.deepEqual(
    outcome.done.map(({ path }) => path),
    ['b'],
  );
  assert.deepEqual([project.has('a'), project.has('b')], [true, false]);
});

test('an undo keeps files whose owner or attributes somebody changed since', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root gives files away');
  const project = new TestProject(t);
  for (const path of ['owner', 'group', 'note', 'plain']) project.write(path);
  await project.reconcile();
  for (const path of ['owner', 'group', 'note', 'plain']) project.remove(path);
  await project.repair();
  const run = project.lastRun;
  chownSync(project.at('owner'), 1, 0);
  chownSync(project.at('group'), 0, 1);
  writeXattrs(project.at('note'), { 'user.note': Buffer.from('x').toString('base64') });
  const hasXattrs = readXattrs(project.at('note')) !== null;
  const { kept, actions } = await project.planUndo(run);
  assert.deepEqual(
    kept.map(({ path }) => path).sort(),
    hasXattrs ? ['group', 'note', 'owner'] : ['group', 'owner'],
  );
  assert.deepEqual(actions.map(({ path }) => path).sort(), hasXattrs ? ['plain'] : ['note', 'plain']);
  return undefined;
});
