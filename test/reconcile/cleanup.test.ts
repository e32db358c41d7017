/** Deleted files are let go on request: rows, states, contents, and every copy; what a checkpoint has or nobody can prove stays. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Cleanup, type CleanupOptions, cleanUpDeleted } from '#src/reconcile/cleanup.js';
import { deleteFile } from '#src/reconcile/delete-file.js';
import { forgetFiles } from '#src/reconcile/forget.js';
import { executeRewind, planRewind, planRewindUndo } from '#src/reconcile/repair/rewind.js';
import { insertCheckpoint } from '#src/store/checkpoints.js';
import { renderContent } from '#src/store/contents.js';
import { forgetStates, planForget } from '#src/store/forgetting.js';
import { stateAt, statesOf } from '#src/store/history.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { packPast } from '#src/store/packing.js';
import { copies, snapshot, TestProject } from './project-fixture.js';

const work = { signal: new AbortController().signal, progress: () => undefined };
const everything = { paths: null, prefix: null };
const removedForGood = 'what it was then was removed for good';

/** What a path was, and is, the oldest first. */
function statesIn(project: TestProject, path: string): string[] {
  const states = statesOf(project.index, project.projectId, path, Number.MAX_SAFE_INTEGER, 100);
  return states.map(({ state }) => state).reverse();
}

/** Gives a moment that is indexed; what is done after it is later. */
function momentIn(project: TestProject): number {
  const at = Date.now() + 1;
  project.now = () => at + 1;
  return at;
}

async function cleanUp(
  project: TestProject,
  given: Partial<CleanupOptions> = {},
  index = project.index,
): Promise<Cleanup> {
  const now = project.now();
  const signal = new AbortController().signal;
  const options = { prefix: '', before: now + 1, isDryRun: false, now, signal, ...given };
  return await cleanUpDeleted(index, project.project, options);
}

function outcomeOf({ removed, kept }: Cleanup): [removed: string[], kept: string[]] {
  return [removed.map(({ path }) => path).sort(), kept.map(({ path }) => path).sort()];
}

test('a path that was deleted twice goes with both contents and both copies, and may come again', async (t) => {
  const project = new TestProject(t);
  for (const path of ['kept', 'a.py', 'folder/b']) project.write(path);
  await project.reconcile();
  project.remove('a.py');
  await project.reconcile();
  project.write('a.py', 'another\n');
  await project.reconcile();
  for (const path of ['a.py', 'folder']) project.remove(path);
  await project.reconcile();
  assert.equal(Object.keys(copies(project)).length, 3);

  const looking = IndexDatabase.openReadOnly(project.index.path);
  t.after(() => looking.close());
  const said = await cleanUp(project, { isDryRun: true }, looking);
  assert.deepEqual(outcomeOf(said), [['a.py', 'folder/b'], []]);
  assert.equal(Object.keys(copies(project)).length, 3, 'a dry run changes nothing');
  const done = await cleanUp(project);
  assert.deepEqual(done, { ...said, tally: { ...said.tally } });
  assert.deepEqual([done.tally.deleted, done.tally.contents], [2, 3]);
  assert.deepEqual(project.marks(), { active: ['kept'], deleted: [] });
  assert.deepEqual(snapshot(project.versions.root), {}, 'no folder is left, either');
  assert.equal(project.index.sql('SELECT count(*) FROM contents').pluck().get(), 1);
  assert.deepEqual(outcomeOf(await cleanUp(project)), [[], []]);
  project.write('a.py', 'once more\n');
  await project.reconcile();
  assert.deepEqual(project.marks().active, ['a.py', 'kept']);
});

test('only what is older and below the prefix goes', async (t) => {
  const project = new TestProject(t);
  for (const path of ['a', 'b', 'folder/c']) project.write(path);
  await project.reconcile();
  project.remove('a');
  await project.reconcile();
  const between = Date.now() + 1;
  project.now = () => between + 1;
  for (const path of ['b', 'folder']) project.remove(path);
  await project.reconcile();
  assert.deepEqual(outcomeOf(await cleanUp(project, { before: between })), [['a'], []]);
  assert.deepEqual(outcomeOf(await cleanUp(project, { prefix: 'folder/' })), [['folder/c'], []]);
  assert.deepEqual(project.marks().deleted, ['b']);
});

