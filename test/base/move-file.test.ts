import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FilePlacer } from '#src/base/file-placer.js';
import { sha256 } from '#src/base/hash.js';
import { type FileMove, type MovedFile, moveFile } from '#src/base/move-file.js';
import { PinnedFolder } from '#src/base/pinned-folder.js';
import { stampOf } from '#src/base/stamp.js';
import { atEnd, pathsBelow, temporaryFileSystem, temporaryFolder } from '../harness/folder.js';

async function move(
  from: string,
  to: string,
  paths: [from: string, to: string],
  options: Partial<FileMove> = {},
): Promise<MovedFile> {
  const root = await PinnedFolder.open(from);
  const placer = new FilePlacer(await PinnedFolder.open(to));
  try {
    return await moveFile({
      from: { root, path: paths[0] },
      to: { placer, path: paths[1] },
      sha256: null,
      token: 't',
      now: 0,
      ...options,
    });
  } finally {
    await placer.finish();
    await root.close();
  }
}

test('within a file system a file is moved as it is, and its stamp is the one that it has there', async (t) => {
  const root = temporaryFolder(t);
  mkdirSync(join(root, 'from'));
  mkdirSync(join(root, 'to'));
  writeFileSync(join(root, 'from/a'), 'content');
  const { ino } = statSync(join(root, 'from/a'));
  const moved = await move(join(root, 'from'), join(root, 'to'), ['a', 'd/b']);
  assert.deepEqual(moved, {
    stamp: stampOf(join(root, 'to/d/b')),
    sha256: sha256(Buffer.from('content')),
    source: 'dropped',
  });
  assert.equal(statSync(join(root, 'to/d/b')).ino, ino);
  assert.deepEqual(pathsBelow(root), ['from', 'to', 'to/d', 'to/d/b']);
});

test('across file systems a file keeps its bytes, holes, mode and time', async (t) => {
  const mounted = temporaryFileSystem(t, 16 * 1024 * 1024);
  if (mounted === null) return t.skip('mounting a file system is not allowed here');
  const root = temporaryFolder(t);
  writeFileSync(join(root, 'a'), 'content');
  // Larger than the other file system.
  truncateSync(join(root, 'a'), 100 * 1024 * 1024);
  chmodSync(join(root, 'a'), 0o2751);
  utimesSync(join(root, 'a'), 1_500_000_000, 1_500_000_000);
  const { source, stamp } = await move(root, mounted, ['a', 'd/b']);
  assert.equal(source, 'dropped');
  assert.deepEqual(stamp, stampOf(join(mounted, 'd/b')));
  assert.deepEqual([stamp.mode, stamp.mtimeNs], [0o2751, '1500000000000000000']);
  assert.ok(readFileSync(join(mounted, 'd/b')).subarray(0, 8).equals(Buffer.from('content\0')));
  assert.equal(stamp.size, 100 * 1024 * 1024);
  assert.deepEqual(pathsBelow(root), []);
});

test('a file with another hash, or onto something that is there, is not moved', async (t) => {
  const root = temporaryFolder(t);
  for (const name of ['a', 'b']) writeFileSync(join(root, name), name);
  await assert.rejects(move(root, root, ['a', 'c'], { sha256: sha256(Buffer.from('b')) }), /hash/);
  await assert.rejects(move(root, root, ['a', 'b']), { code: 'TARGET_FILE_EXISTS' });
  const aborted = AbortSignal.abort(new Error('enough'));
  await assert.rejects(move(root, root, ['a', 'c'], { signal: aborted }), /enough/);
  assert.deepEqual(pathsBelow(root), ['a', 'b']);
  assert.equal(readFileSync(join(root, 'b'), 'utf8'), 'b');
});

test('a full disk leaves the file where it was, and nothing else', async (t) => {
  const mounted = temporaryFileSystem(t, 64 * 1024);
  if (mounted === null) return t.skip('mounting a file system is not allowed here');
  const root = temporaryFolder(t);
  writeFileSync(join(root, 'a'), Buffer.alloc(1024 * 1024, 1));
  await assert.rejects(move(root, mounted, ['a', 'b']), { code: 'ENOSPC' });
  assert.deepEqual([pathsBelow(root), pathsBelow(mounted)], [['a'], []]);
});

test('a file that is saved while its copy is made is not dropped', async (t) => {
  const root = temporaryFolder(t);
  for (const folder of ['from', 'to']) mkdirSync(join(root, folder));
  writeFileSync(join(root, 'from/a'), 'older');
  /** The moment at which the copy is durable and the source still there. */
  class SavedMeanwhile extends FilePlacer {
    override async sync(): Promise<void> {
      await super.sync();
      writeFileSync(join(root, 'from/new'), 'newer');
      renameSync(join(root, 'from/new'), join(root, 'from/a'));
    }
  }
  const placer = new SavedMeanwhile(await PinnedFolder.open(join(root, 'to')));
  atEnd(t, () => placer.finish());
  const { source } = await move(join(root, 'from'), join(root, 'to'), ['a', 'b'], {
    to: { placer, path: 'b' },
  });
  assert.deepEqual(source, { kind: 'back' });
  assert.deepEqual(pathsBelow(root), ['from', 'from/a', 'to', 'to/b']);
  assert.equal(readFileSync(join(root, 'from/a'), 'utf8'), 'newer');
  assert.equal(readFileSync(join(root, 'to/b'), 'utf8'), 'older');
});
