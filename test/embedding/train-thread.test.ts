import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lsa } from '#src/embedding/lsa.js';
import type { Document } from '#src/embedding/provider.js';
import { trainAside } from '#src/embedding/train-thread.js';
import { manyDocuments, patient, streamOf, twoSubjects } from './fixtures.js';

test('a thread learns what this one would', async () => {
  const documents = twoSubjects(700);
  const here = await lsa.train(streamOf(documents), patient);
  const phases = new Set<string>();
  const aside = await trainAside(lsa, streamOf(documents), {
    ...patient,
    progress: (phase) => phases.add(phase),
  });
  assert.deepEqual(aside, here);
  assert.deepEqual([...phases], ['learn']);
});

test('it ends at once when it is asked to, also in the middle of learning', async () => {
  const stop = new AbortController();
  const reason = new Error('stopped');
  const work = { signal: stop.signal, progress: () => stop.abort(reason) };
  await assert.rejects(trainAside(lsa, streamOf(manyDocuments(3_000, 500)), work), reason);
  await assert.rejects(trainAside(lsa, streamOf([]), work), reason);
});

test('what is wrong with the documents, or with the thread, is told', async () => {
  const broken = async function* (): AsyncGenerator<Document> {
    yield* twoSubjects(2);
    throw await Promise.resolve(new Error('no more'));
  };
  await assert.rejects(trainAside(lsa, broken(), patient), /no more/u);
  await assert.rejects(trainAside({ name: 'unknown' }, streamOf([]), patient), /no provider unknown/u);
});
