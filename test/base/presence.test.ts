import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isUnknown, type Presence, presenceAt, TreePresence } from '#src/base/presence.js';
import { asNobody, temporaryFolder } from '../harness/folder.js';

function treeOfEveryKind(t: TestContext): string {
  const root = temporaryFolder(t);
  mkdirSync(join(root, 'folder/inner'), { recursive: true });
  writeFileSync(join(root, 'file'), '');
  writeFileSync(join(root, 'folder/file'), '');
  writeFileSync(join(root, 'folder/inner/file'), '');
  symlinkSync('file', join(root, 'link'));
  symlinkSync('nowhere', join(root, 'dangling'));
  symlinkSync('folder', join(root, 'linked-folder'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  return root;
}

const expected: Record<string, Presence> = {
  file: 'file',
  folder: 'directory',
  'folder/file': 'file',
  'folder/inner/file': 'file',
  link: 'symlink',
  dangling: 'symlink',
  'linked-folder': 'symlink',
  fifo: 'other',
  nothing: 'absent',
  'folder/nothing': 'absent',
  'no-folder/deep/nothing': 'absent',
  'file/below': 'blocked',
  'file/below/deeper': 'blocked',
  'linked-folder/file': 'blocked',
  'linked-folder/inner/file': 'blocked',
  'dangling/file': 'blocked',
  'fifo/file': 'blocked',
};

test('a tree says what stands at each path, without following symlinks', (t) => {
  const tree = new TreePresence(treeOfEveryKind(t));
  for (const [path, presence] of Object.entries(expected)) assert.equal(tree.at(path), presence, path);
});

test('one path is seen as in a tree, as far as its last part', (t) => {
  const root = treeOfEveryKind(t);
  for (const [path, presence] of Object.entries(expected)) {
    if (path.startsWith('linked-folder/') || path.startsWith('dangling/')) continue;
    assert.equal(presenceAt(join(root, path)), presence, path);
  }
});

test('what may not be looked at is unknown and never absent', async (t) => {
  const root = treeOfEveryKind(t);
  chmodSync(join(root, 'folder/inner'), 0o000);
  mkdirSync(join(root, 'listable'), { mode: 0o755 });
  writeFileSync(join(root, 'listable/file'), '');
  chmodSync(join(root, 'listable'), 0o444);
  await asNobody(() => {
    const tree = new TreePresence(root);
    for (const path of ['folder/inner/file', 'folder/inner/nothing', 'folder/inner/deep/er'])
      assert.equal(tree.at(path), 'unknown:EACCES', path);
    assert.equal(presenceAt(join(root, 'folder/inner/nothing')), 'unknown:EACCES');
    for (const path of ['listable/nothing', 'listable/file']) assert.equal(tree.at(path), 'unknown:EACCES');
    assert.equal(tree.at('folder/file'), 'file');
  });
  chmodSync(join(root, 'folder/inner'), 0o755);
});

test('a name that is too long is unknown', (t) => {
  const root = temporaryFolder(t);
  assert.equal(presenceAt(join(root, 'n'.repeat(300))), 'unknown:ENAMETOOLONG');
  assert.ok(isUnknown('unknown:EIO') && !isUnknown('absent'));
});

test('a root that is a file, or away, says nothing about a file that may be below it', (t) => {
  const root = treeOfEveryKind(t);
  assert.equal(new TreePresence(join(root, 'file')).at('a'), 'blocked');
  assert.equal(new TreePresence(join(root, 'nothing')).at('a'), 'unknown:ENOENT');
  assert.equal(new TreePresence(join(root, 'nothing')).at('a/b'), 'unknown:ENOENT');
});

test('a tree that may not have been made yet holds nothing', (t) => {
  const root = temporaryFolder(t);
  const tree = new TreePresence(join(root, 'nothing'), { mayBeMissing: true });
  assert.equal(tree.at('a'), 'absent');
  assert.equal(tree.at('a/b'), 'absent');
});

test('a name that is not UTF-8 is not taken for the one it is shown as', (t) => {
  const root = temporaryFolder(t);
  writeFileSync(Buffer.concat([Buffer.from(`${root}/odd-`), Buffer.of(0xff)]), '');
  assert.equal(new TreePresence(root).at('odd-\uFFFD'), 'absent');
  mkdirSync(Buffer.concat([Buffer.from(`${root}/folder-`), Buffer.of(0xff)]));
  assert.equal(new TreePresence(root).at('folder-\uFFFD/file'), 'absent');
});
