import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { attributesOf, giveAttributes } from '#src/base/attributes.js';
import { hasXattrs, readXattrs, writeXattrs, type Xattrs } from '#src/base/xattrs.js';
import { atEnd, temporaryFileSystem, temporaryFolder } from '../harness/folder.js';

async function openNew(t: TestContext, root = temporaryFolder(t)): Promise<FileHandle> {
  const file = await open(join(root, 'file'), 'wx', 0o600);
  atEnd(t, () => file.close());
  return file;
}

const plain = { mode: 0o644, mtimeNs: null, uid: null, gid: null, xattrs: null };

test('a time comes back to the microsecond, and never later than it was', async (t) => {
  const file = await openNew(t);
  const nanoseconds = fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n });
  await fc.assert(
    fc.asyncProperty(nanoseconds, async (mtimeNs) => {
      await giveAttributes(file, { ...plain, mtimeNs: String(mtimeNs) });
      const { mtimeNs: got } = await file.stat({ bigint: true });
      assert.equal(got / 1_000n, mtimeNs / 1_000n);
    }),
    { examples: [[1_764_199_408_999_999_999n], [1_764_199_408_000_000_001n]] },
  );
});

test('an owner is given before the mode, which a change of owner would cut', async (t) => {
  if (process.geteuid?.() !== 0) return t.skip('only root can give a file away');
  const file = await openNew(t);
  await giveAttributes(file, { ...plain, mode: 0o6755, uid: 1234, gid: 5678 });
  const { mode, uid, gid } = await attributesOf(file);
  assert.deepEqual([mode, uid, gid], [0o6755, 1234, 5678]);
});

/** An access list: tag, permissions, id. See acl(5) and the kernel's posix_acl_xattr.h. */
function accessList(...entries: [tag: number, permissions: number, id: number][]): string {
  const list = Buffer.alloc(4 + entries.length * 8);
  list.writeUInt32LE(2, 0);
  for (const [position, [tag, permissions, id]] of entries.entries()) {
    list.writeUInt16LE(tag, 4 + position * 8);
    list.writeUInt16LE(permissions, 6 + position * 8);
    list.writeUInt32LE(id, 8 + position * 8);
  }
  return list.toString('base64');
}

const nobodysId = 0xffff_ffff;
const xattrs: Xattrs = {
  'system.posix_acl_access': accessList(
    [0x01, 6, nobodysId],
    [0x02, 4, 1000],
    [0x04, 0, nobodysId],
    [0x10, 4, nobodysId],
    [0x20, 0, nobodysId],
  ),
  'user.binary': Buffer.from([0, 1, 255]).toString('base64'),
  'user.empty': '',
};

test('extended attributes, access lists and mode come back together', async (t) => {
  if (!hasXattrs) return t.skip('fs-xattr is not installed');
  const file = await openNew(t);
  assert.equal((await attributesOf(file)).xattrs, null);
  try {
    writeXattrs(`/proc/self/fd/${file.fd}`, {
      'system.posix_acl_access': xattrs['system.posix_acl_access'] ?? '',
    });
  } catch {
    return t.skip('the file system has no access lists');
  }
  await giveAttributes(file, { ...plain, mode: 0o640, xattrs });
  const given = await attributesOf(file);
  assert.deepEqual(given.xattrs, xattrs);
  assert.equal(given.mode, 0o640);
});

test('capabilities outlive the change of owner that comes with them', async (t) => {
  if (process.geteuid?.() !== 0) return t.skip('only root can give capabilities');
  if (!hasXattrs) return t.skip('fs-xattr is not installed');
  const file = await openNew(t);
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex').toString('base64');
  const wanted = { ...plain, uid: 1234, gid: 1234, xattrs: { 'security.capability': capability } };
  await giveAttributes(file, wanted);
  assert.deepEqual((await attributesOf(file)).xattrs, wanted.xattrs);
});

test('what a file system cannot keep is left out, but never an access list', async (t) => {
  if (!hasXattrs) return t.skip('fs-xattr is not installed');
  // procfs has neither.
  writeXattrs('/proc/self/comm', { 'user.a': '' });
  assert.equal(readXattrs('/proc/self/comm'), null);
  assert.throws(
    () =>
      writeXattrs('/proc/self/comm', { 'system.posix_acl_access': xattrs['system.posix_acl_access'] ?? '' }),
    /its access control list cannot be given back/,
  );
  assert.throws(() => readXattrs(join(temporaryFolder(t), 'nothing')), { code: 'ENOENT' });
});

test('labels and the book-keeping of file systems are not the file’s own', async (t) => {
  if (process.geteuid?.() !== 0) return t.skip('only root sees trusted attributes');
  if (!hasXattrs) return t.skip('fs-xattr is not installed');
  const root = temporaryFileSystem(t, 1024 * 1024) ?? temporaryFolder(t);
  mkdirSync(join(root, 'd'));
  writeFileSync(join(root, 'd/f'), '');
  const { setAttributeSync } = await import('fs-xattr');
  setAttributeSync(join(root, 'd/f'), 'trusted.overlay.opaque', 'y');
  assert.equal(readXattrs(join(root, 'd/f')), null);
});
