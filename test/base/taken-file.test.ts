import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { hashFile } from '#src/base/copy-contents.js';
import { sha256 } from '#src/base/hash.js';
import { PinnedFolder } from '#src/base/pinned-folder.js';
import { type FileStamp, stampOf } from '#src/base/stamp.js';
import { putBackLeftOver, removeIfSame, takeAside } from '#src/base/taken-file.js';
import { isTakenName, isTemporaryName } from '#src/base/temporary-names.js';
import { asNobody, atEnd, killed, pathsBelow, startScript, temporaryFolder } from '../harness/folder.js';

const now = Date.UTC(2026, 0, 2, 3, 4, 5);

async function folderWith(
  t: TestContext,
  files: Record<string, string>,
): Promise<{ root: string; pinned: PinnedFolder }> {
  const root = temporaryFolder(t);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const pinned = await PinnedFolder.open(root);
  atEnd(t, () => pinned.close());
  return { root, pinned };
}

const textOf = (root: string, path: string): string => readFileSync(join(root, path), 'utf8');

function stamped(root: string, path: string): FileStamp {
  const stamp = stampOf(join(root, path));
  assert.ok(stamp !== null);
  return stamp;
}

test('a file that is taken aside is gone from its place, can be read, and is dropped', async (t) => {
  const { root, pinned } = await folderWith(t, { 'd/a': 'content' });
  const before = stamped(root, 'd/a');
  const taken = await takeAside(pinned, 'd/a', 't');
  assert.ok(!existsSync(join(root, 'd/a')));
  const [aside = ''] = readdirSync(join(root, 'd'));
  assert.ok(isTakenName(aside) && isTemporaryName(aside), aside);
  assert.equal(statSync(join(root, 'd', aside)).mode & 0o7777, 0o700);
  assert.equal(await hashFile(taken.at), sha256(Buffer.from('content')));
  assert.deepEqual({ ...taken.stamp, ctimeNs: '' }, { ...before, ctimeNs: '' });
  await taken.drop();
  assert.deepEqual(pathsBelow(root), ['d']);
});

test('it is put back as it was', async (t) => {
  const { root, pinned } = await folderWith(t, { a: 'content' });
  symlinkSync('nowhere', join(root, 'link'));
  const before = stamped(root, 'a');
  for (const name of ['a', 'link'])
    assert.deepEqual(await (await takeAside(pinned, name, 't')).putBack(now), { kind: 'back' });
  assert.deepEqual(pathsBelow(root), ['a', 'link']);
  assert.deepEqual({ ...stamped(root, 'a'), ctimeNs: '' }, { ...before, ctimeNs: '' });
  assert.equal(readlinkSync(join(root, 'link')), 'nowhere');
});

test('a save that comes meanwhile is not touched, and both are kept', async (t) => {
  const { root, pinned } = await folderWith(t, { 'd/a.py': 'older' });
  const beside = 'd/a.20260102T030405.000Z.py';
  const taken = await takeAside(pinned, 'd/a.py', 't');
  writeFileSync(join(root, 'd/a.py'), 'newer');
  assert.deepEqual(await taken.putBack(now), { kind: 'beside', path: beside });
  assert.deepEqual(pathsBelow(root), ['d', beside, 'd/a.py']);
  assert.deepEqual([textOf(root, 'd/a.py'), textOf(root, beside)], ['newer', 'older']);

  const again = await takeAside(pinned, 'd/a.py', 't');
  writeFileSync(join(root, 'd/a.py'), 'newest');
  const result = await again.putBack(now);
  assert.ok(result.kind === 'beside' && result.path !== beside);
  assert.deepEqual(
    [textOf(root, 'd/a.py'), textOf(root, beside), textOf(root, result.path)],
    ['newest', 'older', 'newer'],
  );

  const dropped = await takeAside(pinned, 'd/a.py', 't');
  writeFileSync(join(root, 'd/a.py'), 'last');
  await dropped.drop();
  assert.equal(textOf(root, 'd/a.py'), 'last');
});

test('what cannot be taken stays in its place, and no folder is left', async (t) => {
  const { root, pinned } = await folderWith(t, { 'closed/a': 'a', 'folder/b': 'b' });
  await assert.rejects(takeAside(pinned, 'nothing', 't'), { code: 'ENOENT' });
  await assert.rejects(takeAside(pinned, 'folder', 't'), { code: 'EISDIR' });
  await asNobody(() => assert.rejects(takeAside(pinned, 'closed/a', 't'), { code: 'EACCES' }));
  assert.deepEqual(pathsBelow(root), ['closed', 'closed/a', 'folder', 'folder/b']);
});

