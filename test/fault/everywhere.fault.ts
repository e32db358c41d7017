/**
 * Kills and disturbs whatever changes an index or a project, at its system calls. `npm run test:faults` runs it;
 * CODEKEEP_FAULTS=all takes every call instead of a selection that grows with its number.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { hasStrace } from '../harness/strace.js';
import { failAt, killAt, killTwice, tried } from './disturb.js';
import { operationNames } from './operations.js';

if (!hasStrace()) throw new Error('strace is not installed: these tests cannot run without it');

const isAll = process.env['CODEKEEP_FAULTS'] === 'all';

/** strace counts the calls of each thread by itself; files are placed by libuv's only one. Loading modules opens files. */
const syscalls: Record<string, number> = {
  link: 1,
  unlink: 1,
  rename: 1,
  fsync: 1,
  fchmod: 1,
  mkdir: 1,
  ftruncate: 1,
  write: 1,
  pwrite64: 1,
  openat: 60,
  close: 60,
};

/** Every call, or each a third further than the one before. */
function* pointsFrom(first: number): Generator<number> {
  for (let nth = first; ; nth = isAll ? nth + 1 : Math.max(nth + 1, Math.round(nth * 1.35))) yield nth;
}

/** Far beyond what any of the operations calls. */
const callsMax = 2_000;

for (const name of operationNames)
  for (const [syscall, first] of Object.entries(syscalls))
    test(`${name}, killed at ${syscall}`, async (t) => {
      let reached = 0;
      for (const nth of pointsFrom(first)) {
        if (nth > callsMax || !(await killAt(t, name, syscall, nth))) break;
        reached += 1;
      }
      t.diagnostic(`${reached} points`);
    });

const pairs = ['link', 'unlink', 'rename', 'pwrite64', 'fsync'];
const positions = isAll ? [1, 2, 4, 8, 16] : [1, 4];

for (const name of operationNames)
  test(`${name}, killed twice`, async (t) => {
    const before = tried.pairs;
    for (const first of pairs)
      for (const second of pairs)
        for (const nth of positions) await killTwice(t, name, [first, nth], [second, nth]);
    t.diagnostic(`${tried.pairs - before} pairs`);
    assert.ok(tried.pairs > before);
  });

const disturbances: [syscall: string, error: string, when: string][] = [
  ['link', 'EIO', '2'],
  ['link', 'ENOSPC', '1+2'],
  ['link', 'EACCES', '3+5'],
  ['unlink', 'EIO', '4'],
  ['rename', 'EIO', '1'],
  ['fsync', 'EIO', '2'],
  ['fsync', 'ENOSPC', '7'],
  ['fsync', 'EIO', '30'],
  ['fchmod', 'EPERM', '3'],
  ['mkdir', 'ENOSPC', '3'],
  ['write', 'ENOSPC', '20+'],
  ['pwrite64', 'EIO', '3'],
  ['pwrite64', 'ENOSPC', '6+'],
  ['pread64', 'EIO', '40'],
];

for (const name of operationNames)
  for (const [syscall, error, when] of disturbances)
    test(`${name}, ${syscall} fails with ${error} at ${when}`, async (t) => {
      const { code, signal } = await failAt(t, name, syscall, error, when);
      t.diagnostic(`status ${code ?? String(signal)}`);
    });

after(() => {
  const { kills, pairs: killedTwice, failures } = tried;
  console.log(`crash points: ${kills}, pairs: ${killedTwice}, failing calls: ${failures}`);
});
