import assert from 'node:assert/strict';
import { chmodSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isTornCopyOf } from '#src/base/torn-file.js';
import { pathsBelow, temporaryFolder } from '../harness/folder.js';
import { hasStrace, outputUnderStrace, withoutLinks } from '../harness/strace.js';

/** A placer of the folder that is the first parameter, and what it needs. */
const prelude = `
  import { FilePlacer } from '#src/base/file-placer.js';
  import { PinnedFolder } from '#src/base/pinned-folder.js';
  import { takeAside } from '#src/base/taken-file.js';
  import { sha256 } from '#src/base/hash.js';
  const root = process.argv[1];
  const placer = new FilePlacer(await PinnedFolder.open(root));
  const attributes = { mode: 0o640, mtimeNs: '1700000000123456789', uid: null, gid: null, xattrs: null };
  const imageOf = (text, hash) => {
    const bytes = Buffer.from(text);
    return { kind: 'file', bytes, sha256: hash ?? sha256(bytes), attributes };
  };
  const say = (promise) => promise.then((got) => console.log('ok', got?.size ?? ''), (e) => console.log(e.code ?? e.message));
`;

for (const errno of ['EPERM', 'EOPNOTSUPP', 'ENOSYS']) {
  test(`where link() says ${errno} files are placed all the same, and never over anything`, (t) => {
    if (!hasStrace()) return t.skip('strace is not installed');
    const root = temporaryFolder(t);
    writeFileSync(join(root, 'taken'), 'theirs');
    const output = outputUnderStrace(
      withoutLinks(errno),
      `${prelude}
      await say(placer.place('d/first', imageOf('first'), 't1'));
      await say(placer.place('d/second', imageOf('second'), 't2'));
      await say(placer.place('taken', imageOf('ours'), 't3'));
      await say(placer.place('d/false', imageOf('false', 'not its hash'), 't4'));
      await placer.finish();`,
      root,
    );
    assert.deepEqual(output.split('\n'), [
      'ok 5',
      'ok 6',
      'TARGET_FILE_EXISTS',
      'the bytes to be placed do not have their hash',
      '',
    ]);
    assert.deepEqual(pathsBelow(root), ['d', 'd/first', 'd/second', 'taken']);
    assert.equal(readFileSync(join(root, 'd/second'), 'utf8'), 'second');
    assert.equal(readFileSync(join(root, 'taken'), 'utf8'), 'theirs');
    const { mode, mtimeNs } = statSync(join(root, 'd/first'), { bigint: true });
    assert.deepEqual([mode & 0o7777n, mtimeNs / 1_000n], [0o640n, 1_700_000_000_123_456n]);
  });
}

test('where there are no links a rename, a copy and what was taken aside replace nothing either', (t) => {
  if (!hasStrace()) return t.skip('strace is not installed');
  const root = temporaryFolder(t);
  writeFileSync(join(root, 'a'), 'a');
  chmodSync(join(root, 'a'), 0o4711);
  symlinkSync('to', join(root, 'link'));
  writeFileSync(join(root, 'taken'), 'theirs');
  writeFileSync(join(root, 'aside'), 'aside');
  const output = outputUnderStrace(
    withoutLinks('EPERM'),
    `${prelude}
    await say(placer.placeCopyOf(root + '/a', 'copy', 't1'));
    await say(placer.rename('a', 'taken'));
    await say(placer.rename('a', 'd/b'));
    await say(placer.rename('link', 'moved'));
    await say((await takeAside(await PinnedFolder.open(root), 'aside', 't2')).putBack(0).then(({ kind }) => ({ size: kind })));
    await placer.finish();`,
    root,
  );
  assert.deepEqual(output.split('\n'), ['ok 1', 'TARGET_FILE_EXISTS', 'ok ', 'ok ', 'ok back', '']);
  assert.deepEqual(pathsBelow(root), ['aside', 'copy', 'd', 'd/b', 'moved', 'taken']);
  for (const name of ['copy', 'd/b']) {
    assert.equal(readFileSync(join(root, name), 'utf8'), 'a');
    assert.equal(statSync(join(root, name)).mode & 0o7777, 0o4711);
  }
  assert.equal(readFileSync(join(root, 'taken'), 'utf8'), 'theirs');
  assert.equal(readFileSync(join(root, 'aside'), 'utf8'), 'aside');
  assert.equal(readlinkSync(join(root, 'moved')), 'to');
});

test('what a kill leaves where there are no links is told from a file of somebody else', async (t) => {
  if (!hasStrace()) return t.skip('strace is not installed');
  const root = temporaryFolder(t);
  const script = `${prelude}
    const { placeInPlace, fillWith } = await import('#src/base/place-exclusively.js');
    await placeInPlace(root + '/torn', async (file) => {
      await file.write(Buffer.from('the beg'));
      await file.sync();
      return await fillWith(imageOf('the beginning'))(file);
    });`;
  assert.equal(outputUnderStrace('fsync:signal=KILL', script, root), 'killed by SIGKILL');
  const image = Buffer.from('the beginning');
  const is = async (name: string): Promise<boolean> => await isTornCopyOf(join(root, name), image);
  assert.equal(await is('torn'), true);
  writeFileSync(join(root, 'whole'), image);
  writeFileSync(join(root, 'longer'), `${image.toString()} and more`);
  writeFileSync(join(root, 'other'), 'the end');
  symlinkSync('torn', join(root, 'link'));
  for (const name of ['whole', 'longer', 'other', 'link', 'nothing', '.'])
    assert.equal(await is(name), false, name);
});

test('an owner that cannot be given is left out, unless the file would lend the rights of another one', (t) => {
  if (!hasStrace()) return t.skip('strace is not installed');
  if (process.geteuid?.() !== 0) return t.skip('only root can give a file away');
  const root = temporaryFolder(t);
  const output = outputUnderStrace(
    'fchown:error=EPERM',
    `${prelude}
    const owner = { uid: 1234, gid: 1234 };
    const withMode = (mode) => ({ ...imageOf('x'), attributes: { ...attributes, ...owner, mode } });
    await say(placer.place('plain', withMode(0o755), 't1'));
    await say(placer.place('set-user-id', withMode(0o4755), 't2'));
    await placer.finish();`,
    root,
  );
  assert.match(output, /^ok 1\nit has a set-user-ID .* cannot be given back\n$/);
  assert.deepEqual(pathsBelow(root), ['plain']);
});

test('a folder on the way is nobody else’s before it has its own mode', (t) => {
  if (!hasStrace()) return t.skip('strace is not installed');
  const root = temporaryFolder(t);
  const output = outputUnderStrace(
    'fchmod:signal=KILL',
    `${prelude}
    const open = new FilePlacer(await PinnedFolder.open(root), () => ({ mode: 0o755, uid: 0, gid: 0 }));
    await open.place('d/a', imageOf('x'), 't');`,
    root,
  );
  assert.equal(output, 'killed by SIGKILL');
  assert.equal(statSync(join(root, 'd')).mode & 0o7777, 0o700);
  assert.deepEqual(pathsBelow(root), ['d']);
});
