/** Which states are let go, by examples and by what holds for all of them; the oracle looks at every single moment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  cutFor,
  judgeStates,
  oldestKept,
  type PastState,
  policyOf,
  type PresentState,
  type Retention,
  type RetentionPolicy,
  wholeSince,
} from '#src/store/retention.js';

const hour = 3_600_000;
const day = 24 * hour;
const shipped = policyOf({
  history_keep_all: 172_800,
  history_keep_hourly: 1_209_600,
  history_keep_daily: 7_776_000,
});
const now = Date.parse('2026-12-01T12:00:00Z');

function at(text: string): number {
  return Date.parse(text);
}

/** Times at which a file was saved; the last is what it is now. Gives those of the states that stay. */
function kept(times: readonly string[], given: Partial<Retention> = {}): string[] {
  const seen = times.map(at);
  const past = seen.slice(0, -1).map((seenAt, index) => ({ seenAt, goneAt: seen[index + 1] ?? 0 }));
  const present = { seenAt: seen.at(-1) ?? 0, keepsBefore: false };
  const retention = { policy: shipped, now, recordedAt: 0, checkpoints: [], cutAt: 0, ...given };
  const stays = judgeStates(past, present, retention).filter(({ keptFor }) => keptFor !== null);
  return stays.map(({ state }) => new Date(state.seenAt).toISOString());
}

function iso(...texts: string[]): string[] {
  return texts.map((text) => new Date(at(text)).toISOString());
}

const examples: [name: string, times: string[], stays: string[]][] = [
  [
    'everything of the last two days',
    ['2026-11-29T12:00:00Z', '2026-11-29T12:00:01Z', '2026-11-29T12:00:02Z', '2026-11-29T12:00:03Z'],
    ['2026-11-29T12:00:00Z', '2026-11-29T12:00:01Z', '2026-11-29T12:00:02Z'],
  ],
  [
    'what ended two days ago and a moment was only for the end of its hour',
    ['2026-11-29T11:10:00Z', '2026-11-29T11:20:00Z', '2026-11-29T11:59:59.999Z', '2026-11-30T00:00:00Z'],
    ['2026-11-29T11:59:59.999Z'],
  ],
  [
    'the last of each hour for two weeks',
    [
      '2026-11-20T09:00:00Z',
      '2026-11-20T09:59:00Z',
      '2026-11-20T10:00:00Z',
      '2026-11-20T10:30:00Z',
      '2026-11-20T11:00:00Z',
    ],
    ['2026-11-20T09:59:00Z', '2026-11-20T10:30:00Z'],
  ],
  [
    'the last of each day for 90 days',
    [
      '2026-10-01T09:00:00Z',
      '2026-10-01T23:00:00Z',
      '2026-10-02T01:00:00Z',
      '2026-10-02T23:59:59Z',
      '2026-10-03T00:00:00Z',
    ],
    ['2026-10-01T23:00:00Z', '2026-10-02T23:59:59Z'],
  ],
  [
    'nothing that ended more than 90 days ago',
    ['2026-01-01T00:00:00Z', '2026-05-01T00:00:00Z', '2026-09-02T11:00:00Z', '2026-09-02T23:59:59Z'],
    [],
  ],
  [
    'what a path was at the oldest day that is kept, however long ago it became that',
    ['2025-01-01T00:00:00Z', '2025-06-01T00:00:00Z', '2026-09-03T00:00:00Z', '2026-11-30T00:00:00Z'],
    ['2025-06-01T00:00:00Z', '2026-09-03T00:00:00Z'],
  ],
];

for (const [name, times, stays] of examples)
  test(`kept is ${name}`, () => assert.deepEqual(kept(times), iso(...stays)));

test('a state of which a checkpoint is stays, whatever its age and the room that there is', () => {
  const times = [
    '2020-01-01T00:00:00Z',
    '2020-01-01T00:00:10Z',
    '2020-01-01T00:00:20Z',
    '2026-11-30T00:00:00Z',
  ];
  const checkpoints = [at('2020-01-01T00:00:10Z')];
  assert.deepEqual(kept(times, { checkpoints, cutAt: now }), iso('2020-01-01T00:00:10Z'));
  assert.deepEqual(
    kept(times, { checkpoints: [at('2020-01-01T00:00:09.999Z')] }).slice(0, 1),
    iso('2020-01-01T00:00:00Z'),
  );
});

