import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { IgnoreRules } from '#src/reconcile/ignore-rules.js';
import { compareWalk } from '#src/reconcile/reconcile-project.js';
import { stampOf } from '#src/base/stamp.js';
import { type WalkedFile, type WalkResult, walkTree } from '#src/reconcile/walk.js';
import type { FileRow } from '#src/store/files.js';
import { asNobody, temporaryFolder } from '../harness/folder.js';

const deepName = 'n'.repeat(100);
const walk = (root: string): Promise<WalkResult> => walkTree(root, '', new IgnoreRules(root, []));
const pathsOf = ({ files }: WalkResult): string[] => files.map(({ path }) => path).sort();
const skippedOf = ({ skipped }: WalkResult): string[] =>
  skipped.map(({ path, reason }) => `${path}: ${reason}`).sort();

test('regular files are listed; symlinks and special files are skipped with a reason', async (t) => {
  const root = temporaryFolder(t);
  const outside = temporaryFolder(t);
  writeFileSync(join(outside, 'secret'), '');
  mkdirSync(join(root, 'd'));
  writeFileSync(join(root, 'd/file'), '');
  symlinkSync(outside, join(root, 'linked-folder'));
  symlinkSync(join(outside, 'secret'), join(root, 'linked-file'));
  symlinkSync('.', join(root, 'd/loop'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  const result = await walk(root);
  assert.deepEqual(pathsOf(result), ['d/file']);
  assert.deepEqual(skippedOf(result), [
    'd/loop: a symlink is not followed',
    'fifo: not a regular file (other)',
    'linked-file: a symlink is not followed',
    'linked-folder: a symlink is not followed',
  ]);
  assert.equal(result.skippedCount, 4);
});

test('names that are not UTF-8, of files and of folders, are skipped with a reason', async (t) => {
  const root = temporaryFolder(t);
  const odd = (name: string): Buffer => Buffer.concat([Buffer.from(`${root}/${name}`), Buffer.of(0xff)]);
  writeFileSync(odd('file-'), '');
  mkdirSync(odd('folder-'));
  writeFileSync(Buffer.concat([odd('folder-'), Buffer.from('/inside')]), '');
  writeFileSync(join(root, 'real-\uFFFD'), '');
  const result = await walk(root);
  assert.deepEqual(pathsOf(result), ['real-\uFFFD']);
  assert.deepEqual(skippedOf(result), [
    'file-\uFFFD: the name is not UTF-8',
    'folder-\uFFFD: the name is not UTF-8',
  ]);
});

test('a folder that may not be read is skipped with a reason', async (t) => {
  const root = temporaryFolder(t);
  for (const name of ['closed', 'listable', 'open']) {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, 'file'), '');
  }
  chmodSync(join(root, 'closed'), 0o000);
  chmodSync(join(root, 'listable'), 0o444);
  const result = await asNobody(() => walk(root));
  assert.deepEqual(pathsOf(result), ['open/file']);
  assert.deepEqual(skippedOf(result), [
    'closed: the folder cannot be read (EACCES)',
    'listable/file: cannot be read (EACCES)',
  ]);
});

test('a path that is deeper than the system reaches ends the walk of that branch only', async (t) => {
  const root = temporaryFolder(t);
  writeFileSync(join(root, 'shallow'), '');
  // Made from inside, folder by folder: no call could name the whole path.
  const dig = `const fs = require('node:fs');
    for (let depth = 0; depth < 60; depth += 1) {
      fs.mkdirSync('${deepName}');
      process.chdir('${deepName}');
      fs.writeFileSync('f', '');
    }`;
  execFileSync(process.execPath, ['-e', dig], { cwd: root });
  const result = await walk(root);
  assert.ok(pathsOf(result).includes('shallow'));
  assert.ok(result.files.length > 20 && result.skippedCount > 0);
  assert.ok(result.files.every(({ path }) => Buffer.byteLength(path) <= 4_000));
  execFileSync('rm', ['-rf', join(root, deepName)]);
});