test('what is too large for the index, an empty folder, and what has no copy go, too', async (t) => {
  const project = new TestProject(t);
  project.write('large', 'x'.repeat(project.maxFileBytes + 1));
  project.write('gone');
  mkdirSync(project.at('empty'));
  await project.reconcile();
  await deleteFile(project.context(), 'large');
  for (const path of ['gone', 'empty']) project.remove(path);
  await project.reconcile();
  rmSync(project.versions.pathOf('gone'));
  assert.deepEqual(outcomeOf(await cleanUp(project)), [['empty', 'gone', 'large'], []]);
  assert.deepEqual(snapshot(project.versions.root), {});
});

test('an empty folder in the place of what goes stays what it is, and was', async (t) => {
  const project = new TestProject(t);
  project.index.pace = { burstMs: 0, busyMs: 0 };
  project.write('f');
  await project.reconcile();
  project.remove('f');
  mkdirSync(project.at('f'), 0o750);
  await project.reconcile();
  const at = momentIn(project);
  assert.deepEqual(outcomeOf(await cleanUp(project)), [['f'], []]);
  assert.deepEqual(statesIn(project, 'f'), ['purged', 'deleted', 'folder']);
  await project.reconcile();
  assert.deepEqual(statesIn(project, 'f'), ['purged', 'deleted', 'folder']);
  project.remove('f');
  await project.reconcile();
  const planned = await planRewind(project.index, project.project, at, everything, work);
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'command', undoes: null } as const;
  await executeRewind({ index: project.index, now: Date.now, ...work }, run, planned);
  assert.deepEqual(snapshot(project.root), { f: 'folder 750' });
});

test('what a checkpoint has stays, and so does what versions have something else of', async (t) => {
  const project = new TestProject(t);
  project.write('a');
  project.write('b');
  await project.reconcile();
  project.remove('b');
  await project.reconcile();
  writeFileSync(project.versions.pathOf('b'), 'somebody wrote that\n');
  const at = Date.now() + 1;
  insertCheckpoint(project.index, project.projectId, { checkpointId: 'c1', label: null, at });
  project.now = () => at + 1_000;
  project.remove('a');
  await project.reconcile();
  const before = snapshot(project.versions.root);
  const { kept, removed } = await cleanUp(project);
  assert.deepEqual(removed, []);
  assert.deepEqual(kept, [
    { path: 'a', reason: `the checkpoint of ${new Date(at).toISOString()} has it` },
    { path: 'b', reason: 'its copy in versions is not what the index has' },
  ]);
  assert.deepEqual(snapshot(project.versions.root), before);
});

test('without the disk of the versions nothing goes', async (t) => {
  const project = new TestProject(t);
  project.write('a');
  await project.reconcile();
  project.remove('a');
  await project.reconcile();
  const { versionDir } = project.project;
  renameSync(versionDir, `${versionDir}-away`);
  assert.deepEqual(outcomeOf(await cleanUp(project)), [[], ['a']]);
  renameSync(`${versionDir}-away`, versionDir);
  assert.deepEqual(outcomeOf(await cleanUp(project)), [['a'], []]);
});

test('all but what went can be rewound to a moment before it was deleted, and what went is named', async (t) => {
  const project = new TestProject(t);
  for (const path of ['kept', 'gone', 'other']) project.write(path);
  await project.reconcile();
  const at = momentIn(project);
  for (const path of ['gone', 'other']) project.remove(path);
  project.write('kept', 'changed\n');
  await project.reconcile();
  assert.deepEqual(outcomeOf(await cleanUp(project, { prefix: 'gone' })), [['gone'], []]);
  assert.equal(project.project.forgottenAt, null);
  const stateThen = (path: string): string | undefined =>
    stateAt(project.index, project.projectId, path, at)?.state;
  assert.deepEqual(['kept', 'gone', 'other'].map(stateThen), ['file', 'purged', 'file']);

  const planned = await planRewind(project.index, project.project, at, everything, work);
  assert.deepEqual(planned.plan.unrestorable, [{ path: 'gone', reason: removedForGood }]);
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'command', undoes: null } as const;
  await executeRewind({ ...work, index: project.index, now: project.now }, run, planned);
  assert.deepEqual(
    ['kept', 'other'].map((path) => project.read(path)),
    ['content of kept\n', 'content of other\n'],
  );
  assert.deepEqual(project.marks(), { active: ['kept', 'other'], deleted: [] });
});

