import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Ages,
  agesNow,
  isSettled,
  largeProjectChunks,
  ripeAfterMs,
  settledAfterMs,
  settlingMaxMs,
  settlingNow,
  type Settling,
  trainingDue,
} from '#src/workers/vectorization/training.js';

const complete = (chunks: number): { chunks: number; isComplete: boolean } => ({ chunks, isComplete: true });
const underWay = (chunks: number): { chunks: number; isComplete: boolean } => ({ chunks, isComplete: false });
const learned = (trainedOn: number, isEarly = false): { trainedOn: number; isEarly: boolean } => ({
  trainedOn,
  isEarly,
});

test('a model is trained when there is none, and when the project doubled or halved', () => {
  assert.equal(trainingDue(complete(1), null), 'at rest');
  assert.equal(trainingDue(complete(0), null), 'not');
  assert.equal(trainingDue(complete(199), learned(100)), 'not');
  assert.equal(trainingDue(complete(200), learned(100)), 'at rest');
  assert.equal(trainingDue(complete(50), learned(100)), 'not');
  assert.equal(trainingDue(complete(49), learned(100)), 'at rest');
  assert.equal(trainingDue(complete(0), learned(100)), 'not');
});

test('while the first index is under way, only a large project gets a model, and that once', () => {
  assert.equal(trainingDue(underWay(1_000), null), 'not');
  assert.equal(trainingDue(underWay(largeProjectChunks), null), 'not');
  assert.equal(trainingDue(underWay(largeProjectChunks + 1), null), 'now');
  assert.equal(trainingDue(underWay(1_000_000), learned(60_000, true)), 'not');
});

test('a model of the beginning is replaced when the index is complete, unless little came after it', () => {
  assert.equal(trainingDue(complete(80_000), learned(60_000, true)), 'at rest');
  assert.equal(trainingDue(complete(70_000), learned(60_000, true)), 'not');
  assert.equal(trainingDue(complete(80_000), learned(60_000)), 'not');
});

test('training right after training is never needed', () => {
  for (let chunks = 0; chunks < 100; chunks++) {
    for (const isEarly of [false, true])
      assert.equal(trainingDue(complete(chunks), learned(chunks, isEarly)), 'not');
  }
});

test('a project settles once its chunks have not changed for a while', () => {
  let settling = settlingNow(undefined, 10, 0);
  assert.equal(isSettled(settling, 0), false);
  settling = settlingNow(settling, 20, 900);
  assert.equal(isSettled(settling, settledAfterMs), false);
  settling = settlingNow(settling, 20, 1_500);
  assert.equal(isSettled(settling, 900 + settledAfterMs), true);
});

test('a project that never rests is trained after all', () => {
  let settling: Settling | undefined;
  for (let now = 0; now < settlingMaxMs; now += 100) {
    settling = settlingNow(settling, now, now);
    assert.equal(isSettled(settling, now), false);
  }
  settling = settlingNow(settling, -1, settlingMaxMs);
  assert.equal(isSettled(settling, settlingMaxMs), true);
});

test('a document is ripe once it was there at a look so long ago', () => {
  let ages: Ages | undefined = agesNow(undefined, 100, 0);
  assert.equal(ages.ripeBelow, 0, 'nothing is known of when they came');
  ages = agesNow(ages, 200, ripeAfterMs - 1);
  assert.equal(ages.ripeBelow, 0);
  ages = agesNow(ages, 300, ripeAfterMs);
  assert.equal(ages.ripeBelow, 100);
  ages = agesNow(ages, 400, ripeAfterMs * 2);
  assert.equal(ages.ripeBelow, 300);
});
