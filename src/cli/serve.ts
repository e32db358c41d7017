import { resolve } from 'node:path';
import { type LocationFlags, locate } from '../base/locations.js';
import { keepMemorySmall } from '../base/small-memory.js';
import { sleep } from '../base/waiting.js';
import { type Client, connect } from '../rpc/client/client.js';
import { describeError } from './output.js';

/** How often the progress of indexing is looked at (ms). */
const lookEveryMs = 200;

/** `codekeep serve`: the supervisor in the foreground, until SIGTERM or SIGINT. */
export async function serve(flags: LocationFlags & { project: string[] }): Promise<void> {
  keepMemorySmall();
  // Only this command needs the server's half of the program.
  const { startDaemon } = await import('../daemon/daemon.js');
  const locations = locate(flags, process.env);
  const projects = flags.project.map((folder) => resolve(folder));
  const daemon = await startDaemon({ locations, projects });
  // What nobody caught is a defect; it is logged where it can be found, and the daemon goes on or ends in order.
  process.on('unhandledRejection', (error) => daemon.reportDefect(error));
  process.on('uncaughtException', (error) => {
    daemon.reportDefect(error);
    process.exitCode = 1;
    daemon.stop();
  });
  // A terminal that goes away must not take the daemon with it.
  process.stdout.on('error', () => undefined);
  process.on('SIGTERM', () => daemon.stop());
  process.on('SIGINT', () => daemon.stop());
  process.stdout.write(`listening on ${locations.socket}\n`);
  const shown = showProgress(locations.socket, projects, daemon.stopping).catch(() => undefined);
  await daemon.ended;
  await shown;
}

/** Follows the first indexing of the projects that were named, for whoever sits before the terminal. */
async function showProgress(socket: string, projects: readonly string[], signal: AbortSignal): Promise<void> {
  if (projects.length === 0) return;
  const client = await connect({ socket });
  try {
    for (const root of projects) {
      try {
        await followProject(client, root, signal);
      } catch (error) {
        // The daemon goes on: the folder may be mounted later, and other projects are there.
        if (!signal.aborted) process.stderr.write(`${describeError(error, false)}\n`);
      }
    }
    if (!signal.aborted)
      process.stdout.write('ready: try "codekeep search" or "codekeep status" in another terminal\n');
  } finally {
    client.close();
  }
}

async function followProject(client: Client, root: string, signal: AbortSignal): Promise<void> {
  const { project_id } = await client.call('add_project', { root_dir: root });
  const startedAt = performance.now();
  const { SingleBar } = await import('cli-progress');
  const bar = process.stdout.isTTY
    ? new SingleBar({ format: `indexing ${root} [{bar}] {value}/{total}`, clearOnComplete: true })
    : null;
  bar?.start(0, 0);
  try {
    while (!signal.aborted) {
      const [status, worker] = await Promise.all([
        client.call('get_project_status', { project_id }),
        client.call('get_worker_status', { worker_type: 'file_watcher' }),
      ]);
      if (status.last_verified_at !== null && status.freshness === 'fresh') {
        bar?.stop();
        const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
        process.stdout.write(
          `indexed ${root}: ${status.files.active} files, ${status.chunks.total} chunks, after ${seconds} s\n`,
        );
        return;
      }
      if ('progress' in worker && worker.progress !== null) {
        bar?.setTotal(worker.progress.total);
        bar?.update(worker.progress.done);
      }
      await sleep(lookEveryMs, signal);
    }
  } finally {
    bar?.stop();
  }
}