test('what was deleted has its last content for 90 days, also one of a minute', () => {
  const past = [{ seenAt: at('2026-09-10T10:00:00Z'), goneAt: at('2026-09-10T10:01:00Z') }];
  const deleted = { seenAt: at('2026-09-10T10:01:00Z'), keepsBefore: true };
  const retention = { policy: shipped, recordedAt: 0, checkpoints: [], cutAt: 0 };
  const ageOf = (days: number): number => deleted.seenAt + days * day;
  const stays = (moment: number): boolean =>
    judgeStates(past, deleted, { ...retention, now: moment })[0]?.keptFor !== null;
  assert.deepEqual([stays(ageOf(20)), stays(ageOf(90)), stays(ageOf(90) + 1)], [true, true, false]);
  const other = judgeStates(past, { ...deleted, keepsBefore: false }, { ...retention, now: ageOf(20) });
  assert.equal(other[0]?.keptFor, null);
});

test('that a path is nothing any more is said as long as something older is known of it', () => {
  const checkpoints = [at('2020-01-01T00:00:00Z')];
  const past = [
    { seenAt: at('2020-01-01T00:00:00Z'), goneAt: at('2020-02-01T00:00:00Z') },
    { seenAt: at('2020-03-01T00:00:00Z'), goneAt: at('2020-03-02T00:00:00Z') },
  ];
  const retention = { policy: shipped, now, recordedAt: 0, cutAt: 0 };
  const fates = (given: readonly number[]): (number | null)[] =>
    judgeStates(past, null, { ...retention, checkpoints: given }).map(({ keptFor }) => keptFor);
  assert.deepEqual(fates(checkpoints), [Infinity, Infinity]);
  assert.deepEqual(fates([]), [null, null]);
});

/** A small world, in which every moment can be looked at: periods of 1, 4 and 16. */
const small: RetentionPolicy = [
  { everyMs: 1, forMs: 6 },
  { everyMs: 4, forMs: 24 },
  { everyMs: 16, forMs: 70 },
];

function isKept(
  moment: number,
  retention: Pick<Retention, 'policy' | 'now' | 'cutAt' | 'checkpoints'>,
): boolean {
  const { policy, cutAt, checkpoints } = retention;
  if (checkpoints.includes(moment)) return true;
  return (
    moment >= cutAt &&
    policy.some(({ everyMs, forMs }) => (moment + 1) % everyMs === 0 && moment >= retention.now - forMs)
  );
}

interface Timeline {
  past: PastState[];
  present: PresentState | null;
}

/** What a path was: the last state at or before it. */
function stateAt({ past, present }: Timeline, moment: number): number | null {
  if (present !== null && present.seenAt <= moment) return present.seenAt;
  const state = past.findLast(({ seenAt }) => seenAt <= moment);
  if (state === undefined) return null;
  return present === null && state === past.at(-1) && state.goneAt <= moment ? null : state.seenAt;
}

function timelineUntil(
  times: readonly number[],
  end: number,
  hasPresent: boolean,
  keepsBefore: boolean,
): Timeline {
  const seen = times.filter((time) => time <= end);
  const last = seen.at(-1);
  if (last === undefined) return { past: [], present: null };
  const ended = hasPresent ? seen.slice(0, -1) : seen;
  const past = ended.map((seenAt, index) => ({ seenAt, goneAt: seen[index + 1] ?? seenAt + 1 }));
  return { past, present: hasPresent ? { seenAt: last, keepsBefore } : null };
}

function forget(timeline: Timeline, retention: Retention): Timeline {
  const judged = judgeStates(timeline.past, timeline.present, retention);
  return { ...timeline, past: judged.filter(({ keptFor }) => keptFor !== null).map(({ state }) => state) };
}

const worlds = fc.record({
  times: fc
    .uniqueArray(fc.integer({ min: 0, max: 200 }), { maxLength: 30 })
    .map((times) => times.sort((a, b) => a - b)),
  hasPresent: fc.boolean(),
  keepsBefore: fc.boolean(),
  recordedAt: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 200 })),
  checkpoints: fc
    .uniqueArray(fc.integer({ min: 0, max: 200 }), { maxLength: 3 })
    .map((times) => times.sort((a, b) => a - b)),
  now: fc.integer({ min: 0, max: 200 }),
  later: fc.integer({ min: 0, max: 150 }),
  cutAt: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 200 })),
});

test('what a path was at a kept moment stays exactly so; what stays without need does not', () => {
  fc.assert(
    fc.property(worlds, ({ times, hasPresent, checkpoints, now: end, cutAt }) => {
      const before = timelineUntil(times, end, hasPresent, false);
      const retention = { policy: small, now: end, recordedAt: 0, checkpoints, cutAt };
      const after = forget(before, retention);
      const needed = new Set<number | null>();
      for (let moment = 0; moment <= 200; moment += 1) {
        if (!isKept(moment, retention)) continue;
        assert.equal(stateAt(after, moment), stateAt(before, moment), `at ${moment}`);
        needed.add(stateAt(before, moment));
      }
      for (const { seenAt } of after.past)
        assert.ok(
          needed.has(seenAt) || (!hasPresent && seenAt === after.past.at(-1)?.seenAt),
          `${seenAt} stays`,
        );
    }),
    { numRuns: 2_000 },
  );
});

