import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { markDeleted } from '#src/store/file-states.js';
import { listRuns } from '#src/store/journal.js';
import { identify } from '#src/base/process-identity.js';
import { TestProject } from '../../reconcile/project-fixture.js';
import { countRows, damageContent } from '../../store/index-fixture.js';
import { startScript } from '../../harness/folder.js';
import { waitFor } from '../../harness/waiting.js';
import { TestWorker, workerFile } from '../worker-fixture.js';

/** One file of each kind: to be unmarked, missing, and missing without a whole tree. */
async function brokenProject(t: TestContext): Promise<TestProject> {
  const project = new TestProject(t);
  for (const path of ['marked', 'missing', 'lost', 'fine']) project.write(path);
  await project.reconcile();
  markDeleted(project.index, project.row('marked').id, 'unseen', 1);
  damageContent(project.index, project.row('lost').sha256 ?? '', 90);
  for (const path of ['missing', 'lost']) project.remove(path);
  return project;
}

const often = { batch_size: 1, poll_interval: 0.05 };
const rare = { poll_interval: 86_400 };

test('rounds mend what is safe, count what is not, and a second round has nothing to do', async (t) => {
  const project = await brokenProject(t);
  const worker = new TestWorker(t, 'repair', project.stateDir, often);
  await worker.said(() => worker.of('repair_round').length >= 2);
  const [first, second] = worker.of('repair_round').map(({ round }) => round);
  assert.deepEqual(first?.lastRound, { checked: 4, repaired: 2, skipped: 1 });
  assert.deepEqual(second?.lastRound, { checked: 4, repaired: 0, skipped: 1 });
  assert.equal(second?.haltedReason, null);
  assert.equal(project.read('missing'), 'content of missing\n');
  assert.deepEqual(project.marks(), { active: ['fine', 'lost', 'marked', 'missing'], deleted: [] });
  assert.equal(listRuns(project.index, null, 10).length, 1, 'a round without actions is not journalled');
  assert.equal((await worker.stop()).inOrder, true);
});

test('missing files are left to a watcher that runs', async (t) => {
  const project = await brokenProject(t);
  const worker = new TestWorker(t, 'repair', project.stateDir, often, true);
  await worker.said(() => worker.of('repair_round').length >= 2);
  assert.equal(project.has('missing'), false);
  assert.equal(project.row('marked').deleted, 0);
  worker.send({ type: 'watcher_running', running: false });
  await worker.said(() => project.has('missing'));
});

test('a root that is away or was emptied halts the worker with a reason, and nothing is done', async (t) => {
  const project = new TestProject(t, { versionDir: '../versions' });
  for (let number = 0; number < 30; number += 1) project.write(`d/f${number}`);
  await project.reconcile();
  project.remove('d');
  const worker = new TestWorker(t, 'repair', project.stateDir, often);
  const haltedReason = (): string => worker.of('repair_round').at(-1)?.round.haltedReason ?? '';
  await worker.said(() => /empty/u.test(haltedReason()));
  rmSync(project.root, { recursive: true });
  await worker.said(() => /cannot be read/u.test(haltedReason()));
  assert.equal(project.marks().deleted.length, 0);
  assert.equal(listRuns(project.index, null, 10).length, 0);
});

test('a failure that stays is tried at long intervals and is one row of the journal, also after a restart', async (t) => {
  const project = new TestProject(t);
  project.maxFileBytes = 10;
  project.write('large', 'too large for the index');
  await project.reconcile();
  const { id } = project.row('large');
  // Nothing of the plan can see that its copy is another one: it is read when it is moved.
  project.index.sql('UPDATE files SET revived = 1, moved_sha256 = ? WHERE id = ?').run('0'.repeat(64), id);
  mkdirSync(project.versions.root, { recursive: true });
  renameSync(project.at('large'), project.versions.pathOf('large'));
  for (let times = 0; times < 2; times += 1) {
    const worker = new TestWorker(t, 'repair', project.stateDir, often);
    await worker.said(() => worker.of('repair_round').length >= 5);
    await worker.stop();
    const rounds = worker.of('repair_round').map(({ round }) => round.lastRound);
    assert.ok(rounds.every((round) => round?.repaired === 0 && round.skipped === 1));
    const runs = listRuns(project.index, null, 10);
    assert.deepEqual(
      runs.map(({ actions }) => actions),
      [1],
    );
    assert.equal(countRows(project.index, 'repair_actions'), 1);
  }
});

test('a stop ends the pause between rounds at once', async (t) => {
  const project = new TestProject(t);
  const worker = new TestWorker(t, 'repair', project.stateDir, rare);
  await worker.said(() => worker.of('repair_round').length === 1);
  const { inOrder, tookMs } = await worker.stop();
  assert.equal(inOrder, true);
  assert.ok(tookMs < 2_000, `${Math.round(tookMs)} ms`);
});

test('a worker does not outlive its supervisor', async (t) => {
  const project = new TestProject(t);
  const parent = await startScript(
    t,
    `import { fork } from 'node:child_process';
     const [file, stateDir, config] = process.argv.slice(1);
     const worker = fork(file, ['repair', '--instance=test'], { detached: true, execArgv: [] });
     worker.send({ type: 'start', start: { stateDir, config: {}, options: { poll_interval: 86400 }, task: null } });
     worker.on('message', ({ type }) => type === 'ready' && console.log('ready'));
     process.stdin.once('data', () => console.log(worker.pid));`,
    workerFile,
    project.stateDir,
  );
  let printed = '';
  parent.stdout?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  parent.stdin?.write('pid?\n');
  await waitFor('its pid', () => printed.includes('\n'));
  const pid = Number(printed);
  assert.ok(identify(pid));
  parent.kill('SIGKILL');
  await waitFor('it is gone', () => identify(pid) === null);
});

test('started by hand, a worker says what it is and ends', () => {
  const { status, stderr } = spawnSync(process.execPath, [workerFile, 'repair'], { encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /codekeep serve/u);
});
