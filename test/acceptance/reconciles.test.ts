import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { contract } from '#src/contract/index.js';
import type { MethodDefinition } from '#src/contract/method.js';
import { addLostRows, type Daemon } from '../harness/daemon.js';
import { childrenOf } from '../harness/processes.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor, within } from '../harness/waiting.js';
import { RawClient } from '../rpc/service.js';

/** The most watcher processes that there ever were at once while `work` went on. */
async function mostWatchers(daemon: Daemon, work: Promise<unknown>): Promise<number> {
  let most = 0;
  let isOver = false;
  const watched = work.finally(() => {
    isOver = true;
  });
  watched.catch(() => undefined);
  await waitFor(
    'the work is done',
    () => {
      const now = childrenOf(daemon.pid).filter(({ commandLine }) => commandLine.includes('file_watcher'));
      most = Math.max(most, now.length);
      return isOver;
    },
    60_000,
  );
  await work;
  return most;
}

test('without a watcher those who ask for the same reconcile share one process, also while a watcher is started', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(300));
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  writeFileSync(join(root, 'new.py'), 'new = 1\n');
  const asked = Array.from({ length: 8 }, () => daemon.call('update_indexes', { project_id }));
  const fresh = Array.from({ length: 40 }, () => daemon.call('wait_until_fresh', { project_id }));
  const started = daemon.call('start_worker', { worker_type: 'file_watcher' });
  const most = await mostWatchers(daemon, Promise.all([...asked, ...fresh, started]));
  assert.equal(most, 1);
  for (const { freshness } of await Promise.all(fresh)) assert.equal(freshness, 'fresh');
  assert.ok((await daemon.paths(project_id)).includes('new.py'));
  const { jobs } = await daemon.call('list_jobs');
  assert.ok(jobs.length <= 4, `${jobs.length} jobs: one that runs and one that waits, twice at most`);
});

test('what was written just before the call is indexed, whatever reconcile is under way', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(300));
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  for (let round = 0; round < 5; round += 1) {
    const asked: Promise<unknown>[] = [];
    for (let number = 0; number < 4; number += 1) {
      const path = `late-${round}-${number}.py`;
      writeFileSync(join(root, path), `late = ${number}\n`);
      asked.push(
        daemon.call('wait_until_fresh', { project_id }).then(async () => {
          const { sha256 } = await daemon.call('get_file', { project_id, path });
          assert.equal(sha256.length, 64);
        }),
      );
    }
    await Promise.all(asked);
  }
});

test('a caller that leaves takes its own wait with it, and nobody else’s', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(300));
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  const leaving = new AbortController();
  const left = daemon.client.call('update_indexes', { project_id }, { signal: leaving.signal });
  const stays = daemon.call('update_indexes', { project_id });
  leaving.abort();
  await assert.rejects(left);
  assert.ok('files_unchanged' in (await stays));
});

test('wait_until_fresh of an unknown root is PROJECT_NOT_FOUND, and registers nothing', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  assert.equal((await daemon.refusal('wait_until_fresh', { root_dir: root })).code, 'PROJECT_NOT_FOUND');
  assert.deepEqual((await daemon.call('list_projects')).projects, []);
});

for (const autostart of [[], ['file_watcher']]) {
  test(`update_indexes of a new root counts what it found, ${autostart.length === 0 ? 'without' : 'beside'} a watcher`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project(manyFiles(300));
    const daemon = await sandbox.startDaemon({ config: { autostart } });
    await daemon.call('list_projects');
    const found = await daemon.call('update_indexes', { root_dir: root });
    assert.ok('files_added' in found);
    assert.deepEqual([found.files_added, found.files_unchanged], [300, 0]);
  });
}

test('update_indexes of a new root tells everybody that projects have changed', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon();
  const heard: string[] = [];
  const subscription = await daemon.client.subscribe(['index'], ({ type }) => heard.push(type));
  await daemon.call('update_indexes', { root_dir: root });
  await waitFor('the event', () => heard.includes('projects'));
  await subscription.end();
});

test('a repair keeps out what writes, before anything is written, and whoever waits hears why', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(40));
  const other = await sandbox.project({ 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  addLostRows(daemon, project, 400);
  const repairing = daemon.repair({ root_dir: root });
  await waitFor('it is at work', async () => (await daemon.call('health')).repair?.phase === 'apply');
  const calls: [string, Record<string, unknown>][] = [
    ['add_project', { root_dir: other }],
    ['update_indexes', { root_dir: other }],
    ['update_indexes', { project_id: project.project_id }],
    ['wait_until_fresh', { root_dir: root }],
    ['remove_project', { root_dir: root }],
    ['move_project', { root_dir: root, new_root_dir: other }],
    ['accept_deletions', { root_dir: root }],
    ['delete_file', { root_dir: root, path: 'folder0/file0.py' }],
    ['restore_deleted_files', { root_dir: root, paths: ['folder0/file0.py'] }],
    ['create_checkpoint', { root_dir: root }],
    ['remove_checkpoint', { root_dir: root, checkpoint_id: 'c12345678' }],
    ['forget', { root_dir: root }],
    ['cleanup_deleted_files', { root_dir: root }],
    ['restore_file_version', { root_dir: root, path: 'folder0/file0.py' }],
  ];
  const writing = Object.entries<MethodDefinition>(contract).filter(([, { writes }]) => writes === true);
  assert.deepEqual(new Set(calls.map(([method]) => method)), new Set(writing.map(([method]) => method)));
  for (const [method, params] of calls) {
    const error = await daemon.failure(method, params);
    assert.match(error.message, /A repair is running/, method);
  }
  assert.equal((await daemon.call('list_projects')).projects.length, 1, 'nothing was registered on the way');
  assert.deepEqual((await repairing).errors, []);
});

