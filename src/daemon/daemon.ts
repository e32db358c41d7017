import { once } from 'node:events';
import { join } from 'node:path';
import { readConfig } from '../base/config.js';
import { messageOf } from '../base/errors.js';
import { makeFolders } from '../base/make-folders.js';
import { makePrivate } from '../base/umask.js';
import { version } from '../base/package.js';
import type { Locations } from '../base/locations.js';
import { contract, type Result } from '../contract/index.js';
import type { Problem } from '../contract/system.js';
import { clientsFor, openFilesMax } from '../rpc/server/limits.js';
import { createRpcServer } from '../rpc/server/server.js';
import { holdStateLock } from '../store/lock.js';
import { Jobs } from '../supervisor/jobs.js';
import { serviceHandlers } from '../supervisor/methods/methods.js';
import { RepairCommand } from '../supervisor/repair-command.js';
import { Subscriptions } from '../supervisor/subscriptions.js';
import { Supervisor } from '../supervisor/supervisor.js';
import { serviceNotify } from './service-notify.js';
import { UsageSampler } from '../supervisor/methods/worker-status.js';
import { type Activity, workerKinds } from '../base/ipc.js';

export interface DaemonOptions {
  locations: Locations;
  /** Projects to register at the start; absolute. */
  projects: readonly string[];
}

/** An earlier supervisor that is about to end gets so long (ms): whoever stops one and starts another need not wait in between. */
const takeoverMs = 1_500;
/** What a start takes (ms) besides the workers' own start timeout: ending what an earlier supervisor left. */
const startMarginMs = 15_000;
/** What a stop takes (ms) besides the workers' own stop timeout: killing, closing the socket and the logs. */
const stopMarginMs = 15_000;
/** An index that somebody removed is saved within so long (ms), also one of hundreds of gigabytes. */
const savingMaxMs = 3_600_000;

/** A running daemon. */
export interface Daemon {
  /** Resolves when every worker is gone and the socket is closed, with what could not be ended or looked for. */
  readonly ended: Promise<string[]>;
  /** Aborts when the stop begins, whoever asked for it. */
  readonly stopping: AbortSignal;
  /** Resolves once everything was started, with what became of the projects that were named; none where it failed. */
  readonly started: Promise<readonly NamedProject[]>;
  /** Stops in order; safe to call more than once. */
  stop(): void;
  /** For a stop that is under way: kills every worker now, in the middle of whatever it does. */
  hurry(): void;
  /** How far the index of a project is, and what its watcher does. */
  lookAt(projectId: string): Promise<ProjectProgress>;
  /** Logs an error that nothing in the program caught. */
  reportDefect(error: unknown): void;
}

/** A project that was named at the start; it goes on without those that could not be registered. */
export type NamedProject = { root: string } & ({ projectId: string } | { error: unknown });

export interface ProjectProgress {
  status: Result<'get_project_status'>;
  watcher: Activity;
}

/**
 * Starts the supervisor: lock → socket → index_service → unfinished repair → projects → workers. It answers
 * `health` from the second step on; requests that need the index wait until it is there.
 * @throws CodekeepError where the state directory or the socket is taken, or the configuration is wrong
 */
