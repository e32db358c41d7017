import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Document } from '#src/embedding/provider.js';
import { countVectors, currentModel, levelsOfChunk, nextModel } from '#src/store/derived/vectors.js';
import {
  embedProject,
  openModel,
  removeLeft,
  trainProject,
  type VectorizationContext,
} from '#src/workers/vectorization/project.js';
import { sampledChunks } from '#src/workers/vectorization/sample.js';
import { DerivedProject, twoFunctions } from '../../store/derived/fixture.js';

const embed = async (context: VectorizationContext): Promise<'nothing' | 'waiting'> =>
  await embedProject(context, (model) => openModel(context, model));

const { signal } = new AbortController();

async function sampleOf({ index, derived }: DerivedProject, max: number): Promise<string[]> {
  const documents: Document[] = [];
  for await (const document of sampledChunks(index, derived, max, signal)) documents.push(document);
  return documents.map(({ name }) => name);
}

const manyFiles = (count: number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`f${i}.ts`, twoFunctions(`Window${i}`)] as const),
  );

test('all chunks of a small project are learned from, in order', async (t) => {
  const project = new DerivedProject(t);
  assert.deepEqual(await sampleOf(project, 10), []);
  const documents = await project.put(manyFiles(4));
  const all = Array.from({ length: 4 }, (_, i) => [`openWindow${i}`, `closeWindow${i}`]).flat();
  assert.deepEqual(await sampleOf(project, 8), all);
  assert.deepEqual(await sampleOf(project, 100), all);
  await project.drop(documents.slice(1, 2));
  assert.deepEqual(await sampleOf(project, 100), all.toSpliced(2, 2));
  assert.deepEqual(await sampleOf(project, 0), []);
});

test('an even sample is learned from where there are more', async (t) => {
  const project = new DerivedProject(t);
  const documents = await project.put(manyFiles(60));
  const sample = await sampleOf(project, 30);
  assert.ok(Math.abs(sample.length - 30) <= 3, `${sample.length}`);
  assert.deepEqual(await sampleOf(project, 30), sample);
  const files = sample.map((name) => Number(/\d+/u.exec(name)?.[0]));
  assert.deepEqual(
    files,
    files.toSorted((a, b) => a - b),
  );
  const inThirds = [0, 1, 2].map((third) => files.filter((file) => Math.floor(file / 20) === third).length);
  assert.ok(Math.max(...inThirds) - Math.min(...inThirds) <= 2, inThirds.join(', '));
  await project.drop(documents.slice(0, 40));
  assert.ok((await sampleOf(project, 30)).length >= 25, 'what is gone takes no place of what is there');
});

test('documents get vectors in the order in which they came, as far as their contents are there', async (t) => {
  const project = new DerivedProject(t);
  await project.put({ 'a.ts': twoFunctions('Window') });
  const [late] = await project.putCutOff({ 'b.ts': twoFunctions('Hatch') });
  await project.put({ 'c.ts': twoFunctions('Gate'), 'empty.ts': '' });
  assert.ok(late !== undefined);
  const waiting = project.vectorization({ ripeBelow: late.firstChunk });
  await trainProject(waiting);
  assert.equal(await embed(waiting), 'waiting');
  assert.deepEqual(countVectors(project.derived), { total: 6, vectorized: 2 });
  assert.ok((currentModel(project.derived)?.doneBelow ?? 0) <= late.firstChunk);

  const passing = project.vectorization({ ripeBelow: late.firstChunk + 1 });
  assert.equal(await embed(passing), 'nothing');
  assert.deepEqual(countVectors(project.derived), { total: 6, vectorized: 4 });
  const model = currentModel(project.derived);
  assert.ok(model !== undefined);
  assert.equal(levelsOfChunk(project.derived, model, late.firstChunk), null);
  assert.equal(await embed(passing), 'nothing');

  // As after a full disk, once there is room again.
  const [come] = await project.put({ 'b.ts': twoFunctions('Hatch') });
  assert.equal(await embed(project.vectorization()), 'nothing');
  assert.deepEqual(countVectors(project.derived), { total: 6, vectorized: 6 });
  const [again] = await project.putCutOff({ 'b.ts': twoFunctions('Hatch') });
  assert.equal(again?.firstChunk, come?.firstChunk, 'one that has its vectors stays');
});

test('the vectors of the model before are used until the next one has all', async (t) => {
  const project = new DerivedProject(t);
  await project.put(manyFiles(3));
  await project.vectorize();
  const before = currentModel(project.derived);
  const [late] = await project.putCutOff({ 'late.ts': twoFunctions('Door') });
  const context = project.vectorization({ ripeBelow: 0 });
  await trainProject(context);
  assert.equal(await embed(context), 'waiting');
  assert.equal(currentModel(project.derived)?.id, before?.id);
  assert.deepEqual(countVectors(project.derived), { total: 8, vectorized: 6 });

  await project.drop(late === undefined ? [] : [late]);
  await project.put({ 'more.ts': twoFunctions('Gate') });
  assert.equal(await embed(context), 'nothing');
  assert.equal(nextModel(project.derived), undefined);
  assert.notEqual(currentModel(project.derived)?.id, before?.id);
  assert.deepEqual(countVectors(project.derived), { total: 8, vectorized: 8 });
  await removeLeft(context);
  const models = project.derived.sql('SELECT DISTINCT id / 4294967296 AS id FROM vectors').all();
  assert.deepEqual(models, [{ id: currentModel(project.derived)?.id }]);
});

test('others have their turns while vectors are made, and a stop is heard', async (t) => {
  const project = new DerivedProject(t);
  await project.put(manyFiles(1_000));
  const stop = new AbortController();
  const context = project.vectorization({ signal: stop.signal });
  await trainProject(context);
  const watch = setInterval(() => stop.abort(new Error('stopped')));
  await assert.rejects(embed(context), /stopped/u);
  clearInterval(watch);
  const { total, vectorized } = countVectors(project.derived);
  assert.ok(vectorized < total, `${vectorized} of ${total}`);
});

test('training ends with its signal, and leaves the project as it was', async (t) => {
  const project = new DerivedProject(t);
  await project.put(manyFiles(3));
  const reason = new Error('stopped');
  const context = project.vectorization({ signal: AbortSignal.abort(reason) });
  await assert.rejects(trainProject(context), reason);
  assert.equal(currentModel(project.derived), undefined);
});
