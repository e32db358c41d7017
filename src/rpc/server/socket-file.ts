import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, lchown, link, lstat, realpath, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { basename, dirname, resolve } from 'node:path';
import { CodekeepError, errnoOf, ignoreErrno, messageOf, systemErrorText } from '../../base/errors.js';
import { assertSocketPathFits } from '../../base/locations.js';
import { makeFolders } from '../../base/make-folders.js';
import { PinnedFolder } from '../../base/pinned-folder.js';

/**
 * Clients that may wait to be accepted: as many as are served at once by default; the kernel lowers it to net.core.somaxconn.
 * All that wait are accepted in one turn of the event loop, 1,000 within some 6 ms. Those beyond wait in connect(), or
 * get EAGAIN where they do not block.
 */
const backlog = 1_024;

/** A socket file that this process made; the numbers tell it from one that another process put there later. */
export interface SocketFile {
  path: string;
  dev: bigint;
  ino: bigint;
}

/**
 * Binds `server` to a Unix socket that is 0600 from its first moment, in a folder that is made 0700 if it is
 * missing. The socket is bound under a temporary name and linked to its own: link() never replaces anything,
 * the name appears when it answers already, and when net.Server unlinks "its" path at close, that is the
 * temporary one and never a socket that somebody else has put in our place.
 * @param group the number of a group that may use it, too: it becomes 0660, the folder 0750 if it is made here
 * @throws CodekeepError TARGET_FILE_EXISTS where the path is no socket or a live one, INVALID_PARAMS where it is
 *   too long, its folder cannot be made, others may write that, or it cannot be given to the group; system errors (EACCES, ...) as they come
 */
export async function listenAt(
  server: Server,
  socketPath: string,
  group: number | null = null,
): Promise<SocketFile> {
  const path = resolve(socketPath);
  assertSocketPathFits(path);
  const isMade = makeFolders(dirname(path), folderHint);
  if (isMade && group !== null) await shareWith(group, dirname(path), 0o750);
  const folder = await PinnedFolder.open(await realpath(dirname(path)));
  try {
    assertOnlyOurs(await folder.stat(), dirname(path));
    await clearPath(path);
    await removeLeftOvers(folder);
    const temporary = folder.at(`.codekeep-${randomBytes(8).toString('hex')}.sock`);
    await bindPrivately(server, temporary).catch((error: unknown) => {
      throw cannotBind(path, error);
    });
    try {
      if (group !== null) await shareWith(group, temporary, 0o660);
      await link(temporary, folder.at(basename(path)));
      const { dev, ino } = await lstat(temporary, { bigint: true });
      return { path, dev, ino };
    } catch (error) {
      server.close();
      throw errnoOf(error) === 'EEXIST' ? isLive(path) : error;
    } finally {
      await unlink(temporary).catch(ignoreErrno('ENOENT'));
    }
  } finally {
    await folder.close();
  }
}

/** How old (ms) a temporary name is that nobody will give its own any more. */
const leftOverMs = 60_000;

/** What a process left that was killed while it bound its socket. */
async function removeLeftOvers(folder: PinnedFolder): Promise<void> {
  for (const name of await folder.list()) {
    if (!/^\.codekeep-[\da-f]{16}\.sock$/u.test(name)) continue;
    const stats = await lstat(folder.at(name)).catch(ignoreErrno('ENOENT'));
    const isOld = stats?.isSocket() === true && Date.now() - stats.mtimeMs > leftOverMs;
    if (isOld) await unlink(folder.at(name)).catch(ignoreErrno('ENOENT', 'EACCES', 'EPERM'));
  }
}

function cannotBind(path: string, error: unknown): unknown {
  const text = systemErrorText(error);
  if (text === null) return error;
  return new CodekeepError('INVALID_PARAMS', `The socket ${path} cannot be made: ${text}.`, folderHint, {
    path,
  });
}

const folderHint = 'The socket needs it: give another path with --socket or CODEKEEP_SOCKET.';

