import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import { readConfig } from '../base/config.js';
import { CodekeepError, messageOf } from '../base/errors.js';
import { groupId } from '../base/group-id.js';
import { clientSocket, type Locations, locate } from '../base/locations.js';
import { engines, version } from '../base/package.js';
import type { Result } from '../contract/index.js';
import { type Client, connect, UnreachableError } from '../rpc/client/client.js';
import type { CommonFlags } from './client-command.js';
import { askAboutDatabase, askAboutProjects } from './doctor/ask.js';
import { type Finding, fail, ok, warn } from './doctor/finding.js';
import {
  judgeDisk,
  judgeHealth,
  judgeInotify,
  judgeNode,
  judgeSocket,
  judgeSqlite,
  judgeStateDir,
} from './doctor/judge.js';
import {
  sizeOfIndex,
  isInstalled,
  lookAtBinding,
  lookAtDisk,
  lookAtInotify,
  lookAtPath,
} from './doctor/look.js';
import { exitStatus, print, printJson } from './output.js';
import { notHeard, supervisorOf, whyUnreached } from './supervisor-pid.js';
import { tableLines } from './text.js';

/** health answers within 10 ms; who does not within this does not answer. */
const healthMaxMs = 5_000;

interface DoctorFlags extends CommonFlags {
  proc: string;
}

/** A supervisor that answers, or why there is none. */
type Supervisor = { client: Client; health: Result<'health'> } | { client: null; error: unknown };

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('Look for what keeps the daemon from working, and say how to mend it')
    .option('--config <file>', 'the configuration file')
    .addOption(new Option('--proc <dir>', 'where procfs is mounted').default('/proc').hideHelp())
    .action(async (flags: DoctorFlags) => {
      const socket = clientSocket(flags, process.env);
      const locations = { ...locate(flags, process.env), socket };
      const findings = await examine(locations, flags);
      const isWell = findings.every(({ verdict }) => verdict !== 'fail');
      if (flags.json === true) printJson({ ok: isWell, findings });
      else show(findings);
      if (!isWell) process.exitCode = exitStatus.left;
    });
}

async function examine(locations: Locations, flags: DoctorFlags): Promise<Finding[]> {
  const { socket } = locations;
  const supervisor = await reach(socket);
  const stateDir = stateDirOf(supervisor) ?? locations.stateDir;
  const configuration = await examineConfig(locations);
  try {
    const index = await examineIndex(supervisor);
    const inotify = { ...(await lookAtInotify(flags.proc, ownUid())), folders: index.folders };
    const disks = [examineDisk(stateDir, await sizeOfIndex(stateDir))];
    return [
      ...(await examineProgram()),
      configuration.finding,
      unheard(supervisor, flags) ?? (await examineSocket(socket, configuration.hasGroup, supervisor)),
      judgeStateDir(stateDir, await lookAtPath(stateDir, 'folder'), ownUid()),
      ...index.findings,
      ...judgeInotify(inotify),
      ...(await Promise.all([...disks, ...index.roots.map((root) => examineDisk(root, 0))])),
    ];
  } finally {
    supervisor.client?.close();
  }
}

/** A socket does not tell whose state directory it is; who answers on it does. */
function stateDirOf(supervisor: Supervisor): string | undefined {
  return supervisor.client === null ? undefined : supervisor.health.state_dir;
}

/** There is a supervisor, and it does not answer, or not on this socket. */
function unheard(supervisor: Supervisor, flags: CommonFlags): Finding | null {
  if (supervisor.client !== null || supervisorOf(flags, process.env) === null) return null;
  const { error } = supervisor;
  const { message, hint } = error instanceof UnreachableError ? whyUnreached(flags, error) : notHeard(flags);
  return fail('socket', message, hint);
}

function problemOf(error: unknown): string {
  return error instanceof UnreachableError ? error.errno : messageOf(error);
}

async function reach(socket: string): Promise<Supervisor> {
  let client: Client | null = null;
  try {
    client = await connect({ socket, timeoutMs: healthMaxMs });
    return { client, health: await client.call('health', {}, { timeoutMs: healthMaxMs }) };
  } catch (error) {
    client?.close();
    return { client: null, error };
  }
}