test('what a rewind removed and went for good is named when the rewind is taken back', async (t) => {
  const project = new TestProject(t);
  project.write('kept');
  await project.reconcile();
  const at = momentIn(project);
  for (const path of ['gone', 'other']) project.write(path);
  await project.reconcile();
  const planned = await planRewind(project.index, project.project, at, everything, work);
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'command', undoes: null } as const;
  await executeRewind({ ...work, index: project.index, now: project.now }, run, planned);
  assert.deepEqual(outcomeOf(await cleanUp(project, { before: at + 10, prefix: 'gone' })), [['gone'], []]);
  const { plan, kept } = await planRewindUndo(project.index, project.project, project.lastRun, work);
  assert.deepEqual([plan.unrestorable, kept], [[{ path: 'gone', reason: removedForGood }], []]);
  assert.deepEqual(plan.actions, [{ verdict: 'restore', path: 'other' }]);
});

test('its states stay without what they were, and go with all others in their time', async (t) => {
  const project = new TestProject(t);
  for (const text of ['one\n', 'two\n']) {
    project.write('a', text);
    await project.reconcile();
    momentIn(project);
    project.remove('a');
    await project.reconcile();
    momentIn(project);
  }
  const { tally } = await cleanUp(project, { before: Date.now() + 1_000 });
  assert.deepEqual([tally.versions, tally.deleted, tally.contents], [2, 1, 2]);
  assert.deepEqual(statesIn(project, 'a'), ['purged', 'deleted', 'purged', 'deleted']);
  const { signal } = work;
  const forgetAfter = async (days: number): Promise<void> => {
    const day = 86_400_000;
    const limits = {
      policy: [{ everyMs: 1, forMs: 2 * day }],
      maxBytes: Infinity,
      now: Date.now() + days * day,
    };
    const plan = await planForget(project.index, project.project, limits, signal);
    await forgetStates(project.index, plan, { ...tally }, signal);
  };
  await forgetAfter(1);
  assert.equal(statesIn(project, 'a').length, 4);
  await forgetAfter(3);
  assert.deepEqual(statesIn(project, 'a'), []);
});

test('what stays is given as it was, also where it is stored as the difference to what goes', async (t) => {
  const project = new TestProject(t);
  project.index.pace = { burstMs: 0, busyMs: 0 };
  const lines = Array.from({ length: 200 }, (_none, at) => `line ${at * 7_919}`).join('\n');
  const save = async (path: string, text: string): Promise<void> => {
    project.write(path, text);
    await project.reconcile();
    momentIn(project);
  };
  await save('a', lines);
  await save('a', `${lines}\nnext`);
  await save('b', `${lines}\nnext`);
  for (const path of ['a', 'b']) await save(path, `the last of ${path}\n`);
  await packPast(project.index, { lastId: 0 }, work.signal);
  const [base, packed] = project.index
    .sql<[], string>("SELECT sha256 FROM revisions WHERE path = 'a' ORDER BY seen_at")
    .pluck()
    .all();
  const baseOf = project.index.sql<[string], string>('SELECT base FROM contents WHERE sha256 = ?').pluck();
  assert.equal(baseOf.get(packed ?? ''), base, 'it is stored so');
  project.remove('a');
  await project.reconcile();
  const before = Date.now() + 1_000;
  const said = await cleanUp(project, { before, isDryRun: true });
  assert.deepEqual((await cleanUp(project, { before })).tally, said.tally);
  assert.ok('bytes' in renderContent(project.index, packed ?? ''));
  project.remove('b');
  await project.reconcile();
  const rest = await cleanUp(project, { before, isDryRun: true });
  assert.deepEqual((await cleanUp(project, { before })).tally, rest.tally);
  assert.equal(project.index.sql('SELECT count(*) FROM contents').pluck().get(), 0);
});

test('of a file that came back meanwhile nothing goes, nor of what it was', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'one\n');
  await project.reconcile();
  project.remove('a');
  await project.reconcile();
  const seen = project.row('a');
  momentIn(project);
  project.write('a', 'two\n');
  await project.reconcile();
  project.remove('a');
  await project.reconcile();
  const before = [statesIn(project, 'a'), copies(project)];
  const tally = { versions: 0, deleted: 0, contents: 0, bytes: 0 };
  const options = { now: project.now(), signal: work.signal };
  const going = { project: project.project, deleted: [seen] };
  const [kept] = await forgetFiles(project.index, going, tally, options, true);
  assert.match(kept?.reason ?? '', /^it came back/u);
  assert.deepEqual([statesIn(project, 'a'), copies(project)], before);
  assert.deepEqual(tally, { versions: 0, deleted: 0, contents: 0, bytes: 0 });
});
