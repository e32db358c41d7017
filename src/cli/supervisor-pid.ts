import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { lockHolder } from '../base/lock-holder.js';
import { clientSocket, type LocationFlags, locate } from '../base/locations.js';
import { isHalted } from '../base/process-identity.js';
import { CommandError, type ExitStatus } from './output.js';

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
