import { InvalidArgumentError } from 'commander';
import { clientSocket, type LocationFlags } from '../base/locations.js';
import { type Client, connect } from '../rpc/client/client.js';
import { type ExitStatus, exitStatus, printJson } from './output.js';

/** Options that every command takes, before or after its name. */
export interface CommonFlags extends LocationFlags {
  json?: boolean;
  quiet?: boolean;
}

/**
 * Connects, calls, prints (as JSON if asked to), and hangs up.
 * @param statusOf the exit status that a result stands for; done where it is left out
 */
export async function withClient<T>(
  flags: CommonFlags,
  ask: (client: Client) => Promise<T>,
  show: (result: T) => void,
  statusOf: (result: T) => ExitStatus = () => exitStatus.done,
): Promise<void> {
  const client = await connect({ socket: clientSocket(flags, process.env) });
  try {
    const result = await ask(client);
    if (flags.json === true) printJson(result);
    else show(result);
    process.exitCode = statusOf(result);
  } finally {
    client.close();
  }
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('It is not JSON.');
  }
}

export function parseNumber(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !Number.isFinite(number)) throw new InvalidArgumentError('It is not a number.');
  return number;
}
