import { InvalidArgumentError } from 'commander';
import { clientSocket, type LocationFlags } from '../base/locations.js';
import { type Client, connect, UnansweredError, UnreachableError } from '../rpc/client/client.js';
import { type ExitStatus, exitStatus, printJson } from './output.js';
import { notHeard, whyUnreached } from './supervisor-pid.js';

/** Options that every command takes, before or after its name. */
export interface CommonFlags extends LocationFlags {
  json?: boolean;
  quiet?: boolean;
}

/** Connects for the time of `use`; a supervisor that is there and does not answer is named. */
export async function withConnection<T>(flags: CommonFlags, use: (client: Client) => Promise<T>): Promise<T> {
  let client: Client | null = null;
  try {
    client = await connect({ socket: clientSocket(flags, process.env) });
    return await use(client);
  } catch (error) {
    // What it has received, it does once it goes on.
    if (error instanceof UnansweredError) throw notHeard(flags, ', and may yet do what it was asked');
    throw error instanceof UnreachableError ? whyUnreached(flags, error) : error;
  } finally {
    client?.close();
  }
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
  const result = await withConnection(flags, ask);
  if (flags.json === true) printJson(result);
  else show(result);
  process.exitCode = statusOf(result);
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

/** A wait of so many seconds: more than a day is a mistake, and more than 24 days no timer can wait. */
export function parseSeconds(text: string): number {
  const seconds = parseNumber(text);
  if (seconds < 0 || seconds > 86_400) throw new InvalidArgumentError('Give seconds from 0 to 86,400.');
  return seconds;
}
