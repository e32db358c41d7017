import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { addLostRows, type Daemon, moveIntoVersions } from '../harness/daemon.js';
import { childrenOf } from '../harness/processes.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

async function untilInTheMiddle(daemon: Daemon): Promise<void> {
  await waitFor('the repair is in the middle', async () => {
    const { repair } = await daemon.call('health');
    return repair !== null && repair.phase === 'apply' && repair.done > 0 && repair.done < repair.total;
  });
}

async function untilWatched(daemon: Daemon): Promise<void> {
  await waitFor(
    'the watcher runs',
    async () => (await daemon.call('health')).workers['file_watcher'] === 'ready',
  );
}

interface Lost {
  sandbox: Sandbox;
  root: string;
  /** What there was. */
  original: ReturnType<typeof filesOf>;
  project_id: string;
  /** Where a repair is noted that has no plan yet. */
  note: string;
}

/** A project that was indexed, and of which a folder went while no daemon ran. */
async function lostWhileDown(t: TestContext): Promise<Lost> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(20));
  const original = filesOf(root);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  await daemon.stop();
  rmSync(join(root, 'folder0'), { recursive: true });
  return { sandbox, root, original, project_id, note: join(daemon.stateDir, 'repair.json') };
}

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`a repair that was cut off by ${signal} of the supervisor is finished by the next start`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project(manyFiles(400));
    const original = filesOf(root);
    const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    const project = await daemon.addProject(root);
    for (const folder of Array(4).keys()) rmSync(join(root, `folder${folder}`), { recursive: true });
    await daemon.call('repair_database', { root_dir: root, wait: false });
    await untilInTheMiddle(daemon);
    await daemon.stop(signal);
    const next = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
    await waitFor(
      'the repair is over',
      async () => {
        const { status, workers } = await next.call('health');
        return status === 'ok' && workers['file_watcher'] === 'ready';
      },
      20_000,
    );
    const back = [...filesOf(root, ['data']).keys()];
    assert.deepEqual([back.length, await next.paths(project.project_id, true)], [original.size, []]);
    assert.deepEqual(filesOf(root, ['data']), original, 'every file is back');
    const { runs } = await next.call('list_repairs', { root_dir: root });
    assert.deepEqual(
      runs.map(({ origin, state }) => [origin, state]),
      [['command', 'interrupted']],
    );
    const again = await next.repair({ root_dir: root });
    assert.deepEqual([again.totals['ok'], again.errors], [original.size, []]);
  });
}

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`a repair that ${signal} of the supervisor cut off before it had a plan is done by the next start`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project(manyFiles(20));
    const original = filesOf(root);
    const config = { autostart: ['vectorization'], worker_stop_timeout: 1 };
    const daemon = await sandbox.startDaemon({ config });
    const project = await daemon.addProject(root);
    rmSync(join(root, 'folder0'), { recursive: true });
    // One that does not hear makes the first step of the repair last.
    process.kill((await daemon.workerPid('vectorization')) ?? assert.fail('no worker'), 'SIGSTOP');
    const failure = daemon.failure('repair_database', { root_dir: root }).catch(() => null);
    await waitFor('the repair stops the workers', async () => (await daemon.call('health')).repair !== null);
    process.kill(daemon.pid, signal);
    const error = await failure;
    if (signal === 'SIGTERM')
      assert.match(error?.hint ?? '', /it finishes a repair, a rewind or an undo that was begun/u);
    await daemon.stop(signal);
    const next = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
    await untilWatched(next);
    assert.deepEqual(filesOf(root, ['data']), original, 'every file is back');
    await next.call('wait_until_fresh', { root_dir: root });
    assert.deepEqual(await next.paths(project.project_id, true), [], 'and none counts as deleted');
    assert.equal(existsSync(join(next.stateDir, 'repair.json')), false);
    const { runs } = await next.call('list_repairs', { root_dir: root });
    assert.deepEqual(
      runs.map(({ origin, state }) => [origin, state]),
      [['command', 'done']],
    );
  });
}

test('a repair that is asked for while the daemon starts, and cut off, is done by the next start', async (t) => {
  const { sandbox, root, original, project_id, note } = await lostWhileDown(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  await daemon.call('repair_database', { project_id, wait: false });
  await waitFor('it is noted, or planned', async () => {
    const isPlanned = async (): Promise<boolean> =>
      (await daemon.call('list_repairs', { project_id })).runs.length > 0;
    return existsSync(note) || (await isPlanned());
  });
  await daemon.stop('SIGKILL');
  const next = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
  next.mayLogErrors = true;
  await next.call('wait_until_fresh', { project_id }).catch(() => undefined);
  await untilWatched(next);
  assert.deepEqual(filesOf(root, ['data']), original);
  assert.deepEqual(await next.paths(project_id, true), []);
});

test('a repair that was cut off is still owed where the project was away at the next start', async (t) => {
  const { sandbox, root, original, project_id, note } = await lostWhileDown(t);
  writeFileSync(note, JSON.stringify({ scope: { deleted_since: null, force: false }, at: Date.now() }));
  renameSync(root, `${root}.away`);
  const daemon = await sandbox.startDaemon();
  daemon.mayLogErrors = true;
  await untilWatched(daemon);
  renameSync(`${root}.away`, root);
  await waitFor('it is watched again', async () => {
    const { reason } = await daemon.call('get_project_status', { project_id });
    return /files are missing that a repair did not come to bring back/u.test(reason ?? '');
  });
  assert.deepEqual(await daemon.paths(project_id, true), [], 'none counts as deleted');
  await daemon.repair({ project_id });
  assert.deepEqual(filesOf(root, ['data']), original);
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
  assert.equal(existsSync(note), false);
});

for (const [what, make] of Object.entries({
  'a folder': (path: string) => mkdirSync(path),
  'a pipe': (path: string) => execFileSync('mkfifo', [path]),
  'half a note': (path: string) => writeFileSync(path, '{"scope":{"force"'),
  'something else': (path: string) => writeFileSync(path, '[]'),
}))
  test(`${what} in the place of the note of a repair keeps nobody from anything`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n' });
    mkdirSync(sandbox.path('state'), { mode: 0o700 });
    make(sandbox.path('state', 'repair.json'));
    const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    daemon.mayLogErrors = true;
    await daemon.addProject(root);
    rmSync(join(root, 'a.py'));
    const { files_restored_from_cst } = await daemon.repair({ root_dir: root });
    assert.equal(files_restored_from_cst.length, 1);
  });

