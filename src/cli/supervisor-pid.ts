import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { lockHolder } from '../base/lock-holder.js';
import { clientSocket, type LocationFlags, locate } from '../base/locations.js';
import { isHalted } from '../base/process-identity.js';
import { UnreachableError } from '../rpc/client/client.js';
import { CommandError, type ExitStatus, exitStatus } from './output.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The supervisor of the socket that a client would connect to, found without its help: the process that holds the lock of
 * its state directory, since a socket does not tell whose it is. Null where that is not known.
 */
export function supervisorOf(flags: LocationFlags, env: Environment): number | null {
  const { stateDir, socket } = locate(flags, env);
  const used = clientSocket(flags, env);
  // A socket that is named by itself lies in the state directory, or tells nothing of it.
  const isOwn =
    used === socket && used === locate({ ...flags, socket: undefined }, withoutSocket(env)).socket;
  try {
    return lockHolder(realpathSync(join(isOwn ? stateDir : dirname(used), 'lock.db')));
  } catch {
    return null;
  }
}

function withoutSocket(env: Environment): Environment {
  return { ...env, CODEKEEP_SOCKET: undefined };
}

/**
 * A supervisor that does not answer is named and not signalled: who keeps it from answering, and whether it may be killed, a
 * person has to say.
 * @param more what follows from it, as the end of the sentence
 */
export function notHeard(flags: LocationFlags, more = '', status?: ExitStatus): CommandError {
  const pid = supervisorOf(flags, process.env);
  if (pid === null)
    return new CommandError(
      `The supervisor does not answer${more}.`,
      'Find its process (pgrep -af "codekeep.* serve"), and let it go on (kill -CONT) or end it (kill -KILL): its workers end with it.',
      status,
    );
  const isStopped = isHalted(pid);
  return new CommandError(
    `The supervisor (pid ${pid}) ${isStopped ? 'is halted (SIGSTOP), does not answer' : 'does not answer'}${more}.`,
    isStopped
      ? `Let it go on ("kill -CONT ${pid}") and try again, or end it ("kill -KILL ${pid}"): its workers end with it.`
      : `Wait longer, or end it ("kill -KILL ${pid}"): its workers end with it.`,
    status,
  );
}

/** Connecting failed because no process listens there, whoever has the state directory; a halted one still listens. */
const unlistenedErrnos: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED']);

/**
 * The error for a socket that could not be connected to: it names the supervisor that is there all the same, one that listens on
 * another socket or that takes no new connection.
 */
export function whyUnreached(flags: LocationFlags, error: UnreachableError): CommandError | UnreachableError {
  const { errno, socket } = error;
  if (errno === 'EAGAIN') return notHeard(flags, ', and takes no new connection', exitStatus.unreachable);
  const pid = unlistenedErrnos.has(errno) ? supervisorOf(flags, process.env) : null;
  if (pid === null) return error;
  return new CommandError(
    `The supervisor (pid ${pid}) holds the state directory, and does not listen on ${socket} (${errno}).`,
    'It listens on another socket: name that with --socket or CODEKEEP_SOCKET. While it starts or ends it listens on none.',
    exitStatus.unreachable,
  );
}
