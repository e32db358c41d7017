/** A worker process as the supervisor starts it, and what it says. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Config, configSchema } from '#src/base/config.js';
import type { FromWorker, ToWorker, WorkerKind, WorkerOptions } from '#src/base/ipc.js';
import { atEnd, killed } from '../harness/folder.js';
import { waitFor } from '../harness/waiting.js';

export const workerFile = fileURLToPath(import.meta.resolve('#src/worker.js'));

export class TestWorker {
  readonly process: ChildProcess;
  readonly messages: FromWorker[] = [];

  constructor(
    t: Pick<TestContext, 'after'>,
    kind: WorkerKind,
    stateDir: string,
    options: WorkerOptions = {},
    watcherRunning = false,
    given: Partial<Config> = {},
  ) {
    this.process = fork(workerFile, [kind, '--instance=test'], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    atEnd(t, async () => await killed(this.process));
    this.process.on('message', (message: FromWorker) => this.messages.push(message));
    const config = configSchema.parse({ reconcile_interval: 3_600, ...given });
    this.send({ type: 'start', start: { stateDir, config, options, watcherRunning, task: null } });
  }

  send(message: ToWorker): void {
    this.process.send(message);
  }

  of<T extends FromWorker['type']>(type: T): Extract<FromWorker, { type: T }>[] {
    return this.messages.filter(
      (message): message is Extract<FromWorker, { type: T }> => message.type === type,
    );
  }

  async said(holds: () => boolean): Promise<void> {
    await waitFor('what it should have said', () => {
      if (this.process.exitCode !== null) throw new Error(`the worker ended with ${this.process.exitCode}`);
      return holds();
    });
  }

  /** Asks it to stop; says whether it ended in order, and how long it took (ms). */
  async stop(): Promise<{ inOrder: boolean; tookMs: number }> {
    const startedAt = performance.now();
    const ended = once(this.process, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    this.send({ type: 'stop' });
    const [, signal] = await ended;
    // That is how it ends once everything is closed; anything else is a crash.
    return { inOrder: signal === 'SIGTERM', tookMs: performance.now() - startedAt };
  }
}
