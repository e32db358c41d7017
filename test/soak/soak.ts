import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '#src/rpc/client/client.js';
import { type Daemon, type Project, versionPath } from '../harness/daemon.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';
import { processesLookedAt, type Sample, takeSample, trends } from './samples.js';

/**
 * `npm run soak`: a day of a daemon's life in a few minutes (CODEKEEP_SOAK_MINUTES, 5 by default). Cycles of requests,
 * clients that come and go, stops, starts, crashes, changes, losses and repairs; then everything that could leak is
 * compared with what it was after the warm-up. Exit status 1 where something grows or is left behind.
 */
const minutes = Number(process.env['CODEKEEP_SOAK_MINUTES'] ?? '5');
const workerTypes = ['file_watcher', 'vectorization', 'repair'] as const;
const probe = fileURLToPath(new URL('probe.js', import.meta.url));

async function ask(daemon: Daemon): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    await Promise.all([
      daemon.call('health'),
      daemon.call('list_projects'),
      daemon.call('search', { query: `f${round}`, limit: 5 }),
      daemon.call('get_worker_status', {}),
      daemon.call('get_database_status'),
      daemon.failure('no_such_method'),
      daemon.refusal('get_job', { job_id: 'none' }),
    ]);
  }
}

/** Some hang up in order, some in the middle of a message, some without reading their reply. */
async function comeAndGo(daemon: Daemon): Promise<void> {
  await Promise.all(
    Array.from({ length: 40 }, async (_, number) => {
      if (number % 2 === 0) {
        const client = await connect({ socket: daemon.socket });
        await client.call('health');
        client.close();
        return;
      }
      const socket = connectSocket(daemon.socket);
      socket.on('error', () => undefined);
      const text = '{"jsonrpc":"2.0","id":1,"method":"list_projects"}\n';
      await new Promise<void>((resolve) =>
        socket.write(number % 4 === 1 ? text.slice(0, 20) : text, () => resolve()),
      );
      socket.destroy();
    }),
  );
}

async function stopAndStart(daemon: Daemon): Promise<void> {
  for (const worker_type of workerTypes) {
    await daemon.call('start_worker', { worker_type, poll_interval: 3_600 });
    const { failed } = await daemon.call('stop_worker', { worker_type });
    assert.deepEqual(failed, []);
    await daemon.call('start_worker', { worker_type, poll_interval: 3_600 });
  }
}

async function crash(daemon: Daemon): Promise<void> {
  for (const type of workerTypes) {
    const pid = await waitFor(`${type} runs`, () => daemon.workerPid(type), 60_000);
    process.kill(pid, 'SIGKILL');
    await waitFor(
      `${type} runs again`,
      async () => {
        const now = await daemon.workerPid(type);
        return now !== null && now !== pid && (await daemon.call('health')).workers[type] === 'ready';
      },
      60_000,
    );
    // Its crash is forgotten, so that a hundred cycles are not a hundred crashes in a row.
    await daemon.call('stop_worker', { worker_type: type });
    await daemon.call('start_worker', { worker_type: type, poll_interval: 3_600 });
  }
}

/** Loses files in all three ways and has them back. */
async function loseAndRepair(daemon: Daemon, project: Project, cycle: number): Promise<void> {
  const { project_id, root_dir } = project;
  writeFileSync(join(root_dir, 'changing.py'), `x = ${cycle}\n`);
  await daemon.call('wait_until_fresh', { project_id, timeout: 60 });
  const before = filesOf(root_dir, ['data']);
  await daemon.stopWorkers('file_watcher');
  rmSync(join(root_dir, 'folder0'), { recursive: true });
  rmSync(versionPath(project), { recursive: true, force: true });
  const planned = await daemon.repair({ project_id, dry_run: true });
  const report = await daemon.repair({ project_id });
  assert.equal(report.totals['restore_from_cst'], planned.totals['restore_from_cst']);
  assert.deepEqual(report.errors, []);
  assert.deepEqual(filesOf(root_dir, ['data']), before, 'every byte is back');
  const job = await daemon.call('repair_database', { project_id, wait: false });
  if ('job_id' in job) {
    await daemon.call('cancel_job', job);
    await waitFor(
      'the job has ended',
      async () => (await daemon.call('get_job', job)).state !== 'running',
      60_000,
    );
  }
  await daemon.call('start_worker', { worker_type: 'file_watcher' });
}

async function live(daemon: Daemon, project: Project, probePath: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  const until = performance.now() + minutes * 60_000;
  for (let cycle = 1; performance.now() < until || samples.length < 8; cycle += 1) {
    await ask(daemon);
    await comeAndGo(daemon);
    await stopAndStart(daemon);
    await crash(daemon);
    await loseAndRepair(daemon, project, cycle);
    await daemon.call('wait_until_fresh', { project_id: project.project_id, timeout: 60 });
    samples.push(await takeSample(daemon, probePath));
  }
  return samples;
}

const sandbox = await Sandbox.create();
const probePath = sandbox.path('probe.json');
let grows = true;
try {
  const root = await sandbox.project(manyFiles(300));
  const daemon = await sandbox.startDaemon({
    config: {},
    under: ['env', `NODE_OPTIONS=--import=${probe}`, `CODEKEEP_SOAK_PROBE=${probePath}`],
  });
  daemon.mayLogErrors = true;
  const samples = await live(daemon, await daemon.addProject(root), probePath);
  process.stdout.write(`${samples.length} cycles in ${minutes} minutes\n`);
  await waitFor(
    'pidusage has closed the files of processes that are gone',
    () => processesLookedAt(daemon.pid) <= workerTypes.length + 1,
    60_000,
  );
  const found = trends(samples);
  for (const { name, before, after, grows: isLeak } of found) {
    const figures = `${before.toFixed(1).padStart(8)} → ${after.toFixed(1).padStart(8)}`;
    process.stdout.write(`  ${name.padEnd(44)} ${figures}${isLeak ? '   GROWS' : ''}\n`);
  }
  grows = found.some((trend) => trend.grows);
} finally {
  await sandbox.end();
}
process.stdout.write(grows ? 'something grows\n' : 'nothing grows, and nothing was left behind\n');
process.exitCode = grows ? 1 : 0;