test('from the moment on that is said, a path is what it was then or at one since', () => {
  fc.assert(
    fc.property(worlds, ({ times, hasPresent, keepsBefore, recordedAt, checkpoints, now: end, cutAt }) => {
      const before = timelineUntil(times, end, hasPresent, keepsBefore);
      const retention = { policy: small, now: end, recordedAt, checkpoints, cutAt };
      const since = wholeSince(judgeStates(before.past, before.present, retention), retention);
      const after = forget(before, retention);
      assert.ok(since <= oldestKept(retention));
      const knownSince = Math.max(since, recordedAt);
      for (let moment = knownSince; moment <= end; moment += 1) {
        const rightAt = Array.from({ length: moment - knownSince + 1 }, (_, back) => moment - back);
        const said = stateAt(after, moment);
        assert.ok(
          rightAt.some((earlier) => stateAt(before, earlier) === said),
          `at ${moment}, from ${since}`,
        );
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a second time nothing goes, and what was forgotten in between makes no difference', () => {
  fc.assert(
    fc.property(worlds, ({ times, hasPresent, keepsBefore, checkpoints, now: first, later }) => {
      const second = first + later;
      const known = checkpoints.filter((moment) => moment <= first);
      const between = { policy: small, now: first, recordedAt: 0, checkpoints: known, cutAt: 0 };
      const atEnd = { ...between, now: second };
      const early = timelineUntil(times, first, hasPresent, keepsBefore);
      const once = forget(early, between);
      assert.deepEqual(forget(once, between), once);
      // Of a path that was nothing for a while only what is said counts, and not by which of its states.
      if (!hasPresent) return;
      const whole = timelineUntil(times, second, hasPresent, keepsBefore);
      const gone = new Set(
        early.past.filter((state) => !once.past.includes(state)).map(({ seenAt }) => seenAt),
      );
      const thinned = { ...whole, past: whole.past.filter(({ seenAt }) => !gone.has(seenAt)) };
      assert.deepEqual(forget(thinned, atEnd), forget(whole, atEnd));
    }),
    { numRuns: 2_000 },
  );
});

test('beyond the cap goes what was needed longest ago, and never what always stays', () => {
  const contents = fc.array(
    fc.record({
      bytes: fc.integer({ min: 1, max: 100 }),
      keptFor: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.constant(Infinity)),
    }),
  );
  const sizeOf = (some: readonly { bytes: number }[]): number =>
    some.reduce((sum, { bytes }) => sum + bytes, 0);
  fc.assert(
    fc.property(contents, fc.integer({ min: 0, max: 1_000 }), (some, maxBytes) => {
      const cutAt = cutFor(some, maxBytes);
      const stays = some.filter(({ keptFor }) => keptFor >= cutAt);
      assert.ok(sizeOf(stays) <= maxBytes || stays.every(({ keptFor }) => keptFor === Infinity));
      const less = some.filter(({ keptFor }) => keptFor >= cutAt - 1);
      if (cutAt > 0) assert.ok(sizeOf(less) > maxBytes, 'no more goes than has to');
    }),
  );
});

test('what a file was found with, and not at the end of an hour, is not said to be known once it is gone', () => {
  const recordedAt = at('2026-11-20T10:15:00Z');
  const past = [{ seenAt: recordedAt - 1, goneAt: at('2026-11-20T10:20:00Z') }];
  const present = { seenAt: at('2026-11-20T10:20:00Z'), keepsBefore: false };
  const retention = { policy: shipped, now, recordedAt, checkpoints: [], cutAt: 0 };
  const since = wholeSince(judgeStates(past, present, retention), retention);
  assert.equal(new Date(since).toISOString(), '2026-11-20T10:20:00.000Z');
});

test('the oldest moment that is kept ends a day', () => {
  const retention = { policy: shipped, now, recordedAt: 0, checkpoints: [], cutAt: 0 };
  assert.equal(new Date(oldestKept(retention)).toISOString(), '2026-09-02T23:59:59.999Z');
  assert.equal(
    new Date(oldestKept({ ...retention, cutAt: now - hour })).toISOString(),
    '2026-12-01T11:00:00.000Z',
  );
});