export async function startDaemon({ locations, projects }: DaemonOptions): Promise<Daemon> {
  const startedAt = Date.now();
  makePrivate();
  const config = readConfig(locations.config, locations.isConfigNamed);
  makeFolders(locations.stateDir, stateDirHint);
  const lock = await holdStateLock(join(locations.stateDir, 'lock.db'), takeoverMs);
  const subscriptions = new Subscriptions();
  const supervisor = new Supervisor({
    stateDir: locations.stateDir,
    logsDir: locations.logs,
    config,
    events: subscriptions,
  });
  const onDefect = (error: unknown, where: string): void =>
    supervisor.log(
      'error',
      `${where}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  const jobs = new Jobs(subscriptions, (error) => onDefect(error, 'job'));
  const repair = new RepairCommand(supervisor, subscriptions);
  const sampler = new UsageSampler(() => workerPids(supervisor));
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  const problems = new Map<Problem['source'], Problem>();
  const server = createRpcServer({
    contract,
    handlers: serviceHandlers({
      supervisor,
      repair,
      jobs,
      subscriptions,
      sampler,
      version,
      startedAt,
      problems: () => [...problems.values()],
      shutDown: stop,
    }),
    socketPath: locations.socket,
    socketGroup: config.socket_group,
    onDefect,
    onSocketProblem: (problem) => {
      if (problem === null) problems.delete('socket');
      else problems.set('socket', { source: 'socket', reason: problem, hint: socketHint(process.env) });
      supervisor.log('warn', problem ?? 'the socket is where it was again');
    },
    limits: {
      ...clientsFor(openFilesMax()),
      maxMessageBytes: config.max_message_bytes,
      socketCheckEveryMs: config.socket_check_interval * 1_000,
    },
  });
  try {
    if (isActivated(process.env)) await server.listenFd(activatedFd);
    else await server.listen();
  } catch (error) {
    sampler.stop();
    await supervisor.logs.close();
    lock.release();
    throw error;
  }
  supervisor.log('info', `codekeep ${version} listens on ${locations.socket} (pid ${process.pid})`);
  const notify = serviceNotify({
    env: process.env,
    socket: locations.socket,
    log: (level, message) => supervisor.log(level, message),
  });
  notify?.starting(config.worker_start_timeout * 1_000 + startMarginMs);
  const begun = begin(supervisor, repair, sampler, projects, () => notify?.ready())
    .then(async (named) => {
      await notify?.look();
      return named;
    })
    .catch((error: unknown): NamedProject[] => {
      // Stopped before everything was started: there is nothing to mend.
      if (supervisor.hold.isEnding) return [];
      problems.set('start', { source: 'start', reason: messageOf(error), hint: startHint });
      onDefect(error, 'start');
      supervisor.startFailed(messageOf(error));
      return [];
    });
  const ended = once(stopping.signal, 'abort').then(async () => {
    supervisor.log('info', 'stopping');
    notify?.stopping(config.worker_stop_timeout * 1_000 + stopMarginMs);
    sampler.stop();
    try {
      const failures = await supervisor.end(() => notify?.stopping(savingMaxMs));
      await begun;
      return failures;
    } finally {
      await server.close();
      lock.release();
      await notify?.end();
    }
  });
  return {
    ended,
    stopping: stopping.signal,
    started: begun,
    stop,
    hurry: () => supervisor.hurry(),
    async lookAt(projectId) {
      const status = await supervisor.askIndex('get_project_status', { project_id: projectId });
      return { status, watcher: supervisor.slots.file_watcher.activity };
    },
    reportDefect: (error) => onDefect(error, 'uncaught'),
  };
}

async function begin(
  supervisor: Supervisor,
  repair: RepairCommand,
  sampler: UsageSampler,
  projects: readonly string[],
  onUseful: () => void,
): Promise<NamedProject[]> {
  await supervisor.begin(onUseful);
  await repair.recover();
  repair.alone.settle();
  const named: NamedProject[] = [];
  for (const root of projects) named.push(await register(supervisor, root));
  supervisor.started();
  // A repair that waited for this goes first.
  const starting = repair.alone.idle().then(async () => await supervisor.autostart());
  // The workers are told to start by now, and first answers have gone out: what writes the logs takes long to load.
  await supervisor.logs.open();
  await starting;
  await sampler.sampleAll();
  return named;
}

async function register(supervisor: Supervisor, root: string): Promise<NamedProject> {
  try {
    const { project_id } = await supervisor.askIndex('add_project', { root_dir: root });
    return { root, projectId: project_id };
  } catch (error) {
    if (!supervisor.hold.isEnding) supervisor.log('error', `${root} was not added: ${messageOf(error)}`);
    return { root, error };
  }
}

function workerPids(supervisor: Supervisor): number[] {
  const processes = workerKinds.map((kind) => supervisor.slots[kind].process);
  return processes.filter((worker) => worker !== null && !worker.hasExited).map((worker) => worker?.pid ?? 0);
}

const stateDirHint =
  'The state directory needs it: give another one with --state-dir, or see that this one can be made.';

const startHint = 'Not everything was started. Mend the cause, then restart the daemon.';

function socketHint(env: NodeJS.ProcessEnv): string {
  return isActivated(env)
    ? 'Nobody else can connect. Restart the socket unit (systemctl restart) to have it again.'
    : 'Nobody else can connect. Move away what is there: it is listened there again as soon as that is possible.';
}

/** The first descriptor that systemd hands over; sd_listen_fds(3). */
const activatedFd = 3;

/** True when systemd listens for this process, so that the first connection starts it. */
function isActivated(env: NodeJS.ProcessEnv): boolean {
  return env['LISTEN_PID'] === String(process.pid) && Number(env['LISTEN_FDS'] ?? '0') >= 1;
}
