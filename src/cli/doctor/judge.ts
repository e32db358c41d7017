import type { Result } from '../../contract/index.js';
import type { InotifyLimit } from '../../base/inotify-limits.js';
import { inCommands } from '../own-words.js';
import { type Finding, fail, ok, warn } from './finding.js';

/** What facts mean. No function here looks at anything but its arguments. */

/** SQLite before it can damage an index whose WAL several processes write to. */
const sqliteVersionMin = '3.51.3';
/** Enough for log files and a WAL that grows; with less, writes fail soon. */
const freeBytesMin = 64 * 1024 * 1024;
/** Restored files and versions need inodes of their own. */
const freeInodesMin = 1_000;
/** A user's other programs watch, too, and come and go. */
const inotifyShareMax = 0.8;

/** Whether dotted numbers are in order, part by part; what follows the numbers does not count. */
export function isAtLeast(version: string, least: string): boolean {
  const parts = (text: string): number[] => (/\d+(?:\.\d+)*/.exec(text)?.[0] ?? '0').split('.').map(Number);
  const [have, need] = [parts(version), parts(least)];
  for (let index = 0; index < Math.max(have.length, need.length); index += 1) {
    const difference = (have[index] ?? 0) - (need[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

export function judgeNode(version: string, needed: string): Finding {
  const range = needed.replace(/^[^\d]*/, '');
  return isAtLeast(version, range)
    ? ok('node', `${version}, at least ${range} is needed`)
    : fail(
        'node',
        `${version} is too old, at least ${range} is needed`,
        `Run codekeep with Node ${range} or newer.`,
      );
}

/** @param output what the check of the binding printed, or why it could not be loaded */
export function judgeSqlite(output: { version: string } | { problem: string }): Finding {
  if ('problem' in output) {
    return fail(
      'sqlite',
      `better-sqlite3 cannot be loaded: ${output.problem}`,
      'Run "npm rebuild better-sqlite3" with the Node that runs codekeep.',
    );
  }
  return isAtLeast(output.version, sqliteVersionMin)
    ? ok('sqlite', `better-sqlite3 brings SQLite ${output.version}`)
    : fail(
        'sqlite',
        `SQLite ${output.version} can damage an index that several processes write to`,
        `Install a better-sqlite3 that brings SQLite ${sqliteVersionMin} or newer.`,
      );
}

/** An entry of the file system; `errno` where it cannot be looked at. */
export type PathFacts =
  { errno: string } | { kind: 'socket' | 'folder' | 'other'; uid: number; mode: number; isUsable: boolean };

export interface SocketFacts {
  path: string;
  entry: PathFacts;
  folder: PathFacts;
  /** Who looks. */
  uid: number;
  /** Whether the configuration names a group that may use it. */
  hasGroup: boolean;
  /** What connecting and health gave. */
  answer: { pid: number; version: string } | { problem: string };
  ownVersion: string;
}

export function judgeSocket({
  path,
  entry,
  folder,
  uid,
  hasGroup,
  answer,
  ownVersion,
}: SocketFacts): Finding {
  const say = (message: string): string => `${path}: ${message}`;
  if ('errno' in entry) {
    if (entry.errno === 'ENOENT')
      return warn(
        'socket',
        say('no supervisor has made it'),
        'Start one with "codekeep serve" or through systemd.',
      );
    return fail(
      'socket',
      say(`cannot be looked at (${entry.errno})`),
      'Name your own with --socket or CODEKEEP_SOCKET.',
    );
  }
  if (entry.kind !== 'socket')
    return fail('socket', say('is not a socket'), 'Move it away, or name another path with --socket.');
  if (entry.uid !== uid && uid !== 0)
    return fail('socket', say(`belongs to another user (${entry.uid})`), 'Name your own with --socket.');
  if ((entry.mode & (hasGroup ? 0o007 : 0o077)) !== 0)
    return fail(
      'socket',
      say(`others may connect (mode ${octal(entry.mode)}) and with it change your files`),
      `Run "chmod 600 ${path}" and find out what had changed it.`,
    );
  if (!('errno' in folder) && (folder.mode & 0o022) !== 0 && (folder.mode & 0o1000) === 0)
    return fail(
      'socket',
      say(`others may replace it: its folder has mode ${octal(folder.mode)}`),
      'Run "chmod go-w" on the folder, or name a socket in a folder of your own.',
    );
  if ('problem' in answer)
    return warn(
      'socket',
      say(`nobody answers (${answer.problem})`),
      'Start the supervisor; it replaces a socket that nobody listens on. If one runs, restart it.',
    );
  const who = `supervisor ${answer.version} answers (pid ${answer.pid})`;
  return answer.version === ownVersion
    ? ok('socket', say(who))
    : warn('socket', say(`${who}, this program is ${ownVersion}`), 'Restart the supervisor.');
}

export function judgeStateDir(path: string, entry: PathFacts, uid: number): Finding {
  const check = 'state directory';
  if ('errno' in entry)
    return entry.errno === 'ENOENT'
      ? ok(check, `${path} is made at the first start`)
      : fail(check, `${path} cannot be looked at (${entry.errno})`, ownership(path));
  if (entry.kind !== 'folder')
    return fail(check, `${path} is not a folder`, 'Move it away, or give --state-dir.');
  if (!entry.isUsable)
    return fail(check, `${path} cannot be read and written by user ${uid}`, ownership(path));
  if ((entry.mode & 0o077) !== 0)
    return warn(
      check,
      `${path} is open to others (mode ${octal(entry.mode)}); the index holds the content of every file`,
      `Run "chmod 700 ${path}".`,
    );
  return ok(check, `${path}, mode ${octal(entry.mode)}`);
}

function ownership(path: string): string {
  return `Give ${path} to the user who runs codekeep, or name another with --state-dir.`;
}

export interface InotifyFacts {
  watchesMax: InotifyLimit | null;
  instancesMax: InotifyLimit | null;
  /** Of all processes of this user. */
  watches: number;
  instances: number;
  /** Folders with indexed files; null where no supervisor answers. */
  folders: number | null;
}

export function judgeInotify({
  watchesMax,
  instancesMax,
  watches,
  instances,
  folders,
}: InotifyFacts): Finding[] {
  if (watchesMax === null || instancesMax === null)
    return [warn('inotify', 'the limits cannot be read', 'Look into /proc/sys/fs/inotify by hand.')];
  const needed = Math.max(watches, folders ?? 0);
  const indexed = folders === null ? '' : `, ${folders} folders are indexed`;
  return [
    judgeLimit('inotify watches', needed, watchesMax, `${watches} in use${indexed}`),
    judgeLimit('inotify instances', instances, instancesMax, `${instances} in use`),
  ];
}

function judgeLimit(check: string, needed: number, { sysctl, max }: InotifyLimit, what: string): Finding {
  const message = `${what}, ${max} are allowed`;
  // Twice what is needed: a build folder that appears needs as many again.
  const fix = `Run "sysctl -w ${sysctl}=${Math.max(max, needed) * 2}" as root, and keep it in /etc/sysctl.d.`;
  if (needed >= max)
    return fail(check, `${message}: folders beyond that are polled, and changes in them are seen later`, fix);
  return needed > max * inotifyShareMax ? warn(check, message, fix) : ok(check, message);
}

export interface DiskFacts {
  path: string;
  freeBytes: number;
  /** Null where the file system does not count them. */
  freeInodes: number | null;
  /** Size of the index if it is on this file system: a repair backs it up first. */
  indexBytes: number;
}

export function judgeDisk({ path, freeBytes, freeInodes, indexBytes }: DiskFacts): Finding {
  const check = 'disk space';
  const fix = `Free some space on the file system of ${path}.`;
  const message = `${path}: ${megabytes(freeBytes)} MB free`;
  if (freeBytes < freeBytesMin) return fail(check, message, fix);
  if (freeInodes !== null && freeInodes < freeInodesMin)
    return fail(check, `${path}: ${freeInodes} inodes free`, fix);
  if (freeBytes < indexBytes * 2 + freeBytesMin)
    return warn(
      check,
      `${message}, too little to back up and rebuild the index (${megabytes(indexBytes)} MB)`,
      fix,
    );
  return ok(check, message);
}

export function judgeDatabase(check: { ok: boolean; problems: readonly string[] }, what: string): Finding {
  if (check.ok) return ok('database', what);
  const shown = check.problems.slice(0, 3).join('; ');
  return fail(
    'database',
    `${check.problems.length} problems: ${shown}`,
    '"codekeep rebuild" makes a new index of all that can be read, of the backups and the disk; the damaged one is kept.',
  );
}

/** One that has been given the time to become fresh. */
export function judgeProject(
  root: string,
  { freshness, reason, files }: Pick<Result<'get_project_status'>, 'freshness' | 'reason' | 'files'>,
): Finding {
  const counts = `${files.active} files, ${files.not_restorable} of them not restorable`;
  const message = `${root}: ${freshness}${reason === null ? '' : `, ${reason}`}`;
  if (freshness === 'fresh') return ok('project', `${message}, ${counts}`);
  return warn(
    'project',
    message,
    freshness === 'unknown'
      ? 'See that the folder is there and mounted and that file_watcher runs, then "codekeep update" it.'
      : 'Mend the cause that is named; where work is under way, run the doctor again when it is over.',
  );
}

/** The supervisor knows best what is wrong with it, and what to do. */
export function judgeHealth({
  workers,
  problems,
}: Pick<Result<'health'>, 'workers' | 'problems'>): Finding[] {
  const others = problems.filter(({ source }) => workers[source] === undefined);
  return [
    ...Object.entries(workers).flatMap(([name, state]) => {
      const own = problems.filter(({ source }) => source === name);
      if (own.length === 0) return [ok(`worker ${name}`, state)];
      const judge = state === 'failed' ? fail : warn;
      return own.map(({ reason, hint }) => judge(`worker ${name}`, `${state}: ${reason}`, inCommands(hint)));
    }),
    ...others.map(({ source, reason, hint }) => fail(source, reason, inCommands(hint))),
  ];
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1_048_576);
}