/** Programs that there should be, with what follows where one is not. */
const programs: readonly { name: string; missing: string; fix: string }[] = [
  {
    name: 'ps',
    missing: 'workers that an earlier supervisor left are found by their marks alone',
    fix: 'Install procps.',
  },
  {
    name: 'setpriv',
    missing: 'a busy worker outlives a supervisor that was killed until it is idle',
    fix: 'Install util-linux.',
  },
  {
    name: 'git',
    missing: 'it is not known what it tracks, and who took a file that is gone',
    fix: 'Install git, if any project is a repository.',
  },
];

async function examineProgram(): Promise<Finding[]> {
  const findings = [judgeNode(process.versions.node, engines.node), judgeSqlite(await lookAtBinding())];
  for (const { name, missing, fix } of programs) {
    const isThere = await isInstalled(name, '--version');
    findings.push(isThere ? ok(name, 'found') : warn(name, `missing: ${missing}`, fix));
  }
  if (!existsSync('/run/systemd/system')) return findings;
  const isHeard = await isInstalled('systemd-notify', '--version');
  findings.push(
    isHeard
      ? ok('systemd-notify', 'found')
      : fail(
          'systemd-notify',
          'missing: systemd would take every start for failed',
          'Install it, or set Type=exec and WatchdogSec=0 in a drop-in of the unit.',
        ),
  );
  return findings;
}

async function examineConfig({
  config: path,
  isConfigNamed,
}: Locations): Promise<{ finding: Finding; hasGroup: boolean }> {
  const check = 'configuration';
  try {
    const { socket_group } = readConfig(path, isConfigNamed);
    if (socket_group !== undefined) await groupId(socket_group);
    const where = existsSync(path) ? path : `${path} is not there, the defaults hold`;
    return { finding: ok(check, where), hasGroup: socket_group !== undefined };
  } catch (error) {
    const hint = error instanceof CodekeepError ? error.hint : 'Make the file readable or remove it.';
    return { finding: fail(check, messageOf(error), hint), hasGroup: false };
  }
}

async function examineSocket(path: string, hasGroup: boolean, supervisor: Supervisor): Promise<Finding> {
  return judgeSocket({
    path,
    entry: await lookAtPath(path, 'socket'),
    folder: await lookAtPath(dirname(path), 'folder'),
    uid: ownUid(),
    hasGroup,
    answer: supervisor.client === null ? { problem: problemOf(supervisor.error) } : supervisor.health,
    ownVersion: version,
  });
}

interface ServiceFindings {
  findings: Finding[];
  /** Root folders of the registered projects. */
  roots: string[];
  /** Folders with indexed files; null where nobody could be asked. */
  folders: number | null;
}

async function examineIndex(supervisor: Supervisor): Promise<ServiceFindings> {
  if (supervisor.client === null) {
    const fix = 'Run the doctor again once one answers.';
    const finding = warn('database', 'not looked at: only a supervisor opens the index', fix);
    return { findings: [finding], roots: [], folders: null };
  }
  const { client, health } = supervisor;
  const database = await askAboutDatabase(client);
  try {
    const { findings, ...projects } = await askAboutProjects(client);
    return { findings: [database, ...judgeHealth(health), ...findings], ...projects };
  } catch (error) {
    const hint = error instanceof CodekeepError ? error.hint : 'Look into "codekeep logs supervisor".';
    return { findings: [database, fail('projects', messageOf(error), hint)], roots: [], folders: null };
  }
}

async function examineDisk(path: string, bytes: number): Promise<Finding> {
  try {
    return judgeDisk(await lookAtDisk(path, bytes));
  } catch (error) {
    return warn('disk space', `${path}: ${messageOf(error)}`, 'See that the folder is there and mounted.');
  }
}

function ownUid(): number {
  return userInfo().uid;
}

function show(findings: readonly Finding[]): void {
  const lines = tableLines(findings.map(({ verdict, check, message }) => [verdict, check, message]));
  findings.forEach(({ fix }, index) => {
    print`${lines[index] ?? ''}`;
    if (fix !== null) print`      ${fix}`;
  });
  const count = (verdict: Finding['verdict']): number =>
    findings.filter((finding) => finding.verdict === verdict).length;
  print`${count('ok')} ok, ${count('warn')} warnings, ${count('fail')} failed`;
}
