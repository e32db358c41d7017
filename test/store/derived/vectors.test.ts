import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DocumentRow, documentsFrom } from '#src/store/derived/documents.js';
import { signatureBytes, signatureOf } from '#src/store/derived/vector-codec.js';
import {
  addModel,
  becomeCurrent,
  countVectors,
  currentModel,
  encodeVectors,
  giveUpModel,
  hasLeftVectors,
  levelsOfChunk,
  type NewModel,
  nextModel,
  putVectors,
  removeLeftVectors,
  signaturesFrom,
  stateOf,
} from '#src/store/derived/vectors.js';
import { DerivedProject, twoFunctions } from './fixture.js';
import { randomUnit } from './vector-fixture.js';

const dimensions = 8;
const model: NewModel = {
  provider: 'test',
  dimensions,
  trainedOn: 4,
  state: Buffer.from('state'),
};
const files = { 'a.ts': twoFunctions('Window'), 'b.ts': twoFunctions('Door'), 'c.ts': twoFunctions('Gate') };

/** Vectors of the first `count` documents that the model has not made yet, in one transaction as the worker puts them. */
async function embedSome(
  project: DerivedProject,
  modelId: number,
  from: number,
  count: number,
): Promise<void> {
  const { derived } = project;
  const documents = documentsFrom(derived, from, count);
  const last = documents.at(-1);
  await derived.write(() =>
    putVectors(
      derived,
      modelId,
      documents.map(({ firstChunk, chunks }) => encodeVectors(firstChunk, unitVectors(firstChunk, chunks))),
      last === undefined ? from : last.firstChunk + last.chunks,
    ),
  );
}

const unitVectors = (firstChunk: number, chunks: number): Float32Array[] =>
  Array.from({ length: chunks }, (_, i) => randomUnit(dimensions, firstChunk + i));

test('vectors are put with the cursor and the count, and read back', async (t) => {
  const project = new DerivedProject(t);
  const { derived } = project;
  assert.equal(hasLeftVectors(derived), false);
  const [a, b] = await project.put(files);
  assert.ok(a !== undefined && b !== undefined);
  const id = await derived.write(() => addModel(derived, model));
  assert.deepEqual(countVectors(derived), { total: 6, vectorized: 0 });
  await embedSome(project, id, 0, 2);
  const current = currentModel(derived);
  assert.ok(current !== undefined);
  assert.deepEqual(current, {
    id,
    provider: 'test',
    dimensions,
    trainedOn: 4,
    doneBelow: b.firstChunk + 2,
    chunks: 4,
    isCurrent: true,
  });
  assert.equal(stateOf(derived, id)?.toString(), 'state');
  assert.deepEqual(countVectors(derived), { total: 6, vectorized: 4 });
  const rows = signaturesFrom(derived, id, 0, 10);
  assert.deepEqual(
    rows.map(([firstChunk, bits]) => [firstChunk, bits.length]),
    [a, b].map(({ firstChunk, chunks }) => [firstChunk, chunks * signatureBytes]),
  );
  const second = randomUnit(dimensions, a.firstChunk + 1);
  assert.deepEqual(Uint8Array.from(rows[0]?.[1].subarray(signatureBytes) ?? []), signatureOf(second));
  assert.equal(levelsOfChunk(derived, current, a.firstChunk + 1)?.length, dimensions);
  assert.equal(levelsOfChunk(derived, current, b.firstChunk + 2), null);
  assert.deepEqual(signaturesFrom(derived, id, b.firstChunk + 1, 10), []);
});

test('a dropped document takes its vectors with it, of both models, and no other ones', async (t) => {
  const project = new DerivedProject(t);
  const { derived } = project;
  const [a, b, c] = await project.put(files);
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  const first = await derived.write(() => addModel(derived, model));
  await embedSome(project, first, 0, 3);
  const next = await derived.write(() => addModel(derived, model));
  await embedSome(project, next, 0, 2);
  await project.drop([b]);
  assert.deepEqual([currentModel(derived)?.chunks, nextModel(derived)?.chunks], [4, 2]);
  await project.drop([c]);
  assert.deepEqual([currentModel(derived)?.chunks, nextModel(derived)?.chunks], [2, 2]);
  assert.deepEqual(countVectors(derived), { total: 2, vectorized: 2 });
  for (const id of [first, next]) {
    assert.deepEqual(signaturesFrom(derived, id, 0, 10).map(([firstChunk]) => firstChunk), [a.firstChunk]); // prettier-ignore
    const known: DocumentRow[] = [a, b, c].filter(({ firstChunk }) =>
      levelsOfChunk(derived, { id, dimensions }, firstChunk),
    );
    assert.deepEqual(known, [a]);
  }
});

