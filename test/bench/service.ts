import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '#src/base/waiting.js';
import { type Client, connect, UnreachableError } from '#src/rpc/client/client.js';

const program = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** A daemon for measuring: the real program in a state directory of its own. */
export class Service {
  client: Client;
  readonly folder: string;
  readonly socket: string;
  /** From the start of the process to the first answer, in milliseconds. */
  readonly firstAnswerMs: number;
  #child: ChildProcess;

  private constructor(child: ChildProcess, client: Client, folder: string, firstAnswerMs: number) {
    this.#child = child;
    this.client = client;
    this.folder = folder;
    this.socket = join(folder, 'codekeep.sock');
    this.firstAnswerMs = firstAnswerMs;
  }

  /** In `folder`, which has what an earlier one left there, or in a new one. */
  static async start(folder?: string, config: Readonly<Record<string, unknown>> = {}): Promise<Service> {
    const place = folder ?? (await mkdtemp(join(tmpdir(), 'codekeep-bench-')));
    await writeFile(join(place, 'config.json'), JSON.stringify(config));
    return await Service.#startIn(place);
  }

  /** Stops it, and starts it again with what it has. Gives when its process was started (performance.now). */
  async restart(): Promise<number> {
    await this.end();
    const startedAt = performance.now();
    const again = await Service.#startIn(this.folder);
    this.client = again.client;
    this.#child = again.#child;
    return startedAt;
  }

  static async #startIn(folder: string): Promise<Service> {
    const socket = join(folder, 'codekeep.sock');
    const startedAt = performance.now();
    const child = spawn(
      process.execPath,
      [program, 'serve', '--state-dir', folder, '--config', join(folder, 'config.json')],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    for (;;) {
      try {
        const client = await connect({ socket });
        await client.call('health');
        return new Service(child, client, folder, performance.now() - startedAt);
      } catch (error) {
        if (!(error instanceof UnreachableError) || child.exitCode !== null) throw error;
        // Asking without a pause would take the processor from what is measured.
        await sleep(2);
      }
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it has stays. */
  async end(): Promise<void> {
    this.client.close();
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exited;
  }

  async stop(): Promise<void> {
    await this.end();
    await rm(this.folder, { recursive: true });
  }
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Runs two pieces of work in turn, so that both see the same machine; gives each one's times in ms. */
export async function inTurn(
  rounds: number,
  first: () => Promise<void> | void,
  second: () => Promise<void> | void,
): Promise<{ first: number[]; second: number[] }> {
  const times: { first: number[]; second: number[] } = { first: [], second: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const name of ['first', 'second'] as const) {
      const startedAt = performance.now();
      await (name === 'first' ? first : second)();
      times[name].push(performance.now() - startedAt);
    }
  }
  return times;
}

export interface Figure {
  name: string;
  value: string;
}

export function inMs(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
}

export function inMb(value: number): string {
  return `${value.toFixed(0)} MB`;
}
