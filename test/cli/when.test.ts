import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pointInTime } from '#src/contract/fields.js';
import { momentOf } from '#src/cli/when.js';

/** Of their own day; Kathmandu is 5:45 ahead, Santiago and Berlin have summer times. */
const zones = ['UTC', 'Europe/Berlin', 'America/Santiago', 'Asia/Kathmandu', 'Pacific/Kiritimati'];

function inZone(zone: string, work: () => void): void {
  const before = process.env['TZ'];
  process.env['TZ'] = zone;
  try {
    work();
  } finally {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  }
}

const two = (number: number): string => String(number).padStart(2, '0');

test('what people type, as the wire takes it', () => {
  inZone('Europe/Berlin', () => {
    const now = new Date('2026-11-30T13:30:00Z');
    for (const [typed, taken] of [
      ['14:03', '2026-11-30T13:03:00.000Z'],
      ['14:03:59', '2026-11-30T13:03:59.000Z'],
      ['14:30', '2026-11-30T13:30:00.000Z'],
      ['14:31', '2026-11-29T13:31:00.000Z'],
      ['9:05', '2026-11-30T08:05:00.000Z'],
      ['2026-11-30', '2026-11-29T23:00:00.000Z'],
      ['2026-11-30T14:03', '2026-11-30T13:03:00.000Z'],
      ['2026-11-30 14:03', '2026-11-30T13:03:00.000Z'],
      ['2026-07-01 14:03:07', '2026-07-01T12:03:07.000Z'],
      ['2026-11-30T13:03:00Z', '2026-11-30T13:03:00.000Z'],
      ['2026-11-30T13:03:00.5+02:00', '2026-11-30T11:03:00.500Z'],
    ] as const)
      assert.equal(momentOf(typed, now), taken, typed);
    for (const other of [
      '10m',
      '1.5 h',
      'c01234567',
      'before the merge',
      'v2-k3x',
      '24:00',
      '12:60',
      '2026-02-30',
      '1:2',
    ])
      assert.equal(momentOf(other, now), other);
    for (const wrong of ['', '2026-12-01', '2026-11-30 14:31', '2026-11-30T13:30:01Z'])
      assert.throws(() => momentOf(wrong, now), /^CommandError: (?:No time|.* lies ahead)/u, wrong);
  });
});

test('a time of day is the last one that has been, in every zone and across a change of the clock', () => {
  const moment = fc.date({ min: new Date('2020-01-01'), max: new Date('2030-01-01'), noInvalidDate: true });
  const clock = fc.tuple(fc.nat(23), fc.nat(59));
  fc.assert(
    fc.property(fc.constantFrom(...zones), moment, clock, (zone, now, [hour, minute]) => {
      inZone(zone, () => {
        const taken = momentOf(`${hour}:${two(minute)}`, now);
        const at = pointInTime(taken, 0) ?? assert.fail('the wire takes it');
        const agoHours = (now.getTime() - at) / 3_600_000;
        assert.ok(agoHours >= 0 && agoHours <= 25, `${agoHours} h ago`);
        const date = new Date(at);
        // An hour that a clock leaves out is the one behind it.
        if (date.getMinutes() !== minute || date.getHours() !== hour)
          assert.notEqual(date.getTimezoneOffset(), new Date(at - 7_200_000).getTimezoneOffset());
        const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
        assert.equal(momentOf(`${day} ${two(hour)}:${two(minute)}`, now), taken);
      });
    }),
  );
});