test('no vectors are put for a document that was dropped meanwhile', async (t) => {
  const project = new DerivedProject(t);
  const { derived } = project;
  const [a, b] = await project.put({ 'a.ts': twoFunctions('Window'), 'b.ts': twoFunctions('Door') });
  assert.ok(a !== undefined && b !== undefined);
  const id = await derived.write(() => addModel(derived, model));
  const made = [a, b].map(({ firstChunk, chunks }) =>
    encodeVectors(firstChunk, unitVectors(firstChunk, chunks)),
  );
  await project.drop([a]);
  await derived.write(() => putVectors(derived, id, made, b.firstChunk + 2));
  assert.deepEqual(signaturesFrom(derived, id, 0, 10).map(([firstChunk]) => firstChunk), [b.firstChunk]); // prettier-ignore
  assert.deepEqual(countVectors(derived), { total: 2, vectorized: 2 });
});

test('another model is used once no document lacks its vectors, and what the one before made goes in steps', async (t) => {
  const project = new DerivedProject(t);
  const { derived } = project;
  const [, , c] = await project.put(files);
  const first = await derived.write(() => addModel(derived, model));
  await embedSome(project, first, 0, 3);
  const next = await derived.write(() => addModel(derived, { ...model, trainedOn: 6 }));
  await embedSome(project, next, 0, 2);
  assert.equal(await derived.write(() => becomeCurrent(derived, { id: next })), false);
  assert.equal(currentModel(derived)?.id, first);
  assert.equal(nextModel(derived)?.id, next);
  await embedSome(project, next, c?.firstChunk ?? 0, 1);
  assert.equal(await derived.write(() => becomeCurrent(derived, { id: next })), true);
  assert.equal(currentModel(derived)?.id, next);
  assert.equal(nextModel(derived), undefined);
  assert.deepEqual(countVectors(derived), { total: 6, vectorized: 6 });

  assert.equal(hasLeftVectors(derived), true);
  while (hasLeftVectors(derived)) await derived.write(() => removeLeftVectors(derived));
  const models = derived
    .sql(
      'SELECT DISTINCT id / 4294967296 AS model_id FROM vectors UNION SELECT id / 4294967296 FROM signatures',
    )
    .all();
  assert.deepEqual(models, [{ model_id: next }]);
  assert.equal(signaturesFrom(derived, next, 0, 10).length, 3);
});

test('a model that is given up leaves its place to the next one, and its id to none', async (t) => {
  const project = new DerivedProject(t);
  const { derived } = project;
  await project.put(files);
  const first = await derived.write(() => addModel(derived, model));
  await embedSome(project, first, 0, 3);
  const second = await derived.write(() => addModel(derived, model));
  const third = await derived.write(() => addModel(derived, model));
  assert.equal(nextModel(derived)?.id, third, 'the second one was not complete');
  await derived.write(() => giveUpModel(derived, first));
  assert.equal(currentModel(derived)?.id, third);
  await derived.write(() => giveUpModel(derived, third));
  assert.equal(currentModel(derived), undefined);
  assert.deepEqual(countVectors(derived), { total: 6, vectorized: 0 });
  const fourth = await derived.write(() => addModel(derived, model));
  assert.ok(first < second && second < third && third < fourth);
  assert.deepEqual(signaturesFrom(derived, fourth, 0, 10), []);
});

test('a model of no dimensions has vectors, too', async (t) => {
  const project = new DerivedProject(t);
  const { derived } = project;
  const [a] = await project.put({ 'a.ts': twoFunctions('Window') });
  assert.ok(a !== undefined);
  const id = await derived.write(() => addModel(derived, { ...model, dimensions: 0 }));
  const nothing = Array.from({ length: a.chunks }, () => new Float32Array());
  await derived.write(() => putVectors(derived, id, [encodeVectors(a.firstChunk, nothing)], 100));
  assert.deepEqual(levelsOfChunk(derived, { id, dimensions: 0 }, a.firstChunk), new Int8Array());
  assert.deepEqual(countVectors(derived), { total: 2, vectorized: 2 });
});
