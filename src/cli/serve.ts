import { resolve } from 'node:path';
import { type LocationFlags, locate } from '../base/locations.js';
import { keepMemorySmall } from '../base/small-memory.js';
import { sleep } from '../base/waiting.js';
import type { Daemon } from '../daemon/daemon.js';
import { describeError, exitStatus, print } from './output.js';
import { oneLine } from './text.js';

/** How often the progress of indexing is looked at (ms). */
const lookEveryMs = 200;

/** `codekeep serve`: the supervisor in the foreground, until SIGTERM, SIGINT or SIGHUP. */
export async function serve(flags: LocationFlags & { project: string[] }): Promise<void> {
  keepMemorySmall();
  const signals = new StopSignals();
  // Only this command needs the server's half of the program.
  const { startDaemon } = await import('../daemon/daemon.js');
  const locations = locate(flags, process.env);
  const projects = flags.project.map((folder) => resolve(folder));
  const daemon = await startDaemon({ locations, projects });
  // What nobody caught is a defect; it is logged where it can be found, and the daemon goes on or ends in order.
  process.on('unhandledRejection', (error) => daemon.reportDefect(error));
  process.on('uncaughtException', (error) => {
    daemon.reportDefect(error);
    process.exitCode = exitStatus.failed;
    daemon.stop();
  });
  signals.stop(daemon);
  print`listening on ${locations.socket}`;
  if (projects.length > 0) await showProgress(daemon).catch(complain);
  for (const failure of await daemon.ended) {
    process.stderr.write(`${failure}\n`);
    process.exitCode = exitStatus.failed;
  }
}

/** They are heard from the beginning: a daemon that is still starting leaves nothing behind either. */
class StopSignals {
  #daemon: Daemon | null = null;
  #isAsked = false;

  constructor() {
    // A terminal that goes away must not take the daemon's order with it: what is said to it then is lost.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => this.#ask());
    process.on('SIGINT', () => {
      if (!this.#isAsked || this.#daemon === null) return this.#ask();
      process.stderr.write('forced: every worker is killed\n');
      process.exitCode = exitStatus.interrupted;
      return this.#daemon.hurry();
    });
  }

  #ask(): void {
    this.#isAsked = true;
    this.#daemon?.stop();
  }

  /** Whom they stop, now where one was there already. */
  stop(daemon: Daemon): void {
    this.#daemon = daemon;
    if (this.#isAsked) daemon.stop();
  }
}

function complain(error: unknown): void {
  process.stderr.write(`${describeError(error, false)}\n`);
}

/** Follows the first indexing of the projects that were named, for whoever sits before the terminal. */
async function showProgress(daemon: Daemon): Promise<void> {
  const startedAt = performance.now();
  for (const project of await daemon.started) {
    if (daemon.stopping.aborted) return;
    if ('projectId' in project) await followProject(daemon, project.projectId, startedAt);
    // The daemon goes on: the folder may be mounted later, and other projects are there.
    else complain(project.error);
  }
  if (!daemon.stopping.aborted) print`ready: try "codekeep search" or "codekeep status" in another terminal`;
}

async function followProject(daemon: Daemon, projectId: string, startedAt: number): Promise<void> {
  const { SingleBar } = await import('cli-progress');
  const bar = process.stdout.isTTY
    ? new SingleBar({ format: 'indexing {root} [{bar}] {value}/{total}', clearOnComplete: true })
    : null;
  bar?.start(0, 0, { root: '' });
  try {
    while (!daemon.stopping.aborted) {
      const { status, watcher } = await daemon.lookAt(projectId);
      const { root_dir, files, chunks, freshness, reason } = status;
      if (status.last_verified_at !== null && freshness === 'fresh') {
        bar?.stop();
        const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
        print`indexed ${root_dir}: ${files.active} files, ${chunks.total} chunks, after ${seconds} s${reason === null ? '' : `; ${reason}`}`;
        return;
      }
      bar?.setTotal(watcher.total);
      bar?.update(watcher.done, { root: oneLine(root_dir) });
      await sleep(lookEveryMs, daemon.stopping);
    }
  } catch (error) {
    // The stop came while it was looked at, or the project was removed: there is nothing to follow any more.
    if (!daemon.stopping.aborted) process.stderr.write(`${describeError(error, false)}\n`);
  } finally {
    bar?.stop();
  }
}
