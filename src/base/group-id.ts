import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { CodekeepError } from './errors.js';

/**
 * The number of a group, from /etc/group or wherever else this machine has its groups.
 * @throws CodekeepError INVALID_PARAMS where there is no such group
 */
export async function groupId(name: string): Promise<number> {
  const entries = await readFile('/etc/group', 'utf8').catch(() => '');
  // name:password:number:members
  const known = entries.split('\n').find((line) => line.startsWith(`${name}:`));
  const entry = known ?? (await askNameService(name));
  const id = Number(entry?.split(':')[2] ?? Number.NaN);
  if (Number.isInteger(id)) return id;
  throw new CodekeepError(
    'INVALID_PARAMS',
    `There is no group ${name} (socket_group).`,
    'Make it with groupadd, or name another one in config.json.',
  );
}

/** Groups of LDAP and its like are in no file. */
async function askNameService(name: string): Promise<string | undefined> {
  try {
    return (await promisify(execFile)('getent', ['group', name])).stdout;
  } catch {
    return undefined;
  }
}
