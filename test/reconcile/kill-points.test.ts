import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failAt, killAt, killTwice } from '../fault/disturb.js';
import type { OperationName } from '../fault/operations.js';
import { hasStrace } from '../harness/strace.js';

/** A quick selection; test/fault/everywhere.fault.ts has the others. */
const points: [operation: OperationName, syscall: string, nth: number][] = [
  ['repair', 'link', 1],
  ['repair', 'link', 6],
  ['repair', 'fsync', 4],
  ['repair', 'fchmod', 9],
  ['repair', 'pwrite64', 8],
  ['undo', 'unlink', 5],
  ['undo', 'pwrite64', 8],
  ['delete', 'rename', 2],
  ['backup', 'link', 1],
  ['rebuild', 'rename', 3],
  ['restore', 'rename', 3],
  ['migration', 'pwrite64', 40],
];

for (const [operation, syscall, nth] of points) {
  test(`a ${operation} that is killed at ${syscall} ${nth} is finished by the next one`, async (t) => {
    if (!hasStrace()) return t.skip('strace is not installed');
    assert.ok(await killAt(t, operation, syscall, nth), 'the call was never made');
  });
}

for (const [operation, syscall, error, nth] of [
  ['repair', 'link', 'ENOSPC', '5'],
  ['repair', 'fsync', 'EIO', '5'],
  // Before it SQLite only makes room for its shared memory, to look at what is there.
  ['rebuild', 'pwrite64', 'ENOSPC', '12'],
  // The look whether the index is of an older version fails: it is not to be changed without a backup.
  ['migration', 'pwrite64', 'EIO', '3'],
] as const) {
  test(`a ${syscall} that fails with ${error} in a ${operation} loses nothing, and the next one makes up for it`, async (t) => {
    if (!hasStrace()) return t.skip('strace is not installed');
    assert.notEqual((await failAt(t, operation, syscall, error, nth)).code, 0);
  });
}

test('a repair that is killed while it is finished is finished by the one after it', async (t) => {
  if (!hasStrace()) return t.skip('strace is not installed');
  assert.ok(await killTwice(t, 'repair', ['link', 4], ['unlink', 2]), 'a call was never made');
});
