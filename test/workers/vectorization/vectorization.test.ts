/** The vectorization worker as a real process, told what to do over its IPC channel. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { configSchema } from '#src/base/config.js';
import type { FromWorker, ToWorker } from '#src/base/ipc.js';
import { ChunkRanges } from '#src/search/chunk-ranges.js';
import { askVectors } from '#src/search/semantic.js';
import { DerivedDatabase } from '#src/store/derived/derived-database.js';
import { addModel, countVectors, currentModel, giveUpModel } from '#src/store/derived/vectors.js';
import { deleteProject, setVerified } from '#src/store/projects.js';
import { DerivedProject } from '../../store/derived/fixture.js';
import { atEnd, killed } from '../../harness/folder.js';
import { waitFor } from '../../harness/waiting.js';

const worker = fileURLToPath(import.meta.resolve('#src/worker.js'));

interface RunningWorker {
  child: ChildProcess;
  messages: FromWorker[];
  send: (message: ToWorker) => void;
}

function start(t: Pick<TestContext, 'after'>, stateDir: string): RunningWorker {
  const child = fork(worker, ['vectorization', '--instance=test'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  atEnd(t, async () => await killed(child));
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

const isComplete = (project: DerivedProject, total: number) => (): boolean => {
  const counts = countVectors(project.derived);
  return counts.total === total && counts.vectorized === total;
};

const isLog = ({ type }: FromWorker): boolean => type === 'log';

test('the worker trains once the project rests, follows changes, survives a bad model, stops at once', async (t) => {
  const project = new DerivedProject(t);
  const { derived, index, id } = project;
  for (let i = 0; i < 10; i++) await project.put({ [`src/f${i}.ts`]: sourceOf(`openWindow${i}`) });
  const { child, messages, send } = start(t, project.stateDir);
  const nudge = (): void => send({ type: 'nudge', about: 'chunks' });
  await waitFor('a look at all projects', () => messages.some(({ type }) => type === 'trouble'));
  assert.equal(currentModel(derived), undefined, 'its first index is under way');
  await index.write(() => setVerified(index, id, 0, 1));
  nudge();
  await waitFor('all chunks have vectors', isComplete(project, 10));
  const first = currentModel(derived);
  assert.equal(first?.trainedOn, 10);
  const asked = await askVectors(derived, 'open window', ChunkRanges.all, new AbortController().signal);
  assert.equal((await asked?.similar([], 3))?.best.length, 3);

  await project.put({ 'src/one-more.ts': sourceOf('closeDoor') });
  nudge();
  await waitFor('the new chunk has one too', isComplete(project, 11));
  assert.equal(currentModel(derived)?.id, first.id, 'one chunk more is no reason to train again');

  for (let i = 0; i < 10; i++) await project.put({ [`lib/g${i}.ts`]: sourceOf(`paintWall${i}`) });
  nudge();
  await waitFor('a model of twice the size', () => currentModel(derived)?.trainedOn === 21);
  assert.ok(isComplete(project, 21)(), 'it is used once all have vectors of it');

  const second = currentModel(derived);
  assert.ok(second !== undefined);
  const bad = await derived.write(() => {
    giveUpModel(derived, second.id);
    return addModel(derived, { ...second, state: Buffer.of(0) });
  });
  nudge();
  await waitFor('a sound model', () => (currentModel(derived)?.id ?? 0) > bad);
  await waitFor('all have vectors of that', isComplete(project, 21));
  await waitFor('nothing is left of the others', () => {
    const ids = derived.sql<[], { id: number }>('SELECT DISTINCT id / 4294967296 AS id FROM vectors').all();
    return ids.length === 1 && ids[0]?.id === currentModel(derived)?.id;
  });

  assert.ok(
    messages.some((m) => m.type === 'activity' && m.activity.operation?.startsWith('embedding ') === true),
  );
  assert.deepEqual(messages.filter(isLog), []);
  const stoppedAt = performance.now();
  send({ type: 'stop' });
  const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  // That is how a worker ends once everything is closed; see workers/host.ts.
  assert.equal(signal, 'SIGTERM');
  assert.ok(performance.now() - stoppedAt < 500);
});

test('a damaged database is thrown away, and the one that is made in its place gets vectors', async (t) => {
  const project = new DerivedProject(t);
  const { index, id } = project;
  await index.write(() => setVerified(index, id, 0, 1));
  await project.put({ 'a.ts': sourceOf('openWindow') });
  await project.derived.write(() => project.derived.sql("UPDATE layouts SET layout = x'00'").run());
  const { messages, send } = start(t, project.stateDir);
  const warning = await waitFor('a warning', () => messages.find(isLog));
  assert.ok(warning.type === 'log' && warning.level === 'warn', JSON.stringify(warning));
  assert.equal(project.derived.isInPlace, false);

  project.derived.close();
  project.derived = DerivedDatabase.openOrMake(project.path);
  await project.put({ 'a.ts': sourceOf('openWindow'), 'b.ts': sourceOf('closeWindow') });
  send({ type: 'nudge', about: 'chunks' });
  await waitFor('all chunks have vectors', isComplete(project, 2));
  assert.equal(messages.filter(isLog).length, 1);

  writeFileSync(project.path, 'no database at all');
  await index.write(() => deleteProject(index, id));
  send({ type: 'nudge', about: 'projects' });
  await waitFor('no trouble', () => messages.at(-1)?.type === 'activity' || messages.at(-1)?.type === 'trouble'); // prettier-ignore
  assert.equal(messages.filter(isLog).length, 1, 'a project that is gone is no trouble');
});