/**
 * Whoever may write the folder can put a socket of his own in the place of ours, and hear every request. A sticky
 * folder (/tmp) is no such: there only root and the owners of folder and socket can.
 */
function assertOnlyOurs({ mode, uid }: { mode: number; uid: number }, folder: string): void {
  const isOpen = (mode & 0o022) !== 0 && (mode & 0o1000) === 0;
  const isForeign = uid !== 0 && uid !== process.getuid?.();
  if (!isOpen && !isForeign) return;
  throw new CodekeepError(
    'INVALID_PARAMS',
    isOpen
      ? `Others may write ${folder} (mode ${(mode & 0o7777).toString(8)}), and with it replace the socket.`
      : `${folder}, the folder of the socket, belongs to another user (${uid}), who may replace it.`,
    isOpen
      ? `Take the right away (chmod go-w ${folder}), or give another path with --socket or CODEKEEP_SOCKET.`
      : 'Give another path with --socket or CODEKEEP_SOCKET.',
    { path: folder },
  );
}

async function shareWith(group: number, path: string, mode: number): Promise<void> {
  try {
    await lchown(path, -1, group);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    throw new CodekeepError(
      'INVALID_PARAMS',
      `The socket cannot be given to group ${group} (socket_group).`,
      'Name a group that this user is a member of; who was added lately has to log in again.',
    );
  }
  await chmod(path, mode);
}

/** The socket at a path, or null where there is none. */
export async function socketFileAt(path: string): Promise<SocketFile | null> {
  const found = await lstat(path, { bigint: true }).catch(ignoreErrno('ENOENT'));
  return found?.isSocket() === true ? { path, dev: found.dev, ino: found.ino } : null;
}

/** Removes the socket file unless it is another one by now, or gone. */
export async function removeSocketFile(file: SocketFile): Promise<void> {
  try {
    const { dev, ino } = await lstat(file.path, { bigint: true });
    if (dev === file.dev && ino === file.ino) await unlink(file.path);
  } catch (error) {
    ignoreErrno('ENOENT')(error);
  }
}

/** Makes way: a socket that nobody listens on is removed, anything else refused. */
async function clearPath(path: string): Promise<void> {
  const found = await lstat(path, { bigint: true }).catch(ignoreErrno('ENOENT'));
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new CodekeepError(
      'TARGET_FILE_EXISTS',
      `There is something at ${path} that is not a socket.`,
      'Move it away, or give another path with --socket or CODEKEEP_SOCKET.',
      { path },
    );
  }
  const errno = await connectErrno(path);
  if (errno === null || errno === 'EAGAIN') throw isLive(path);
  if (errno === 'ENOENT') return;
  if (errno !== 'ECONNREFUSED') {
    throw new CodekeepError(
      'TARGET_FILE_EXISTS',
      `There is a socket at ${path} of which it cannot be found out whether it is in use (${errno}).`,
      'Find out whose it is, or give another path with --socket or CODEKEEP_SOCKET.',
      { path },
    );
  }
  await removeSocketFile({ path, dev: found.dev, ino: found.ino });
}

function isLive(path: string): CodekeepError {
  return new CodekeepError(
    'TARGET_FILE_EXISTS',
    `A supervisor answers on ${path} already.`,
    'Use that one, stop it (codekeep call shutdown), or give another path with --socket or CODEKEEP_SOCKET.',
    { path },
  );
}

/** What connecting fails with, or null where somebody accepts. EAGAIN: somebody does, but is busy. */
async function connectErrno(path: string): Promise<string | null> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return null;
  } catch (error) {
    return errnoOf(error) ?? messageOf(error);
  } finally {
    socket.destroy();
  }
}

/** The umask is the whole process's: bind happens inside listen(), so it is changed for that call only. */
async function bindPrivately(server: Server, path: string): Promise<void> {
  const before = process.umask(0o177);
  try {
    server.listen({ path, backlog });
  } finally {
    process.umask(before);
  }
  await once(server, 'listening');
}