test('a root that is away is an error and no empty project', async (t) => {
  const root = temporaryFolder(t);
  await assert.rejects(walk(join(root, 'nothing')), { code: 'ENOENT' });
  mkdirSync(join(root, 'closed'), { mode: 0o700 });
  await asNobody(() => assert.rejects(walk(join(root, 'closed')), { code: 'EACCES' }));
});

test('a walk ends when it is aborted', async (t) => {
  const root = temporaryFolder(t);
  const rules = new IgnoreRules(root, []);
  await assert.rejects(walkTree(root, '', rules, AbortSignal.abort(new Error('before it began'))), /before/);
  for (const name of ['a', 'b', 'c']) mkdirSync(join(root, name));
  const stop = new AbortController();
  const walked: string[] = [];
  const walking = walkTree(root, '', rules, stop.signal, (folder) => {
    walked.push(folder);
    if (walked.length === 2) stop.abort(new Error('in the middle'));
  });
  await assert.rejects(walking, /middle/);
  assert.equal(walked.length, 2, 'no folder is begun after it');
});

test('a stamp is null for what is gone or no file, however it is gone', (t) => {
  const root = temporaryFolder(t);
  writeFileSync(join(root, 'file'), '12345', { mode: 0o640 });
  symlinkSync('file', join(root, 'link'));
  for (const name of ['nothing', '.', 'link', 'file/below'])
    assert.equal(stampOf(join(root, name)), null, name);
  const stamp = stampOf(join(root, 'file'));
  assert.deepEqual([stamp?.size, stamp?.mode], [5, 0o640]);
});

const stamp = { size: 1, mtimeNs: '1000', ino: '5', mode: 0o644 };
const walked = (path: string, given: Partial<WalkedFile> = {}): WalkedFile => ({ path, ...stamp, ...given });
function rowOf(path: string, given: Partial<FileRow> = {}): FileRow {
  const rest = { id: 1, deleted: 0, deletedAt: null, language: null, sha256: 'h', skipReason: null } as const;
  return { ...rest, path, ...stamp, updatedAt: 1_000_000, ...given };
}
const compared = (files: WalkedFile[], rows: FileRow[]): ReturnType<typeof compareWalk> =>
  compareWalk(files, new Map(rows.map((row) => [row.path, row])));

test('a file is indexed when it is new, was deleted, or any part of its stamp differs', () => {
  const differing: Partial<FileRow>[] = [
    { size: 2 }, { mtimeNs: '1001' }, { ino: '6' }, { mode: 0o755 }, { deleted: 1 },
  ]; // prettier-ignore
  for (const given of differing)
    assert.deepEqual(compared([walked('a')], [rowOf('a', given)]).toIndex, ['a']);
  assert.deepEqual(compared([walked('a')], []).toIndex, ['a']);
  assert.deepEqual(compared([walked('a')], [rowOf('a')]), { toIndex: [], missing: [], unchanged: 1 });
});

test('a file that was written just before it was indexed is looked at again', () => {
  const mtimeNs = String(1_000_000n * 1_000_000n);
  const at = (updatedAt: number): string[] =>
    compared([walked('a', { mtimeNs })], [rowOf('a', { mtimeNs, updatedAt })]).toIndex;
  assert.deepEqual(at(1_000_000), ['a']);
  assert.deepEqual(at(1_000_049), ['a']);
  assert.deepEqual(at(1_000_051), []);
});

test('only rows without the deleted mark can be missing', () => {
  const rows = [rowOf('a'), rowOf('b', { deleted: 1 }), rowOf('c')];
  assert.deepEqual(
    compared([walked('c')], rows).missing.map(({ path }) => path),
    ['a'],
  );
});

test('every walked file is either unchanged or to be indexed, every row is found or missing', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const names = fc.uniqueArray(name);
  fc.assert(
    fc.property(names, names, fc.func(fc.boolean()), (onDisk, inIndex, isSame) => {
      const rows = inIndex.map((path) => rowOf(path, isSame(path) ? {} : { size: 9 }));
      const result = compared(
        onDisk.map((path) => walked(path)),
        rows,
      );
      assert.equal(result.unchanged + result.toIndex.length, onDisk.length);
      assert.deepEqual(
        result.missing.map(({ path }) => path),
        inIndex.filter((path) => !onDisk.includes(path)),
      );
    }),
  );
});
