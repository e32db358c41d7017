import assert from 'node:assert/strict';
import {
  closeSync,
  lstatSync,
  openSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { type FileStamp, stampOfAny } from '#src/base/stamp.js';
import { provenStamps } from '#src/reconcile/proven-stamp.js';
import { temporaryFolder } from '../harness/folder.js';

const stampAt = (path: string): FileStamp => stampOfAny(lstatSync(path, { bigint: true }));

/** A save of the same size, with the time put back. */
function editBackdated(path: string): void {
  const { atime, mtime } = lstatSync(path);
  const fd = openSync(path, 'r+');
  writeSync(fd, 'mine', 0);
  closeSync(fd);
  utimesSync(path, atime, mtime);
}

test('a stamp is proven as long as its bytes are what was placed, and another one is none that a file can have', async (t) => {
  const folder = temporaryFolder(t);
  const paths = ['still', 'before the look', 'after the look', 'gone'].map((name) => join(folder, name));
  const [still = '', before = '', after = '', gone = ''] = paths;
  for (const path of paths) writeFileSync(path, 'bytes that were placed\n');
  // Quicker than who placed it: the stamp that was taken is the one of the edit.
  editBackdated(before);
  const stamps = paths.map(stampAt);
  editBackdated(after);
  unlinkSync(gone);
  const link = join(folder, 'link');
  symlinkSync('target', link);
  const hash = sha256(Buffer.from('bytes that were placed\n'));
  const placed = paths.map((absolute, at) => ({
    absolute,
    sha256: hash,
    stamp: stamps[at] ?? stampAt(still),
  }));
  const linked = { absolute: link, sha256: sha256(Buffer.from('target')), stamp: stampAt(link) };
  const proven = await provenStamps([...placed, linked]);
  assert.deepEqual(proven[0], placed[0]?.stamp);
  assert.deepEqual(
    proven.slice(1, 4).map(({ ctimeNs }) => ctimeNs),
    ['0', '0', '0'],
  );
  assert.deepEqual(proven[4], linked.stamp);
});

test('what is proven cannot change any more within the same ctime', async (t) => {
  const path = join(temporaryFolder(t), 'file');
  for (let times = 0; times < 50; times += 1) {
    writeFileSync(path, 'bytes that were placed\n');
    const stamp = stampAt(path);
    const [proven] = await provenStamps([
      { absolute: path, stamp, sha256: sha256(Buffer.from('bytes that were placed\n')) },
    ]);
    assert.deepEqual(proven, stamp);
    editBackdated(path);
    assert.notEqual(stampAt(path).ctimeNs, stamp.ctimeNs);
  }
});
