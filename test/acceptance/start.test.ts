import assert from 'node:assert/strict';
import { readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import Database from 'better-sqlite3';
import { codekeep } from '../harness/command.js';
import { addLostRows, type Daemon } from '../harness/daemon.js';
import { childrenOf, isAlive, nicenessOf, openFiles, type ProcessEntry } from '../harness/processes.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';
import { git, loggedGit, repositoryIn } from '../reconcile/repository.js';

test('a repair that is the first request of a start waits for it, and everything runs afterwards', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(100));
  const before = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await before.addProject(root);
  const lost = addLostRows(before, project, 5);
  await before.stop('SIGKILL');

  const daemon = await sandbox.startDaemon({ config: {} });
  // A watcher is to run, so that what is missing counts as deleted; it is wanted back.
  const report = await daemon.repair({ root_dir: root, deleted_since: '1h' });
  assert.deepEqual(report.errors, []);
  const files = filesOf(root, ['data']);
  for (const [path, source] of lost) assert.deepEqual(files.get(path), files.get(source), path);
  await waitFor('every worker runs', async () => {
    const { status, workers } = await daemon.call('health');
    return status === 'ok' && workers['file_watcher'] === 'ready' && workers['vectorization'] === 'ready';
  });
});

test('what went while the daemon was down is deleted for the first request of its start, too', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const before = await sandbox.startDaemon();
  await before.addProject(root);
  await before.stop();
  rmSync(join(root, 'a.py'));
  const daemon = await sandbox.startDaemon();
  const report = await daemon.repair({ root_dir: root });
  assert.deepEqual(report.files_restored_from_cst, []);
  assert.deepEqual(
    report.recently_deleted.map(({ path, cause }) => [path, cause]),
    [['a.py', 'unseen']],
  );
});

test('one that comes while a cut-off repair is finished waits as well; a second one is refused', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(40));
  const before = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await before.addProject(root);
  const lost = addLostRows(before, project, 400);
  before.repair({ root_dir: root }).catch(() => undefined);
  await before.untilItApplies();
  await before.stop('SIGKILL');

  const daemon = await sandbox.startDaemon({ config: {} });
  const first = daemon.repair({ root_dir: root });
  const { code } = await daemon.refusal('repair_database', { root_dir: root });
  assert.equal(code, 'REPAIR_IN_PROGRESS');
  assert.deepEqual((await first).errors, []);
  const files = filesOf(root, ['data']);
  for (const [path, source] of lost) assert.deepEqual(files.get(path), files.get(source), path);
  const { runs } = await daemon.call('list_repairs', { root_dir: root });
  assert.deepEqual(
    runs.map(({ origin, state }) => [origin, state]),
    [
      ['command', 'done'],
      ['command', 'interrupted'],
    ],
  );
  await waitFor('every worker runs', async () => (await daemon.call('health')).status === 'ok');
});

test('a project that is named at the start is known from the first answer on', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ args: ['--project', root] });
  assert.equal((await daemon.call('wait_until_fresh', { root_dir: root })).freshness, 'fresh');
});

test('a dry run that is the first request waits until a cut-off repair is finished: its plan is what is left', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(40));
  const before = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await before.addProject(root);
  addLostRows(before, project, 400);
  before.repair({ root_dir: root }).catch(() => undefined);
  await before.untilItApplies();
  await before.stop('SIGKILL');
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const planned = await daemon.repair({ root_dir: root, dry_run: true });
  assert.deepEqual([planned.totals['restore_from_cst'], planned.totals['set_deleted']], [0, 0]);
  assert.deepEqual((await daemon.repair({ root_dir: root })).totals, { ...planned.totals, failed: 0 });
});

test('a stop ends a start that is not complete', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  daemon.call('repair_database', {}).catch(() => undefined);
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
});

test('a second supervisor is refused, and touches no worker of the first, also where somebody removed its lock', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  await daemon.call('wait_until_fresh', {
    project_id: (await daemon.addProject(await sandbox.project({}))).project_id,
  });
  const before = childrenOf(daemon.pid).map(({ pid }) => pid);
  unlinkSync(join(daemon.stateDir, 'lock.db'));
  const socket = sandbox.path('other.sock');
  const second = await codekeep(sandbox, 'serve', '--state-dir', daemon.stateDir, '--socket', socket);
  assert.equal(second.status, 3);
  assert.match(second.stderr, new RegExp(`used by another codekeep supervisor \\(pid ${daemon.pid}\\)`, 'u'));
  assert.deepEqual(
    childrenOf(daemon.pid).map(({ pid }) => pid),
    before,
  );
  assert.equal((await daemon.call('health')).status, 'ok');
});

