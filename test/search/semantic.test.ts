import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkRanges } from '#src/search/chunk-ranges.js';
import { askVectors, type SimilarChunks } from '#src/search/semantic.js';
import { DerivedDamageError } from '#src/store/derived/damage.js';
import { DerivedDatabase } from '#src/store/derived/derived-database.js';
import { cosineOf } from '#src/store/derived/vector-codec.js';
import { addModel, currentModel, levelsOfChunk, stateOf } from '#src/store/derived/vectors.js';
import { lsa } from '#src/embedding/lsa.js';
import { embedProject, openModel, trainProject } from '#src/workers/vectorization/project.js';
import { DerivedProject, twoFunctions } from '../store/derived/fixture.js';

const { signal } = new AbortController();

const sockets = ['socket', 'packet', 'stream', 'buffer', 'listen', 'accept'];
const invoices = ['invoice', 'payment', 'customer', 'amount', 'currency', 'ledger'];
/** Four words of a subject, other ones for each number. */
const code = (subject: readonly string[], number: number): string =>
  [0, 1, 2, 3].map((i) => subject[(number + i * (1 + (number % 2))) % subject.length]).join('(');
/** Twelve files of two subjects in turn. */
const files = Object.fromEntries(
  sockets.flatMap((_, number) => [
    [`net/${number}.ts`, code(sockets, number)],
    [`shop/${number}.ts`, code(invoices, number)],
  ]),
);

async function ask(
  derived: DerivedDatabase,
  query: string,
  given: { also?: readonly number[]; ranges?: ChunkRanges; limit?: number } = {},
): Promise<SimilarChunks | null> {
  const { also = [], ranges = ChunkRanges.all, limit = 6 } = given;
  return (await (await askVectors(derived, query, ranges, signal))?.similar(also, limit)) ?? null;
}

test('the most similar chunks come first, by their exact cosines', async (t) => {
  const project = new DerivedProject(t);
  const documents = await project.put(files);
  await project.vectorize();
  const similar = await ask(project.derived, 'a packet on a stream');
  assert.ok(similar !== null);
  const ofSubject = new Set(documents.filter((_, i) => i % 2 === 0).map(({ firstChunk }) => firstChunk));
  assert.ok(similar.best.every((id) => ofSubject.has(id)));

  const model = currentModel(project.derived);
  assert.ok(model !== undefined);
  const embedder = lsa.open(stateOf(project.derived, model.id) ?? Buffer.alloc(0));
  const question = await embedder.embedQuery('a packet on a stream', signal);
  assert.ok(question !== null);
  const all = documents.map(({ firstChunk }) => firstChunk);
  const exact = new Map(all.map((id) => [id, cosineOf(levelsOfChunk(project.derived, model, id) ?? new Int8Array(), question)])); // prettier-ignore
  const byCosine = all.toSorted((a, b) => (exact.get(b) ?? 0) - (exact.get(a) ?? 0) || a - b);
  assert.deepEqual(similar.best, byCosine.slice(0, 6));
  for (const id of similar.best) assert.equal(similar.cosineOf(id), exact.get(id));

  const cosines = [...exact.values()];
  const mean = cosines.reduce((sum, value) => sum + value, 0) / cosines.length;
  const variance = cosines.reduce((sum, value) => sum + (value - mean) ** 2, 0) / cosines.length;
  const first = similar.best[0] ?? 0;
  const expected = ((exact.get(first) ?? 0) - mean) / Math.sqrt(variance);
  assert.ok(Math.abs((similar.deviationsOf(first) ?? 0) - expected) < 1e-9);
});

test('what was found by its words has a cosine as well, however far it is', async (t) => {
  const project = new DerivedProject(t);
  const documents = await project.put(files);
  await project.vectorize();
  const other = documents[1]?.firstChunk ?? 0;
  const ranges = ChunkRanges.of(documents.slice(0, 1));
  const also = [other, 12_345];
  const similar = await ask(project.derived, 'send a packet on a stream', { ranges, also });
  assert.deepEqual(similar?.best, [documents[0]?.firstChunk]);
  const first = similar?.best[0] ?? 0;
  assert.ok((similar?.cosineOf(other) ?? 1) < (similar?.cosineOf(first) ?? 0));
  assert.ok((similar?.deviationsOf(other) ?? 1) < (similar?.deviationsOf(first) ?? 0));
  assert.deepEqual([similar?.cosineOf(12_345), similar?.deviationsOf(12_345)], [null, null]);
});

test('paths are compared with the query by their words', async (t) => {
  const project = new DerivedProject(t);
  await project.put(files);
  await project.vectorize();
  const similar = await ask(project.derived, 'a packet on a stream');
  const [net = 0, shop = 0, none = 1] =
    (await similar?.cosinesOfPaths(['src/socketBuffer.ts', 'src/invoices/ledger.ts', 'zebra.c'])) ?? [];
  assert.ok(net > shop, `${net} ${shop}`);
  assert.equal(none, 0);
});

