/**
 * Kills and disturbs repairs at many system calls; some minutes. Run it with
 *     npm run build && npx tsc -p test && node --test --test-reporter=spec dist-test/fault/*.fault.js
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasStrace } from '../harness/strace.js';
import { failAt, killAt } from './cut-off-repair.js';

if (!hasStrace()) throw new Error('strace is not installed: these tests cannot run without it');

/** strace counts the calls of each thread by itself; files are placed by libuv's only one. */
const points: Record<string, number[]> = {
  link: [1, 2, 3, 4, 5, 8, 12, 16, 20, 24, 28],
  unlink: [1, 2, 3, 5, 9, 14, 20, 27],
  fsync: [1, 2, 3, 5, 8, 13, 21, 34],
  fchmod: [1, 2, 7, 15, 24],
  mkdir: [1, 2, 3, 5, 8],
  write: [1, 3, 10, 30, 60, 100],
  pwrite64: [1, 2, 4, 6, 8, 10, 12, 15, 20],
  openat: [20, 40, 60, 80, 90, 100, 110],
  close: [30, 50, 60, 80, 100, 120],
};

for (const [syscall, nths] of Object.entries(points)) {
  test(`killed at ${syscall}`, async (t) => {
    let reached = 0;
    for (const nth of nths) if (await killAt(t, syscall, nth)) reached += 1;
    t.diagnostic(`${reached} of ${nths.length} points were reached`);
    assert.ok(reached > 0, `${syscall} is never called`);
  });
}

const disturbances: [syscall: string, error: string, when: string][] = [
  ['link', 'EIO', '2'],
  ['link', 'ENOSPC', '1+2'],
  ['link', 'EACCES', '3+5'],
  ['unlink', 'EIO', '4'],
  ['fsync', 'EIO', '2'],
  ['fsync', 'ENOSPC', '7'],
  ['fsync', 'EIO', '30'],
  ['fchmod', 'EPERM', '3'],
  ['mkdir', 'ENOSPC', '3'],
];

for (const [syscall, error, when] of disturbances) {
  test(`${syscall} fails with ${error} at ${when}`, async (t) => {
    const { failed, first } = await failAt(t, syscall, error, when);
    t.diagnostic(`status ${first.code}, ${failed.length} actions failed`);
    assert.notEqual(first.code, 0);
  });
}
