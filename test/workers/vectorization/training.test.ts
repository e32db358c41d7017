import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isSettled,
  needsTraining,
  settledAfterMs,
  settlingMaxMs,
  settlingNow,
  type Settling,
} from '#src/workers/vectorization/training.js';

test('a model is trained when there is none, and when the project doubled or halved', () => {
  assert.equal(needsTraining(1, null), true);
  assert.equal(needsTraining(0, null), false);
  assert.equal(needsTraining(199, 100), false);
  assert.equal(needsTraining(200, 100), true);
  assert.equal(needsTraining(50, 100), false);
  assert.equal(needsTraining(49, 100), true);
  assert.equal(needsTraining(0, 100), false);
});

test('training right after training is never needed', () => {
  for (let chunks = 0; chunks < 100; chunks++) assert.equal(needsTraining(chunks, chunks), false);
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