/** A start in the middle: nobody can open the index until it is let go. */
async function halfStarted(
  t: TestContext,
): Promise<{ daemon: Daemon; letGo: () => void; watcher: ProcessEntry }> {
  const sandbox = await Sandbox.create(t);
  const before = await sandbox.startDaemon();
  await before.addProject(await sandbox.project({ 'a.py': 'a = 1\n' }));
  await before.stop();
  const holder = new Database(join(before.stateDir, 'index.db'));
  t.after(() => holder.close());
  holder.pragma('locking_mode = EXCLUSIVE');
  holder.exec('BEGIN EXCLUSIVE');
  const daemon = await sandbox.startDaemon();
  const watcher = await waitFor("the watcher's process is there", () =>
    childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes('file_watcher')),
  );
  return { daemon, letGo: () => holder.close(), watcher };
}

test("the watcher's program is loaded while the index is opened, and opens nothing before", async (t) => {
  const { daemon, letGo, watcher } = await halfStarted(t);
  assert.equal((await daemon.call('health')).workers['file_watcher'], 'stopped');
  assert.deepEqual(
    openFiles(watcher.pid).filter((path) => path.startsWith(daemon.stateDir)),
    [],
  );
  letGo();
  await waitFor('it is the watcher', async () => (await daemon.workerPid('file_watcher')) === watcher.pid);
});

test('a watcher whose program is loaded ends with a start that is stopped, and where somebody stops it', async (t) => {
  const { daemon, watcher } = await halfStarted(t);
  await daemon.stopWorkers('file_watcher');
  assert.ok(!isAlive(watcher.pid));
  const other = await halfStarted(t);
  await other.daemon.stop();
  assert.ok(!isAlive(other.watcher.pid));
});

test('a start asks git what it tracks only where something has changed, or what it said is damaged', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = repositoryIn(
    await sandbox.project({ '.gitignore': 'ignored*\n', 'ignored-1': '', 'ignored-2': '' }),
  );
  git(root, 'add', '--force', '.gitignore', 'ignored-1');
  git(root, 'commit', '-qm', 'first');
  const calls = loggedGit(t);
  const asked = (): number => calls().filter((call) => call.includes('ls-files')).length;
  const first = await sandbox.startDaemon();
  const { project_id } = await first.addProject(root);
  const kept = join(first.stateDir, 'derived', `${project_id}.db-git`);
  /** How often git is asked in a start, and what is content then. */
  const start = async (): Promise<{ times: number; paths: string[] }> => {
    const before = asked();
    const daemon = await sandbox.startDaemon();
    await daemon.call('wait_until_fresh', { project_id });
    const paths = await daemon.paths(project_id);
    await daemon.stop();
    return { times: asked() - before, paths };
  };
  await first.stop();
  assert.deepEqual(await start(), { times: 0, paths: ['.gitignore', 'ignored-1'] });
  git(root, 'add', '--force', 'ignored-2');
  assert.deepEqual(await start(), { times: 1, paths: ['.gitignore', 'ignored-1', 'ignored-2'] });
  assert.equal((await start()).times, 0);
  writeFileSync(kept, readFileSync(kept, 'utf8').replace('ignored-2', 'ignored-3'));
  assert.deepEqual(await start(), { times: 1, paths: ['.gitignore', 'ignored-1', 'ignored-2'] });
});

test('who makes vectors gives way to all others with every thread, already while it starts', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: {} });
  const pid = await waitFor('it runs', async () => await daemon.workerPid('vectorization'));
  const watcher = await waitFor('the watcher runs', async () => await daemon.workerPid('file_watcher'));
  assert.ok(Math.min(...nicenessOf(pid)) >= 10);
  assert.deepEqual(new Set(nicenessOf(watcher)), new Set(nicenessOf(process.pid)));
});