test('what a killed process had taken aside is put back, and never over anything; what it had half made goes', async (t) => {
  const { root, pinned } = await folderWith(t, { 'd/a': 'a', 'd/b': 'older', 'd/c': 'same' });
  const child = await startScript(
    t,
    `import { PinnedFolder } from '#src/base/pinned-folder.js';
    import { takeAside } from '#src/base/taken-file.js';
    import { ownToken, temporaryName } from '#src/base/temporary-names.js';
    import { writeFileSync } from 'node:fs';
    const root = await PinnedFolder.open(process.argv[1]);
    writeFileSync(process.argv[1] + '/d/' + temporaryName(ownToken('half')), 'ha');
    for (const name of ['a', 'b', 'c']) await takeAside(root, 'd/' + name, name);
    console.log('taken');
    setInterval(() => {}, 1_000);`,
    root,
  );
  writeFileSync(join(root, 'd/b'), 'newer');
  writeFileSync(join(root, 'd/c'), 'same');
  symlinkSync('/tmp', join(root, 'd/.codekeep-1-1-t.taken'));
  const { putBack, held } = await putBackLeftOver(pinned, 'd', now);
  assert.deepEqual([putBack.length, held.length], [0, 3]);
  rmSync(join(root, 'd/.codekeep-1-1-t.taken'));
  assert.ok(!existsSync(join(root, 'd/a')), 'what a living process has taken is its own');
  await killed(child);
  assert.deepEqual(await putBackLeftOver(pinned, 'd', now), { putBack: held, held: [] });
  assert.deepEqual(pathsBelow(root), ['d', 'd/a', 'd/b', 'd/b.20260102T030405.000Z', 'd/c']);
  assert.deepEqual([textOf(root, 'd/b'), textOf(root, 'd/b.20260102T030405.000Z')], ['newer', 'older']);
  assert.deepEqual(await putBackLeftOver(pinned, 'd', now), { putBack: [], held: [] });
});

test('several that put back the same at once give it no second name', async (t) => {
  const names = Array.from({ length: 40 }, (_, number) => `f${number}`);
  const { root, pinned } = await folderWith(t, Object.fromEntries(names.map((name) => [name, name])));
  const child = await startScript(
    t,
    `import { PinnedFolder } from '#src/base/pinned-folder.js';
    import { takeAside } from '#src/base/taken-file.js';
    const root = await PinnedFolder.open(process.argv[1]);
    const taken = [];
    for (let number = 0; number < 40; number += 1) taken.push(await takeAside(root, 'f' + number, 't' + number));
    console.log('taken');
    setInterval(() => taken.length, 1_000);`,
    root,
  );
  await killed(child);
  await Promise.all([1, 2, 3, 4].map(() => putBackLeftOver(pinned, '', now)));
  await putBackLeftOver(pinned, '', now);
  assert.deepEqual(pathsBelow(root), [...names].sort());
  for (const name of names) assert.equal(textOf(root, name), name);
});

test('only what is still the same is removed', async (t) => {
  const files = { same: '12345', edited: '12345', 'back-dated': '12345', saved: '12345', mode: '12345' };
  const { root, pinned } = await folderWith(t, files);
  const longAgo = 1_500_000_000;
  for (const path of Object.keys(files)) utimesSync(join(root, path), longAgo, longAgo);
  const stamps = Object.fromEntries(Object.keys(files).map((path) => [path, stamped(root, path)]));
  writeFileSync(join(root, 'edited'), '54321');
  writeFileSync(join(root, 'back-dated'), '54321');
  writeFileSync(join(root, 'new'), '12345');
  renameSync(join(root, 'new'), join(root, 'saved'));
  for (const path of ['back-dated', 'saved']) utimesSync(join(root, path), longAgo, longAgo);
  chmodSync(join(root, 'mode'), 0o600);

  const hash = sha256(Buffer.from('12345'));
  for (const [path, stamp] of Object.entries(stamps)) {
    // What only its bytes give away needs their hash; all the others are told by their stamp.
    const expected = { stamp, sha256: path === 'back-dated' || path === 'same' ? hash : null };
    const result = await removeIfSame(pinned, path, expected, 't', now);
    assert.deepEqual(result, path === 'same' ? 'removed' : { kind: 'back' }, path);
  }
  const gone = { stamp: stamped(root, 'saved'), sha256: null };
  assert.equal(await removeIfSame(pinned, 'same', gone, 't', now), 'absent');
  assert.deepEqual(pathsBelow(root), ['back-dated', 'edited', 'mode', 'saved']);
  assert.equal(textOf(root, 'back-dated'), '54321');
});
