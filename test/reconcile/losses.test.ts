import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, statSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import type { ProgressListener } from '#src/base/progress.js';
import { sha256 } from '#src/base/hash.js';
import { recoverRuns } from '#src/reconcile/repair/recover.js';
import { executeRepair, openRepair } from '#src/reconcile/repair/repair-project.js';
import { chooseDeleted, restoreDeleted } from '#src/reconcile/restore.js';
import {
  beginRun,
  endIntents,
  endRun,
  listRuns,
  noteRun,
  owedFiles,
  recordIntent,
} from '#src/store/journal.js';
import { checkContents } from '#src/store/maintenance.js';
import { TestProject } from './project-fixture.js';

async function assertComesBack(project: TestProject, path: string, content: string): Promise<void> {
  project.remove(path);
  const { plan } = await project.repair();
  assert.deepEqual(
    plan.actions.map(({ verdict, path: restored }) => [verdict, restored]),
    [['restore_from_cst', path]],
  );
  assert.equal(project.read(path), content);
  assert.deepEqual(project.marks().deleted, []);
  assert.deepEqual((await project.plan()).plan.actions, []);
}

test('a file that is lost again and again comes back each time', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'content');
  await project.reconcile();
  for (let times = 0; times < 3; times += 1) await assertComesBack(project, 'a', 'content');
  await project.reconcile();
  await assertComesBack(project, 'a', 'content');
});

test('a file of which versions have an older content comes back as it was last', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'older');
  await project.reconcile();
  project.remove('a');
  await project.reconcile();
  project.write('a', 'last');
  await project.reconcile();
  await assertComesBack(project, 'a', 'last');
});

test('a file that was deleted, restored and lost comes back', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'content');
  await project.reconcile();
  project.remove('a');
  await project.reconcile('seen');
  const rows = chooseDeleted(project.index, project.project, {});
  await restoreDeleted(project.index, project.project, rows, project.now);
  await assertComesBack(project, 'a', 'content');
});

/** Executes the plan of a repair, and does something at its progress. */
async function repairWith(project: TestProject, progress: ProgressListener): Promise<void> {
  const { index, now } = project;
  const signal = new AbortController().signal;
  const fixed = { origin: 'command', force: false, deletedSince: null } as const;
  const options = { ...fixed, index, runId: randomUUID(), now, signal, progress };
  const [opened] = await openRepair(options, [await project.plan()]);
  await executeRepair(options, opened ?? assert.fail('nothing was opened'));
}

test('an edit right after a file was brought back is not taken for what was brought back', async (t) => {
  const project = new TestProject(t);
  // Far from the times of the files, which are not suspected of being too young then.
  project.now = () => Date.now() + 60_000;
  project.write('a', 'as it was');
  await project.reconcile();
  project.remove('a');
  await repairWith(project, (phase, done) => {
    if (phase !== 'apply' || done !== 1) return;
    const { atime, mtime } = statSync(project.at('a'));
    writeFileSync(project.at('a'), 'edited   ');
    utimesSync(project.at('a'), atime, mtime);
  });
  await project.reconcile();
  assert.equal(project.row('a').sha256, sha256(Buffer.from('edited   ')));
  assert.equal(project.read('a'), 'edited   ');
});

const openIntents = "SELECT count(*) AS count FROM repair_actions WHERE state = 'intent'";

test('everything that a run is going to do is in the journal before it does anything', async (t) => {
  const project = new TestProject(t);
  const paths = Array.from({ length: 120 }, (_, number) => `d/f${number}`);
  for (const path of ['fine', ...paths]) project.write(path);
  await project.reconcile();
  project.remove('d');
  const counts: number[] = [];
  await repairWith(project, (phase, done) => {
    if (phase !== 'apply' || done > 0) return;
    assert.equal(project.has('d'), false);
    counts.push(project.index.sql<[], { count: number }>(openIntents).get()?.count ?? 0);
  });
  assert.deepEqual(counts, [paths.length]);
});

test('a recovery does what its run had planned, and nothing that was lost since then', async (t) => {
  const project = new TestProject(t);
  for (const path of ['planned', 'later', 'fine']) project.write(path);
  await project.reconcile();
  project.remove('planned');
  const { index, projectId, now } = project;
  const { plan } = await project.plan();
  const run = { runId: randomUUID(), projectId };
  const { rootDir, versionDir } = project.project;
  await index.write(() => {
    beginRun(index, { ...run, origin: 'command', rootDir, versionDir }, now());
    for (const action of plan.actions) recordIntent(index, run, action);
  });
  project.remove('later');
  const signal = new AbortController().signal;
  const recovered = await recoverRuns({ index, now, signal, progress: () => undefined });
  assert.deepEqual(
    recovered.map(({ outcome }) => outcome.done.map(({ path }) => path)),
    [['planned']],
  );
  assert.deepEqual([project.has('planned'), project.has('later')], [true, false]);
  assert.deepEqual(project.marks().deleted, []);
  assert.deepEqual(
    listRuns(index, null, 10).map(({ state, actions }) => [state, actions]),
    [['interrupted', 1]],
  );
});

