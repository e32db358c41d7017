import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Rotation, TimeShare, turnMinMs } from '#src/workers/file-watcher/rotation.js';

const folder = fc.constantFrom('', 'a', 'a/b', 'c', 'd', 'e');
const step = fc.record({
  afterMs: fc.nat(turnMinMs),
  act: fc.constantFrom('add', 'drop', 'look', 'next'),
  folder,
});

test('whatever comes and goes, the turn is that of the folder looked at longest ago, and its age is told', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const rotation = new Rotation();
      const lookedAt = new Map<string, number>();
      let now = 0;
      for (const { afterMs, act, folder: one } of steps) {
        now += afterMs;
        const due = rotation.next(now);
        const oldest = lookedAt.size === 0 ? null : Math.min(...lookedAt.values());
        assert.equal(rotation.size, lookedAt.size);
        assert.equal(rotation.ageMs(now), oldest === null ? null : now - oldest);
        assert.equal(
          rotation.dueInMs(now),
          oldest === null ? Infinity : Math.max(oldest + turnMinMs - now, 0),
        );
        assert.equal(due === null, oldest === null || now - oldest < turnMinMs);
        if (due !== null) assert.equal(lookedAt.get(due), oldest);
        if (act === 'drop') {
          rotation.drop(one);
          lookedAt.delete(one);
        } else if (act === 'add' || (act === 'look' && lookedAt.has(one))) {
          rotation.add(one, now);
          lookedAt.set(one, now);
        } else if (act === 'look') {
          rotation.looked(one, now);
        } else if (due !== null) {
          rotation.looked(due, now);
          lookedAt.set(due, now);
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

test('within a turn each folder has its look once, also where others are new', () => {
  const rotation = new Rotation();
  const known = Array.from({ length: 100 }, (_, number) => `folder${number}`);
  for (const one of known) rotation.add(one, 0);
  const looks: string[] = [];
  for (let now = turnMinMs, next = rotation.next(now); next !== null; now += 1, next = rotation.next(now)) {
    if (looks.length >= known.length) break;
    rotation.add(`new${now}`, now);
    rotation.looked(next, now);
    looks.push(next);
  }
  assert.deepEqual(looks, known);
});

test('pieces take their share of the time at most, however long each takes and however late it begins', () => {
  const piece = fc.record({ lateMs: fc.nat(3_000), tookMs: fc.nat(5_000) });
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 40 }), fc.boolean(), (pieces, inPairs) => {
      const share = new TimeShare(0.05);
      const beganAt = 1_000;
      let [now, sumMs] = [beganAt, 0];
      for (const { lateMs, tookMs } of pieces) {
        now += share.waitMs(now) + lateMs;
        share.took(now, now + tookMs);
        // Two that waited for the same time both begin.
        if (inPairs) share.took(now, now + tookMs);
        sumMs += inPairs ? tookMs * 2 : tookMs;
        now += tookMs;
      }
      assert.ok(sumMs <= 0.05 * (now + share.waitMs(now) - beganAt) + 1e-6);
      assert.equal(share.waitMs(now + share.waitMs(now)), 0);
    }),
    { numRuns: 500 },
  );
});

test('what takes hardly any time is hardly held up', () => {
  const share = new TimeShare(0.05);
  share.took(100, 101);
  assert.equal(share.waitMs(101), 19);
  assert.equal(share.waitMs(500), 0);
});