test('no more are given than are asked for, and they do not depend on that', async (t) => {
  const project = new DerivedProject(t);
  await project.put(files);
  await project.vectorize();
  const six = await ask(project.derived, 'a packet on a stream');
  const two = await ask(project.derived, 'a packet on a stream', { limit: 2 });
  assert.deepEqual(two?.best, six?.best.slice(0, 2));
});

test('without vectors, or without a word that is known, there is no answer', async (t) => {
  const project = new DerivedProject(t);
  assert.equal(await ask(project.derived, 'packet'), null);
  await project.put(files);
  assert.equal(await ask(project.derived, 'packet'), null);
  await trainProject(project.vectorization());
  assert.equal(await ask(project.derived, 'packet'), null);
  await project.vectorize();
  assert.notEqual(await ask(project.derived, 'packet'), null);
  assert.equal(await ask(project.derived, 'zebra quagga'), null);
});

test('new documents are found at the next question, dropped ones are not', async (t) => {
  const project = new DerivedProject(t);
  const documents = await project.put(files);
  await project.vectorize();
  using reader = opened(project);
  const before = await ask(reader.derived, 'listen to the socket', { limit: 20 });
  const [added] = await project.put({ 'net/more.ts': 'socket.listen(zebra)' });
  assert.ok(added !== undefined && before !== null);
  assert.equal((await ask(reader.derived, 'listen to the socket'))?.cosineOf(added.firstChunk), null);
  await project.vectorize();
  const after = await ask(reader.derived, 'listen to the socket', { limit: 20 });
  assert.equal(after?.best[0], added.firstChunk);

  // First few, so that what is in memory stays; then most, so that it is read again.
  for (const dropped of [[added], documents.filter((_, i) => i % 2 === 0 && i > 0)]) {
    await project.drop(dropped);
    const left = await ask(reader.derived, 'listen to the socket', {
      limit: 20,
      also: dropped.map(({ firstChunk }) => firstChunk),
    });
    for (const { firstChunk } of dropped) {
      assert.ok(left?.best.includes(firstChunk) === false);
      assert.equal(left.cosineOf(firstChunk), null);
    }
  }
  const last = await ask(reader.derived, 'listen to the socket', { limit: 1 });
  assert.deepEqual(last?.best, [documents[0]?.firstChunk]);
});

test('a connection that looks on follows to another model once that is complete', async (t) => {
  const project = new DerivedProject(t);
  const documents = await project.put(files);
  await project.vectorize();
  using reader = opened(project);
  const before = await ask(reader.derived, 'a packet on a stream');
  const context = project.vectorization();
  await project.put({ 'zoo/zebra.ts': 'export function feedZebra(): void {\n  zebra.eat(grass);\n}\n' });
  await trainProject(context);
  assert.deepEqual((await ask(reader.derived, 'a packet on a stream'))?.best, before?.best);
  assert.equal(await ask(reader.derived, 'zebra'), null);
  await embedProject(context, (model) => openModel(context, model));
  const similar = await ask(reader.derived, 'zebra', { limit: 1 });
  assert.equal(similar?.best.length, 1);
  assert.ok(documents.every(({ firstChunk }) => firstChunk !== similar.best[0]));
});

test('a model that cannot be opened gives no answer, and damaged vectors are said to be so', async (t) => {
  const project = new DerivedProject(t);
  await project.put({ 'a.ts': twoFunctions('Window'), 'b.ts': twoFunctions('Door') });
  await project.vectorize();
  await project.derived.write(() => project.derived.sql("UPDATE vectors SET levels = x'00'").run());
  await assert.rejects(ask(project.derived, 'open a window'), DerivedDamageError);
  await project.derived.write(() => {
    project.derived.sql('DELETE FROM models').run();
    addModel(project.derived, {
      provider: 'lsa',
      dimensions: 3,
      trainedOn: 4,
      state: Buffer.of(0),
    });
  });
  assert.equal(await ask(project.derived, 'open a window'), null);
});

test('a question stops when it is asked to', async (t) => {
  const project = new DerivedProject(t);
  await project.put(files);
  await project.vectorize();
  const reason = new Error('stopped');
  const asking = askVectors(project.derived, 'packet', ChunkRanges.all, AbortSignal.abort(reason));
  await assert.rejects(asking, reason);
  const stop = new AbortController();
  const asked = await askVectors(project.derived, 'packet', ChunkRanges.all, stop.signal);
  stop.abort(reason);
  await assert.rejects(asked?.similar([], 5) ?? Promise.resolve(), reason);
});

/** Another process's view of the same database. */
function opened(project: DerivedProject): { derived: DerivedDatabase } & Disposable {
  const derived = DerivedDatabase.openReadOnly(project.path);
  assert.ok(derived !== null);
  return { derived, [Symbol.dispose]: () => derived.close() };
}
