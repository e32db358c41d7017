import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pointInTime, since } from '#src/contract/fields.js';

const now = Date.parse('2026-03-01T12:00:00.000Z');

test('a duration counts back from now, in each of its units', () => {
  const ago: [string, number][] = [
    ['0s', 0],
    ['90s', 90],
    ['10m', 600],
    ['1.5h', 5_400],
    ['2 d', 172_800],
    ['1w', 604_800],
  ];
  for (const [text, seconds] of ago) assert.equal(pointInTime(text, now), now - seconds * 1_000, text);
});

test('a time is ISO-8601, and in UTC where it names no zone', () => {
  assert.equal(pointInTime('2026-03-01T12:00:00Z', 0), now);
  assert.equal(pointInTime('2026-03-01T12:00:00.250Z', 0), now + 250);
  assert.equal(pointInTime('2026-03-01T13:30:00+01:30', 0), now);
  for (const text of ['2026-03-01T12:00:00', '2026-03-01T12:00', '2026-03-01T12:00:00.000'])
    assert.equal(pointInTime(text, 0), now, text);
  assert.equal(pointInTime('2026-03-01', 0), now - 43_200_000);
});

test('whatever else it is, is refused in words', () => {
  for (const text of [
    '',
    '10',
    'm',
    '-1h',
    '1y',
    '10 minutes',
    'yesterday',
    '2026-02-30',
    '2026-03-01 12:00',
    '12:00',
    '1e3s',
    '99999999999s',
  ]) {
    assert.equal(pointInTime(text, now), null, text);
    assert.match(since.safeParse(text).error?.issues[0]?.message ?? '', /neither ISO-8601/, text);
  }
});
