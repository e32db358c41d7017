import { type Command, InvalidArgumentError } from 'commander';
import { type LocationFlags, locate } from '../base/locations.js';
import { type Client, connect } from '../rpc/client/client.js';
import { printJson } from './output.js';

export interface CommonFlags extends LocationFlags {
  json?: boolean;
}

/** Connects, calls, prints (as JSON if asked to), and hangs up. */
export async function withClient<T>(
  flags: CommonFlags,
  ask: (client: Client) => Promise<T>,
  show: (result: T) => void,
): Promise<void> {
  const client = await connect({ socket: locate(flags, process.env).socket });
  try {
    const result = await ask(client);
    if (flags.json === true) printJson(result);
    else show(result);
  } finally {
    client.close();
  }
}

/** Adds the options that every command has. */
export type Common = (command: Command) => Command;

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
