/** Small worker programs, one a behaviour, started as the supervisor starts its own. */
import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Config, configSchema } from '#src/base/config.js';
import type { FromWorker } from '#src/base/ipc.js';
import { findParentDeath } from '#src/supervisor/lifecycle/launch.js';
import { WorkerProcess } from '#src/supervisor/lifecycle/worker-process.js';

export type FixtureName =
  | 'ends-in-order'
  | 'ignores-stop'
  | 'spins'
  | 'crashes-at-start'
  | 'never-ready'
  | 'crashes-when-stopped'
  | 'steps'
  | 'grows'
  | 'has-family';

export function fixtureProgram(name: FixtureName): string {
  return fileURLToPath(new URL(`fixtures/${name}.js`, import.meta.url));
}

const parentDeath = await findParentDeath();

/** Starts one; whatever it leaves is ended with the test. */
export function forkFixture(
  t: Pick<TestContext, 'after'>,
  name: FixtureName,
  config: Partial<Config> = {},
  onMessage: (message: FromWorker) => void = () => undefined,
): WorkerProcess {
  const instance = randomUUID();
  const worker = new WorkerProcess({
    kind: 'vectorization',
    launcher: { program: fixtureProgram(name), parentDeath, memoryMaxBytes: 2 ** 31, instance },
    mark: `${instance}/1`,
    onOutput: () => undefined,
  });
  const start = { stateDir: '', options: {}, watcherRunning: false, task: null };
  worker.begin({ ...start, config: { ...configSchema.parse({}), ...config } }, onMessage);
  t.after(() => worker.stop(0));
  return worker;
}
