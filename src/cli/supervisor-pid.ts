import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { lockHolder } from '../base/lock-holder.js';
import { clientSocket, type LocationFlags, locate } from '../base/locations.js';

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
