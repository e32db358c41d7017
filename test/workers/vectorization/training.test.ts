import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Ages,
  agesNow,
  isSettled,
  isTrainingDue,
  ripeAfterMs,
  settledAfterMs,
  settlingMaxMs,
  settlingNow,
  type Settling,
} from '#src/workers/vectorization/training.js';

test('a model is trained when there is none, and when the project doubled or halved', () => {
  assert.equal(isTrainingDue(1, true, null), true);
  assert.equal(isTrainingDue(0, true, null), false);
  assert.equal(isTrainingDue(199, true, 100), false);
  assert.equal(isTrainingDue(200, true, 100), true);
  assert.equal(isTrainingDue(50, true, 100), false);
  assert.equal(isTrainingDue(49, true, 100), true);
  assert.equal(isTrainingDue(0, true, 100), false);
});

test('none is trained while the first index is under way', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.option(fc.nat()),
      (chunks, trainedOn) => !isTrainingDue(chunks, false, trainedOn),
    ),
  );
});

test('training right after training is never needed', () => {
  for (let chunks = 0; chunks < 100; chunks++) assert.equal(isTrainingDue(chunks, true, chunks), false);
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
