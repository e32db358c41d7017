import assert from 'node:assert/strict';
import { lstatSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { type FileStamp, stampOfAny } from '#src/base/stamp.js';
import { provenStamps } from '#src/reconcile/proven-stamp.js';
import { editBackDated } from '../harness/back-dated.js';
import { temporaryFolder } from '../harness/folder.js';

const original = 'bytes that were placed\n';
const edited = 'bytes of somebody else\n';

const stampAt = (path: string): FileStamp => stampOfAny(lstatSync(path, { bigint: true }));

test('a stamp is proven as long as its bytes are what was placed, and another one is none that a file can have', async (t) => {
  const folder = temporaryFolder(t);
  const paths = ['still', 'before the look', 'after the look', 'gone'].map((name) => join(folder, name));
  const [still = '', before = '', after = '', gone = ''] = paths;
  for (const path of paths) writeFileSync(path, original);
  // Quicker than who placed it: the stamp that was taken is the one of the edit.
  editBackDated(before, edited);
  const stamps = paths.map(stampAt);
  editBackDated(after, edited);
  unlinkSync(gone);
  const link = join(folder, 'link');
  symlinkSync('target', link);
  const hash = sha256(Buffer.from(original));
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
    writeFileSync(path, original);
    const stamp = stampAt(path);
    const [proven] = await provenStamps([{ absolute: path, stamp, sha256: sha256(Buffer.from(original)) }]);
    assert.deepEqual(proven, stamp);
    editBackDated(path, edited);
    assert.notEqual(stampAt(path).ctimeNs, stamp.ctimeNs);
  }
});
