/** The vectorization worker as a real process, told what to do over its IPC channel. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { configSchema } from '#src/base/config.js';
import type { FromWorker, ToWorker } from '#src/base/ipc.js';
import { search } from '#src/search/search.js';
import { countChunks } from '#src/store/derived.js';
import { currentModelIdentity } from '#src/store/vectors.js';
import { FixtureIndex } from '../../search/project-fixture.js';
import { waitFor } from '../../harness/waiting.js';

const worker = fileURLToPath(import.meta.resolve('#src/worker.js'));

interface RunningWorker {
  child: ChildProcess;
  messages: FromWorker[];
  send: (message: ToWorker) => void;
}

function start(stateDir: string): RunningWorker {
  const child = fork(worker, ['vectorization', '--instance=test'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const messages: FromWorker[] = [];
  child.on('message', (message: FromWorker) => messages.push(message));
  const send = (message: ToWorker): void => void child.send(message);
  send({
    type: 'start',
    start: { stateDir, config: configSchema.parse({}), options: {}, watcherRunning: false, task: null },
  });
  return { child, messages, send };
}

const sourceOf = (name: string): string =>
  `export function ${name}(socket: Socket): void {\n  socket.${name}();\n}\n`;

test('the worker trains once the project rests, follows changes, survives a bad model, stops at once', async () => {
  using fixture = new FixtureIndex();
  const { index } = fixture;
  const id = fixture.addProject();
  const { child, messages, send } = start(fixture.folder);
  try {
    const isComplete = (total: number) => (): boolean => {
      const counts = countChunks(index, id);
      return counts.total === total && counts.vectorized === total;
    };
    for (let i = 0; i < 10; i++) await fixture.put(id, `src/f${i}.ts`, sourceOf(`openWindow${i}`));
    send({ type: 'nudge', about: 'chunks' });
    await waitFor('all chunks have vectors', isComplete(10));
    const first = currentModelIdentity(index, id);
    assert.equal(first?.trainedOn, 10);
    const request = { query: 'open window', mode: 'semantic', limit: 3, filter: {} } as const;
    assert.equal((await search(index, [id], request, new AbortController().signal)).length, 3);

    await fixture.put(id, 'src/one-more.ts', sourceOf('closeDoor'));
    send({ type: 'nudge', about: 'chunks' });
    await waitFor('the new chunk has one too', isComplete(11));
    assert.deepEqual(currentModelIdentity(index, id), first, 'one chunk more is no reason to train again');

    for (let i = 0; i < 10; i++) await fixture.put(id, `lib/g${i}.ts`, sourceOf(`paintWall${i}`));
    send({ type: 'nudge', about: 'chunks' });
    await waitFor('a model of twice the size', () => currentModelIdentity(index, id)?.trainedOn === 21);
    await waitFor('all have vectors of it', isComplete(21));

    index.sql("UPDATE embedding_models SET state = x'00', added_at = added_at + 1").run();
    send({ type: 'nudge', about: 'chunks' });
    await waitFor('a sound model', () => Number(index.sql<[], { n: number }>('SELECT max(length(state)) AS n FROM embedding_models').get()?.n) > 1); // prettier-ignore
    await waitFor('all have vectors of that', isComplete(21));

    assert.ok(
      messages.some((m) => m.type === 'activity' && m.activity.operation?.startsWith('embedding ') === true),
    );
    assert.deepEqual(messages.filter((m) => m.type === 'log'), []); // prettier-ignore
    const stoppedAt = performance.now();
    send({ type: 'stop' });
    const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    // That is how a worker ends once everything is closed; see workers/host.ts.
    assert.equal(signal, 'SIGTERM');
    assert.ok(performance.now() - stoppedAt < 500);
  } finally {
    child.kill('SIGKILL');
  }
});
