import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dimensionsMax, lsa } from '#src/embedding/lsa.js';
import { UnusableModelError } from '#src/embedding/provider.js';
import { waitFor } from '../harness/waiting.js';
import { documentOf, dot, manyDocuments, patient, streamOf, twoSubjects } from './fixtures.js';

const { signal } = patient;

test('words that are used together come close, words that are not do not', async () => {
  const documents = twoSubjects(200);
  const { state } = await lsa.train(streamOf(documents), patient);
  const embedder = lsa.open(state);
  const [invoice, amount, socket] = await embedder.embed(
    ['invoice', 'amount', 'socket'].map((word) => documentOf(word)),
    signal,
  );
  assert.ok(invoice !== undefined && amount !== undefined && socket !== undefined);
  assert.ok(
    dot(invoice, amount) > dot(invoice, socket) + 0.1,
    `${dot(invoice, amount)} ${dot(invoice, socket)}`,
  );
});

test('vectors have unit length, and none where no word is known', async () => {
  const embedder = lsa.open((await lsa.train(streamOf(twoSubjects(40)), patient)).state);
  const [known, unknown] = await embedder.embed(
    [documentOf('socket buffer', 'open'), documentOf('zebra')],
    signal,
  );
  assert.ok(known !== undefined && unknown !== undefined);
  assert.ok(Math.abs(dot(known, known) - 1) < 1e-5);
  assert.equal(dot(unknown, unknown), 0);
  assert.equal(await embedder.embedQuery('zebra quagga', signal), null);
  assert.equal(await embedder.embedQuery('?!', signal), null);
  assert.equal((await embedder.embedQuery('socket', signal))?.length, embedder.dimensions);
});

for (const count of [0, 1, 2, 3]) {
  test(`${count} documents are enough not to fail`, async () => {
    const documents = twoSubjects(count);
    const { dimensions, state } = await lsa.train(streamOf(documents), patient);
    const embedder = lsa.open(state);
    assert.ok(dimensions <= count);
    assert.equal(embedder.dimensions, dimensions);
    const vectors = await embedder.embed(documents, signal);
    assert.deepEqual(vectors.map((vector) => vector.length), documents.map(() => dimensions)); // prettier-ignore
    const query = await embedder.embedQuery('socket invoice', signal);
    assert.ok(query === null || query.length === dimensions);
  });
}

test('documents without a word give a model without dimensions', async () => {
  const documents = [documentOf(''), documentOf('...')];
  const { dimensions, state } = await lsa.train(streamOf(documents), patient);
  assert.equal(dimensions, 0);
  assert.deepEqual(await lsa.open(state).embed(documents, signal), [new Float32Array(), new Float32Array()]);
});

test('training is deterministic', async () => {
  const documents = manyDocuments(200, 40);
  const first = await lsa.train(streamOf(documents), patient);
  const second = await lsa.train(streamOf(documents), patient);
  assert.ok(first.state.equals(second.state));
});

test('dimensions are bounded', async () => {
  const { dimensions } = await lsa.train(streamOf(manyDocuments(600, 40)), patient);
  assert.equal(dimensions, dimensionsMax);
});

test('training lets others run again and again, and stops at the next such place', async () => {
  const stop = new AbortController();
  const running = lsa.train(streamOf(manyDocuments(3_000, 500)), { ...patient, signal: stop.signal });
  let turns = 0;
  const watch = setInterval(() => {
    turns += 1;
  });
  await waitFor('others had ten turns', () => turns >= 10, 60_000);
  stop.abort(new Error('stopped'));
  const turnsBefore = turns;
  await assert.rejects(running, /stopped/);
  clearInterval(watch);
  assert.ok(turns - turnsBefore <= 2, `others had ${turns - turnsBefore} turns until it stopped`);
});

test('a state that was not written by this version is refused, never misread', async () => {
  const { state } = await lsa.train(streamOf(twoSubjects(20)), patient);
  const newer = Buffer.from(state);
  newer.writeUInt16LE(99, 4);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('{}'),
    newer,
    state.subarray(0, -1),
    Buffer.alloc(64, 255),
  ]) {
    assert.throws(() => lsa.open(bytes), UnusableModelError);
  }
  fc.assert(
    fc.property(fc.nat(state.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
      const damaged = Buffer.from(state);
      damaged[at] = byte;
      try {
        lsa.open(damaged);
      } catch (error) {
        assert.ok(error instanceof UnusableModelError);
      }
    }),
    { numRuns: 200 },
  );
});
