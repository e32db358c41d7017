import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hashFile } from '#src/base/copy-contents.js';
import { sha256 } from '#src/base/hash.js';
import { temporaryFolder } from '../harness/folder.js';

test('a hash read in pieces is the hash of the whole', async (t) => {
  const file = join(temporaryFolder(t), 'file');
  for (const size of [0, 1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 3_000_000]) {
    const bytes = Buffer.alloc(size, 'content');
    writeFileSync(file, bytes);
    assert.equal(await hashFile(file), sha256(bytes), `${size} bytes`);
  }
});

test('a file that is longer than 2 GiB is hashed while others have their turn, and can be left', async (t) => {
  const file = join(temporaryFolder(t), 'file');
  writeFileSync(file, '');
  truncateSync(file, 2.5 * 1024 ** 3);
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 1);
  // Of so many zeros, by sha256sum.
  assert.equal(await hashFile(file), '9679aa8d70d80446e83955c51d2fe0cbc0af409a5202ee4c977a59a117372cff');
  clearInterval(timer);
  assert.ok(turns > 100, `${turns} turns`);

  const enough = new AbortController();
  setTimeout(() => enough.abort(new Error('enough')), 1);
  await assert.rejects(hashFile(file, enough.signal), /enough/);
});

test('what is no file is not read', async (t) => {
  const root = temporaryFolder(t);
  writeFileSync(join(root, 'file'), '');
  symlinkSync('file', join(root, 'link'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  for (const name of ['link', 'fifo', '.', 'nothing']) await assert.rejects(hashFile(join(root, name)), name);
});