test('a repair whose process is killed before it has a plan is begun anew', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(20));
  const original = filesOf(root);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  await daemon.addProject(root);
  rmSync(join(root, 'folder0'), { recursive: true });
  const repairing = daemon.repair({ root_dir: root });
  const task = await waitFor('its process', () =>
    childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes('repair')),
  );
  process.kill(task.pid, 'SIGKILL');
  assert.deepEqual((await repairing).errors, []);
  assert.deepEqual(filesOf(root, ['data']), original);
});

test('a file that a killed repair had placed in versions only is placed in the project by the next one', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const original = filesOf(root);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  // What a kill between the two targets of one action leaves: its intent, and the file in versions alone.
  await moveIntoVersions(project, 'a.py');
  daemon.sql((db) => {
    db.prepare(
      `INSERT INTO repair_runs (run_id, project_id, origin, state, root_dir, version_dir, started_at)
       VALUES ('cut-off', ?, 'command', 'running', ?, ?, 1)`,
    ).run(project.project_id, root, project.version_dir);
    db.prepare(
      `INSERT INTO repair_actions (run_id, project_id, file_id, path, verdict, state, targets, sha256)
       SELECT 'cut-off', project_id, id, path, 'restore_from_cst', 'intent', 'versions,project', sha256
       FROM files WHERE path = 'a.py'`,
    ).run();
  });
  await daemon.repair({ root_dir: root });
  assert.deepEqual(filesOf(root, ['data']), original);
  assert.deepEqual(await daemon.paths(project.project_id, true), []);
});

for (const how of ['its process is killed', 'it is cancelled'] as const) {
  test(`a repair beside a watcher, of which ${how}: what was not brought back yet is no deletion`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project(manyFiles(400));
    const original = filesOf(root);
    const daemon = await sandbox.startDaemon();
    daemon.mayLogErrors = true;
    const { project_id } = await daemon.addProject(root, { version_dir: sandbox.path('versions') });
    renameSync(root, `${root}.away`);
    mkdirSync(root);
    await waitFor('the brake', async () => {
      const { freshness } = await daemon.call('get_project_status', { project_id });
      return freshness === 'unknown';
    });
    const started = await daemon.call('repair_database', { project_id, force: true, wait: false });
    assert.ok('job_id' in started);
    await untilInTheMiddle(daemon);
    if (how === 'it is cancelled') await daemon.call('cancel_job', started);
    else {
      const task = childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes('repair'));
      process.kill(task?.pid ?? assert.fail('no repair process'), 'SIGKILL');
    }
    await waitFor('its end', async () => (await daemon.call('get_job', started)).state !== 'running', 60_000);
    const { freshness } = await daemon.call('wait_until_fresh', { project_id });
    const { reason, files } = await daemon.call('get_project_status', { project_id });
    assert.equal(files.deleted, 0);
    if (how === 'it is cancelled') {
      assert.equal(freshness, 'stale');
      assert.match(reason ?? '', /files are missing that a repair did not come to bring back/);
      const { status, problems } = await daemon.call('health');
      assert.deepEqual([status, problems.map(({ source }) => source)], ['degraded', [root]]);
      writeFileSync(join(root, 'other.py'), 'other = 1\n');
      await waitFor('another change is followed', () =>
        daemon.call('get_file', { project_id, path: 'other.py' }),
      );
      const after = await daemon.call('get_project_status', { project_id });
      assert.notEqual(after.freshness, 'fresh');
      rmSync(join(root, 'other.py'));
      assert.deepEqual((await daemon.repair({ project_id })).errors, []);
    } else assert.equal(freshness, 'fresh', 'another process has finished it');
    assert.deepEqual(filesOf(root), original);
    assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
    const { runs } = await daemon.call('list_repairs', { project_id });
    assert.deepEqual(
      runs.filter(({ state }) => state === 'running'),
      [],
    );
  });
}

test('a repair that lost its process fails with a reason, and the next one does the rest', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: ['vectorization'] } });
  daemon.mayLogErrors = true;
  const project = await daemon.addProject(root);
  const lost = addLostRows(daemon, project, 400);
  const failure = daemon.failure('repair_database', { root_dir: root });
  await untilInTheMiddle(daemon);
  const task = childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes('repair'));
  process.kill(task?.pid ?? assert.fail('no repair process'), 'SIGKILL');
  assert.match((await failure).hint, /^Ask for the state before you repeat the call/u);
  await waitFor('the workers run again', async () => {
    const { status, workers } = await daemon.call('health');
    return status === 'ok' && workers['vectorization'] === 'ready';
  });
  const { errors } = await daemon.repair({ root_dir: root });
  assert.deepEqual(errors, []);
  const files = filesOf(root, ['data']);
  for (const [path, source] of lost) assert.equal(files.get(path)?.content, files.get(source)?.content, path);
  assert.equal(files.size, 402, 'and no temporary file is left');
  assert.deepEqual(
    [...filesOf(join(root, 'data')).keys()].filter((path) => path.endsWith('.tmp')),
    [],
  );
});