test('a repair waits for a write that has begun', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(200));
  const original = filesOf(root);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  for (let folder = 0; folder < 2; folder += 1) rmSync(join(root, `folder${folder}`), { recursive: true });
  writeFileSync(join(root, 'kept.py'), 'kept = 1\n');
  await daemon.call('update_indexes', { project_id });
  const restoring = daemon.call('restore_deleted_files', { project_id, path_prefix: 'folder' });
  const report = await daemon.repair({ project_id });
  assert.equal((await restoring).restored.length, 200);
  assert.deepEqual([report.conflicts, report.errors, report.totals['clear_deleted']], [[], [], 0]);
  rmSync(join(root, 'kept.py'));
  assert.deepEqual(filesOf(root, ['data']), original);
});

test('a repair is told to whoever waits for a reconcile that it ends', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(1_500));
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  await daemon.call('add_project', { root_dir: root });
  const waiting = daemon.failure('update_indexes', { root_dir: root });
  await waitFor('its process is at work', async () => {
    const { jobs } = await daemon.call('list_jobs');
    return (jobs[0]?.progress.done ?? 0) > 0;
  });
  const report = await daemon.repair({ root_dir: root });
  assert.equal(report.workers_stopped.stopped_count, 1);
  assert.match((await waiting).message, /A repair is running/);
});

test('no number of jobs keeps a repair out, and theirs end', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({
    config: { autostart: ['file_watcher'], worker_stop_timeout: 1, worker_hang_timeout: 600 },
  });
  daemon.mayLogErrors = true;
  const roots = await Promise.all(Array.from({ length: 33 }, () => sandbox.project({ 'a.py': 'a = 1\n' })));
  for (const root_dir of roots) await daemon.call('add_project', { root_dir });
  const pid = (await daemon.workerPid('file_watcher')) ?? assert.fail('no watcher');
  process.kill(pid, 'SIGSTOP');
  const outcomes: (string | undefined)[] = [];
  for (const root_dir of roots) {
    const asked = await daemon.client.callAny('update_indexes', { root_dir, wait: false }).catch(codeOf);
    outcomes.push(typeof asked === 'string' ? asked : undefined);
  }
  assert.deepEqual(outcomes.at(-1), 'LIMIT_EXCEEDED');
  const stale = await daemon.refusal('repair_database', {});
  assert.equal(stale.code, 'INDEX_STALE', 'what is missing cannot be told from what was deleted');
  await daemon.call('stop_worker', { worker_type: 'file_watcher', force: true });
  const report = await daemon.call('repair_database', {});
  assert.ok('projects' in report);
  const { jobs } = await daemon.call('list_jobs');
  assert.deepEqual(
    jobs.filter(({ state }) => state === 'running'),
    [],
  );
});

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

test('a read that its process does not answer can be cancelled', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  await daemon.call('list_projects');
  const index = childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes('index_service'));
  const pid = index?.pid ?? assert.fail('no index_service');
  process.kill(pid, 'SIGSTOP');
  const client = new RawClient(daemon.socket);
  client.send('{"jsonrpc":"2.0","id":1,"method":"search","params":{"query":"x"}}');
  client.send('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}');
  const [reply] = await within('its end', client.lines(1), 10_000);
  assert.match(JSON.stringify(reply), /"code":"CANCELLED"/);
  client.socket.destroy();
  process.kill(pid, 'SIGCONT');
});

test('a write whose process is killed says how that ended, and that it may be done', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  const { project_id } = await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n' }));
  const index = childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes('index_service'));
  const pid = index?.pid ?? assert.fail('no index_service');
  process.kill(pid, 'SIGSTOP');
  const asked = daemon.refusal('delete_file', { project_id, path: 'a.py' });
  // Answered behind what was asked before it.
  await daemon.call('health');
  process.kill(pid, 'SIGKILL');
  const { code, message, hint } = await asked;
  assert.equal(code, 'INDEX_UNAVAILABLE');
  assert.match(message, /index_service process ended before it answered: it was ended by SIGKILL\.$/u);
  assert.match(hint, /^Ask for the state before you repeat the call/u);
});

test('a request that waits for a worker to be ready can be cancelled', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  await daemon.call('list_projects');
  daemon.sql((db) => db.pragma('user_version = 999'));
  const index = childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes('index_service'));
  process.kill(index?.pid ?? assert.fail('no index_service'), 'SIGKILL');
  await waitFor(
    'it is not there',
    async () => (await daemon.call('health')).workers['index_service'] === 'backoff',
  );
  const client = new RawClient(daemon.socket);
  client.send('{"jsonrpc":"2.0","id":1,"method":"list_projects"}');
  client.send('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}');
  const [reply] = await within('its end', client.lines(1), 2_000);
  assert.match(JSON.stringify(reply), /"code":"CANCELLED"/);
  client.socket.destroy();
});