/** Overwrites a page in the middle of those that hold contents, while nobody has the database open. */
function damagePage(project: TestProject): void {
  const { index } = project;
  const pages = index
    .sql<[], { pageno: number }>(
      "SELECT pageno FROM dbstat WHERE name = 'contents' AND pagetype = 'leaf' ORDER BY pageno",
    )
    .all();
  const page = pages[Math.floor(pages.length / 2)]?.pageno ?? 0;
  assert.ok(pages.length > 2);
  const pageSize = index.db.pragma('page_size', { simple: true }) as number;
  index.db.pragma('wal_checkpoint(TRUNCATE)');
  index.close();
  const file = openSync(index.path, 'r+');
  writeSync(file, Buffer.alloc(pageSize, 0xa5), 0, pageSize, (page - 1) * pageSize);
  closeSync(file);
  project.reopen();
}

test('a damaged page of the index costs the files on it: all others come back, and a check names every one', async (t) => {
  const project = new TestProject(t);
  const paths = Array.from({ length: 60 }, (_, number) => `d/f${number}`);
  for (const path of paths) project.write(path, `${path}\n${randomUUID().repeat(10)}`);
  await project.reconcile();
  project.remove('d');
  damagePage(project);
  const { plan, outcome } = await project.repair();
  assert.deepEqual([outcome.errors, outcome.conflicts], [[], []]);
  const lost = plan.unrestorable;
  assert.ok(lost.length > 0 && lost.length < paths.length / 2, `${lost.length} are lost`);
  for (const { reason } of lost) assert.match(reason, /damaged/u);
  const away = new Set(lost.map(({ path }) => path));
  for (const path of paths) assert.equal(project.has(path), !away.has(path), path);
  const { problems, checked } = await checkContents(project.index);
  assert.equal(checked, paths.length);
  assert.deepEqual(
    new Set(problems.map((problem) => /^content (\w+) \(/u.exec(problem)?.[1])),
    new Set([...away].map((path) => project.row(path).sha256)),
  );
});

test('what a rule ignored by mistake and nobody has looked at since is lost, once the rule is gone', async (t) => {
  const project = new TestProject(t);
  project.write('src/a', 'a');
  project.write('kept', 'kept');
  await project.reconcile();
  project.write('.gitignore', 'src\n');
  await project.reconcile();
  project.remove('src');
  assert.deepEqual((await project.plan()).plan.actions, [], 'what rules ignore is left alone');
  project.remove('.gitignore');
  await project.repair();
  assert.equal(project.read('src/a'), 'a');
});

test('what a repair still has to bring back stays a loss after a rewind or an undo that had nothing to do', async (t) => {
  const project = new TestProject(t);
  for (const path of ['a', 'b']) project.write(path);
  await project.reconcile();
  const { index, projectId } = project;
  const { rootDir, versionDir } = project.project;
  const repair = { runId: randomUUID(), projectId };
  const action = { verdict: 'restore_from_cst', targets: ['versions', 'project'], cause: null, sha256: null };
  project.remove('a');
  await index.write(() => {
    beginRun(index, { ...repair, origin: 'command', rootDir, versionDir }, Date.now());
    recordIntent(index, repair, { ...action, id: project.row('a').id, path: 'a' });
    endIntents(index, repair, 'it was not tried');
    endRun(index, repair, 'cancelled', '', Date.now());
  });
  const nothing = { projectId, rootDir, versionDir };
  await index.write(() => {
    const undo = { ...nothing, runId: randomUUID(), origin: 'undo', undoes: repair.runId } as const;
    noteRun(index, undo, '0 undone', Date.now() + 1);
    const rewind = { ...nothing, runId: randomUUID(), origin: 'command', rewindTo: 0 } as const;
    noteRun(index, rewind, '0 rewound', Date.now() + 2);
  });
  assert.deepEqual([...owedFiles(index, projectId)], [project.row('a').id]);
  await project.reconcile();
  assert.deepEqual(project.marks().deleted, []);
});
