import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failAt, killAt } from '../fault/cut-off-repair.js';
import { hasStrace } from '../harness/strace.js';

/** A quick selection; test/fault/kill-everywhere.fault.ts has the others. */
const points: [syscall: string, nth: number][] = [
  ['link', 1],
  ['link', 6],
  ['unlink', 3],
  ['fsync', 4],
  ['fchmod', 9],
  ['mkdir', 4],
  ['pwrite64', 8],
];

for (const [syscall, nth] of points) {
  test(`a repair that is killed at ${syscall} ${nth} is finished by the next one`, async (t) => {
    if (!hasStrace()) return t.skip('strace is not installed');
    assert.ok(await killAt(t, syscall, nth), 'the call was never made');
  });
}

for (const [syscall, error] of [
  ['link', 'ENOSPC'],
  ['fsync', 'EIO'],
] as const) {
  test(`a ${syscall} that fails with ${error} costs one action, and the next repair makes up for it`, async (t) => {
    if (!hasStrace()) return t.skip('strace is not installed');
    const { failed } = await failAt(t, syscall, error, '5');
    assert.ok(failed.length > 0);
  });
}
