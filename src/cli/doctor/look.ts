import { execFile } from 'node:child_process';
import { access, constants, lstat, readdir, readFile, readlink, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { errnoOf, messageOf } from '../../base/errors.js';
import { type InotifyLimit, inotifyLimit } from '../../base/inotify-limits.js';
import { packagePath } from '../../base/package.js';
import type { DiskFacts, PathFacts } from './judge.js';

/** Looks at the machine; nothing here says what is right. */

const run = promisify(execFile);
/** Loading the binding takes 50 ms; a disk that is asleep some seconds. */
const bindingMaxMs = 30_000;

export async function lookAtBinding(): Promise<{ version: string } | { problem: string }> {
  const program = packagePath('dist', 'store', 'binding-check.js');
  try {
    const { stdout } = await run(process.execPath, [program], { timeout: bindingMaxMs });
    return { version: stdout.trim() };
  } catch (error) {
    return { problem: lastWords(error) };
  }
}

/** The line of a failed program's output that says why it failed. */
function lastWords(error: unknown): string {
  const output = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
  return /^\w*Error: .*$/m.exec(output)?.[0] ?? messageOf(error).split('\n')[0] ?? '';
}

/** Whether a program is found on PATH; `args` make it end at once. */
export async function isInstalled(program: string, ...args: string[]): Promise<boolean> {
  return await run(program, args).then(
    () => true,
    (error: unknown) => errnoOf(error) !== 'ENOENT',
  );
}

/** Of the entry itself for a socket, of what a symlink leads to for a folder. */
export async function lookAtPath(path: string, expected: 'socket' | 'folder'): Promise<PathFacts> {
  try {
    const stats = await (expected === 'socket' ? lstat(path) : stat(path));
    const isUsable = await access(path, constants.R_OK | constants.W_OK | constants.X_OK).then(
      () => true,
      () => false,
    );
    const kind = stats.isSocket() ? 'socket' : stats.isDirectory() ? 'folder' : 'other';
    return { kind, uid: stats.uid, mode: stats.mode & 0o7777, isUsable };
  } catch (error) {
    return { errno: errnoOf(error) ?? messageOf(error) };
  }
}

/** Free space where `path` is, or will be made. */
export async function lookAtDisk(path: string, indexBytes: number): Promise<DiskFacts> {
  try {
    const { bavail, bsize, files, ffree } = await statfs(path);
    return { path, freeBytes: bavail * bsize, freeInodes: files === 0 ? null : ffree, indexBytes };
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    return { ...(await lookAtDisk(dirname(path), indexBytes)), path };
  }
}

export interface InotifyUse {
  watchesMax: InotifyLimit | null;
  instancesMax: InotifyLimit | null;
  watches: number;
  instances: number;
}

/** The limits of inotify and what the processes of `uid` use of them, as /proc tells it. */
export async function lookAtInotify(procRoot: string, uid: number): Promise<InotifyUse> {
  const uses = await Promise.all((await pidsOf(procRoot, uid)).map((pid) => usedBy(procRoot, pid)));
  return {
    watchesMax: inotifyLimit('watches', procRoot),
    instancesMax: inotifyLimit('instances', procRoot),
    watches: uses.reduce((sum, { watches }) => sum + watches, 0),
    instances: uses.reduce((sum, { instances }) => sum + instances, 0),
  };
}

async function pidsOf(procRoot: string, uid: number): Promise<string[]> {
  const pids = (await readdir(procRoot)).filter((name) => /^\d+$/.test(name));
  const owners = await Promise.all(pids.map((pid) => stat(join(procRoot, pid)).catch(() => null)));
  return pids.filter((_, index) => owners[index]?.uid === uid);
}

/** A process that ends while it is looked at uses nothing. */
async function usedBy(procRoot: string, pid: string): Promise<{ watches: number; instances: number }> {
  const fds = await readdir(join(procRoot, pid, 'fd')).catch(() => []);
  let [watches, instances] = [0, 0];
  for (const fd of fds) {
    const target = await readlink(join(procRoot, pid, 'fd', fd)).catch(() => '');
    if (target !== 'anon_inode:inotify') continue;
    instances += 1;
    const info = await readFile(join(procRoot, pid, 'fdinfo', fd), 'latin1').catch(() => '');
    watches += info.split('\n').filter((line) => line.startsWith('inotify wd:')).length;
  }
  return { watches, instances };
}

/** Size of the index's file; 0 where there is none. It is never opened beside the supervisor. */
export async function sizeOfIndex(stateDir: string): Promise<number> {
  return await stat(join(stateDir, 'index.db')).then(
    ({ size }) => size,
    () => 0,
  );
}
