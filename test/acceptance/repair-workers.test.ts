import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { RpcError } from '#src/rpc/client/client.js';
import { addLostRows, type Daemon, type Project, type RepairReport } from '../harness/daemon.js';
import { isAlive } from '../harness/processes.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

const types = ['file_watcher', 'vectorization', 'repair'] as const;

suite('a repair while all three workers run', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let project: Project;
  let lost: Map<string, string>;
  let earlier: (number | null)[];
  let decoy: number;
  let repairing: Promise<RepairReport>;
  let runId: string;

  const pids = (): Promise<(number | null)[]> => Promise.all(types.map((type) => daemon.workerPid(type)));

  before(async () => {
    const root = await sandbox.project(manyFiles(40));
    daemon = await sandbox.startDaemon({
      config: { autostart: ['file_watcher', 'vectorization', 'repair'] },
    });
    project = await daemon.addProject(root);
    await waitFor('three workers', async () => (await pids()).every((pid) => pid !== null));
    const script = 'exec -a "worker.js file_watcher vectorization repair_worker repair" sleep 600';
    decoy = sandbox.spawn('bash', ['-c', script]).pid ?? assert.fail('no decoy');
    lost = addLostRows(daemon, project, 900);
    earlier = await pids();
  });

  test('its workers are gone while it runs', async () => {
    // A watcher takes what is missing for deleted; it is wanted back.
    repairing = daemon.repair({ project_id: project.project_id, deleted_since: '1h' });
    // What fails before it is awaited further down must not count as unhandled.
    repairing.catch(() => undefined);
    const health = await waitFor(
      'the repair is beyond stopping',
      async () => {
        const seen = await daemon.call('health');
        return seen.status === 'repairing' && seen.repair !== null && seen.repair.phase !== 'stop' && seen;
      },
      60_000,
    );
    runId = health.repair?.run_id ?? '';
    for (const pid of earlier) assert.equal(pid !== null && !isAlive(pid), true, `worker ${pid} is gone`);
    assert.deepEqual(
      types.map((type) => health.workers[type]),
      ['stopped', 'stopped', 'stopped'],
    );
  });

  test('a second repair is refused', async () => {
    const error = await daemon.refusal('repair_database', { project_id: project.project_id });
    assert.equal(error.code, 'REPAIR_IN_PROGRESS');
    const asJob = await daemon.refusal('repair_database', { wait: false });
    assert.equal(asJob.code, 'REPAIR_IN_PROGRESS');
  });

  test('no worker can be started, and nothing is written to the index by request', async () => {
    for (const worker_type of types) {
      const { code } = await daemon.refusal('start_worker', { worker_type });
      assert.equal(code, 'REPAIR_IN_PROGRESS');
    }
    const { code } = await daemon.refusal('start_repair_worker', {});
    assert.equal(code, 'REPAIR_IN_PROGRESS');
    const update = await daemon.refusal('update_indexes', { project_id: project.project_id });
    assert.equal(update.code, 'REPAIR_IN_PROGRESS');
  });

  test('health and reads are answered meanwhile', async () => {
    const { status, repair } = await daemon.call('health');
    assert.deepEqual(
      [status, repair?.run_id],
      ['repairing', runId],
      'the repair runs still, or this proves nothing',
    );
    const { files } = await daemon.call('list_files', { project_id: project.project_id, limit: 1 });
    assert.equal(files.length, 1);
  });

  test('it does its work, and says which workers it stopped and started again', async () => {
    const report = await repairing;
    assert.equal(report.run_id, runId);
    assert.deepEqual([report.totals['restore_from_cst'], report.errors], [lost.size, []]);
    const files = filesOf(project.root_dir, ['data']);
    for (const [path, source] of lost) assert.deepEqual(files.get(path), files.get(source), path);
    const running = earlier.filter((pid) => pid !== null);
    const { stopped_count, stopped_workers, errors } = report.workers_stopped;
    assert.deepEqual([stopped_count, errors], [running.length, []]);
    assert.deepEqual(new Set(stopped_workers.map(({ pid }) => pid)), new Set(running));
    assert.ok(stopped_workers.every(({ graceful, duration_ms }) => graceful && duration_ms < 10_000));
    const resumed = report.workers_resumed.map(({ type, pid }) => [type, pid] as const);
    for (const [type, pid] of resumed) {
      assert.equal(await daemon.workerPid(type), pid);
      assert.ok(isAlive(pid) && !running.includes(pid));
    }
    assert.deepEqual(resumed.map(([type]) => type).sort(), stopped_workers.map(({ type }) => type).sort());
  });

  test('a process that only looks like a worker was left alone', () => {
    assert.equal(isAlive(decoy), true);
  });
});

test('workers that did not run before a repair do not run after it, and resume_workers=false leaves all stopped', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
  await daemon.addProject(root);
  const first = await daemon.repair({ root_dir: root });
  assert.deepEqual(
    first.workers_resumed.map(({ type }) => type),
    ['file_watcher'],
  );
  const second = await daemon.repair({ root_dir: root, resume_workers: false });
  assert.deepEqual([second.workers_stopped.stopped_count, second.workers_resumed], [1, []]);
  const { workers } = await daemon.call('health');
  assert.deepEqual(
    types.map((type) => workers[type]),
    ['stopped', 'stopped', 'stopped'],
  );
});

test('an unknown project is refused before any worker is stopped', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: {} });
  const pid = await waitFor('a worker', () => daemon.workerPid('vectorization'));
  const error = await daemon.refusal('repair_database', { root_dir: sandbox.path('unknown') });
  assert.equal(error.code, 'PROJECT_NOT_FOUND');
  assert.equal(await daemon.workerPid('vectorization'), pid);
});

test('after a repair that failed, the workers run again', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: {} });
  await daemon.addProject(root);
  const error = await daemon.refusal('repair_database', { root_dir: root, version_dir: sandbox.path() });
  assert.equal(error.code, 'INVALID_PARAMS', 'a versions directory may not contain the project');
  await waitFor('both workers', async () => {
    const { workers, status } = await daemon.call('health');
    return status === 'ok' && workers['file_watcher'] === 'ready' && workers['vectorization'] === 'ready';
  });
});

test('a repair as a job is found, and can be cancelled', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(600));
  const original = filesOf(root);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  await daemon.addProject(root);
  for (const folder of Array(6).keys()) rmSync(join(root, `folder${folder}`), { recursive: true });
  const started = await daemon.call('repair_database', { root_dir: root, wait: false });
  assert.ok('job_id' in started);
  const { job_id } = started;
  await waitFor('the first files', async () => {
    const { progress } = await daemon.call('get_job', { job_id });
    return progress.message === 'apply' && progress.done > 0;
  });
  await daemon.call('cancel_job', { job_id });
  const job = await waitFor('the end of the job', async () => {
    const seen = await daemon.call('get_job', { job_id });
    return seen.state !== 'running' && seen;
  });
  assert.deepEqual([job.state, job.error?.['data']], ['cancelled', job.error?.['data']]);
  assert.equal(job.error?.code, -32012);
  const { runs } = await daemon.call('list_repairs', { root_dir: root });
  assert.equal(runs[0]?.state, 'cancelled');
  const { errors } = await daemon.repair({ root_dir: root });
  assert.deepEqual(errors, []);
  assert.deepEqual(filesOf(root, ['data']), original, 'the next run does the rest');
  const unknown = await daemon.failure('get_job', { job_id: 'none' });
  assert.ok(!(unknown instanceof RpcError) && unknown.code === 'NOT_FOUND');
});
