import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from './waiting.js';

const fixture = fileURLToPath(new URL('../rpc/fixtures/load.js', import.meta.url));

/** One load may take so long (ms), on a machine that does other things, too. */
const loadMs = 60_000;

/** A client in a process of its own that asks too much; see rpc/fixtures/load.ts. */
export class Load {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(
    kind: 'crowd' | 'large' | 'batch' | 'pipeline' | 'slow' | 'deaf' | 'bulk',
    socket: string,
    amount: number,
  ) {
    this.#child = spawn(process.execPath, [fixture, kind, socket, String(amount)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (this.#child.stdout === null) throw new Error('the load has no output');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Resolves once the load is on, with what it says then. */
  async isOn(): Promise<unknown> {
    return await this.#line();
  }

  /** Ends it; gives what came of it. */
  async end(): Promise<unknown> {
    this.#child.stdin?.end();
    return await this.#line();
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #line(): Promise<unknown> {
    const { value, done } = await within('a line of the load', this.#lines.next(), loadMs);
    if (done === true) throw new Error('the load ended without a word');
    return JSON.parse(value) as unknown;
  }
}
