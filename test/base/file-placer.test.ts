import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { EntryImage, FileImage } from '#src/base/entry-image.js';
import { FilePlacer } from '#src/base/file-placer.js';
import { sha256 } from '#src/base/hash.js';
import { PinnedFolder } from '#src/base/pinned-folder.js';
import { type FileStamp, isSameStamp, stampOf, stampOfAny } from '#src/base/stamp.js';
import { isTemporaryName, temporaryName } from '#src/base/temporary-names.js';
import {
  asNobody,
  atEnd,
  killed,
  pathsBelow,
  temporaryFileSystem,
  temporaryFolder,
} from '../harness/folder.js';
import { hasStrace, injecting } from '../harness/strace.js';
import { waitFor } from '../harness/waiting.js';

function imageOf(content: string | Buffer, mode = 0o644): FileImage {
  const bytes = Buffer.from(content);
  const attributes = { mode, mtimeNs: null, uid: null, gid: null, xattrs: null };
  return { kind: 'file', bytes, sha256: sha256(bytes), attributes };
}

const symlink: EntryImage = {
  kind: 'symlink',
  target: Buffer.from([0x2e, 0x2f, 0xff]),
  attributes: { mtimeNs: '1500000000000000000', uid: 12, gid: 34 },
};

const folder: EntryImage = {
  kind: 'folder',
  attributes: { mode: 0o2750, mtimeNs: '1400000000000000000', uid: 56, gid: 78, xattrs: null },
};

async function withPlacer(root: string, work: (placer: FilePlacer) => Promise<void>): Promise<void> {
  const placer = new FilePlacer(await PinnedFolder.open(root));
  try {
    await work(placer);
  } finally {
    await placer.finish();
  }
}

const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

test('a file is placed whole, with folders that were missing and nothing beside it', async (t) => {
  const root = temporaryFolder(t);
  const bytes = Buffer.from([0, 255, 10, 13]);
  await withPlacer(root, async (placer) => {
    await placer.place('a/b/c', imageOf(bytes), 't');
  });
  assert.deepEqual(pathsBelow(root), ['a', 'a/b', 'a/b/c']);
  assert.ok(readFileSync(join(root, 'a/b/c')).equals(bytes));
});

test('permission bits are exact, whatever the umask', async (t) => {
  const root = temporaryFolder(t);
  const modes = [0o644, 0o755, 0o600, 0o777, 0o000, 0o4755, 0o2755, 0o6711, 0o1644];
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  await withPlacer(root, async (placer) => {
    for (const mode of modes) await placer.place(`m${mode}`, imageOf('content', mode), `t${mode}`);
  });
  for (const mode of modes) assert.equal(statSync(join(root, `m${mode}`)).mode & 0o7777, mode);
});

const obstacles: Record<string, (path: string) => void> = {
  'a file': (path) => writeFileSync(path, 'older'),
  'an empty file': (path) => writeFileSync(path, ''),
  'a folder': (path) => mkdirSync(path),
  'a symlink to a file': (path) => symlinkSync('/etc/hostname', path),
  'a dangling symlink': (path) => symlinkSync('nowhere', path),
  'a fifo': (path) => void execFileSync('mkfifo', [path]),
};

for (const [name, put] of Object.entries(obstacles)) {
  test(`nothing is placed over ${name}`, async (t) => {
    const root = temporaryFolder(t);
    put(join(root, 'taken'));
    const before = lstatSync(join(root, 'taken'));
    await withPlacer(root, async (placer) => {
      await assert.rejects(placer.place('taken', imageOf('new'), 't'), { code: 'TARGET_FILE_EXISTS' });
      writeFileSync(join(root, 'source'), 'source');
      await assert.rejects(placer.placeCopyOf(join(root, 'source'), 'taken', 't'), {
        code: 'TARGET_FILE_EXISTS',
      });
      await assert.rejects(placer.rename('source', 'taken'), { code: 'TARGET_FILE_EXISTS' });
    });
    const after = lstatSync(join(root, 'taken'));
    assert.deepEqual([after.ino, after.size, after.mode], [before.ino, before.size, before.mode]);
    assert.deepEqual(pathsBelow(root), ['source', 'taken']);
  });
}

test('a parent that is a symlink or a file is refused, and nothing is written behind it', async (t) => {
  const root = temporaryFolder(t);
  const outside = temporaryFolder(t);
  mkdirSync(join(outside, 'deep'));
  symlinkSync(outside, join(root, 'link'));
  writeFileSync(join(root, 'file'), '');
  await withPlacer(root, async (placer) => {
    for (const path of ['link/a', 'link/deep/a', 'link/new/a', 'file/a'])
      await assert.rejects(placer.place(path, imageOf('x'), 't'), { code: 'PATH_OUTSIDE_ROOT' }, path);
  });
  assert.deepEqual(pathsBelow(outside), ['deep']);
  assert.deepEqual(pathsBelow(root), ['file', 'link']);
});

test('a path that is not canonical is refused', async (t) => {
  const outside = temporaryFolder(t);
  const root = join(outside, 'root');
  mkdirSync(root);
  writeFileSync(join(root, 'source'), 'source');
  await withPlacer(root, async (placer) => {
    for (const path of ['../escaped', 'a/../../escaped', '/escaped', '', 'a//b', './a', '..']) {
      const refused = { code: 'PATH_OUTSIDE_ROOT' };
      await assert.rejects(placer.place(path, imageOf('x'), 't'), refused, path);
      await assert.rejects(placer.placeCopyOf(join(root, 'source'), path, 't'), refused, path);
      await assert.rejects(placer.rename('source', path), refused, path);
      await assert.rejects(placer.rename(path, 'new'), refused, path);
    }
  });
  assert.deepEqual(pathsBelow(outside), ['root', 'root/source']);
});

test('a folder that is exchanged for a symlink after it was pinned leads nowhere else', async (t) => {
  const root = temporaryFolder(t);
  const outside = temporaryFolder(t);
  await withPlacer(root, async (placer) => {
    await placer.place('folder/first', imageOf('1'), 't1');
    renameSync(join(root, 'folder'), join(root, 'moved'));
    symlinkSync(outside, join(root, 'folder'));
    await placer.place('folder/second', imageOf('2'), 't2');
  });
  assert.deepEqual(pathsBelow(outside), []);
  assert.deepEqual(pathsBelow(join(root, 'moved')), ['first', 'second']);
});

test('bytes without their hash are not placed', async (t) => {
  const root = temporaryFolder(t);
  const image = { ...imageOf('true'), bytes: Buffer.from('false') };
  await withPlacer(root, (placer) => assert.rejects(placer.place('a', image, 't'), /hash/));
  assert.deepEqual(pathsBelow(root), []);
});

test('a full disk is an error that leaves nothing behind', async (t) => {
  const root = temporaryFileSystem(t, 64 * 1024);
  if (root === null) return t.skip('mounting a file system is not allowed here');
  await withPlacer(root, async (placer) => {
    await assert.rejects(placer.place('large', imageOf(Buffer.alloc(256 * 1024, 1)), 't'), {
      code: 'ENOSPC',
    });
    assert.deepEqual(pathsBelow(root), []);
    await placer.place('small', imageOf('fits'), 't');
  });
  assert.deepEqual(pathsBelow(root), ['small']);
});

test('a folder that may not be written is an error that leaves nothing behind', async (t) => {
  const root = temporaryFolder(t);
  mkdirSync(join(root, 'closed'));
  await asNobody(() =>
    withPlacer(root, (placer) =>
      assert.rejects(placer.place('closed/a', imageOf('x'), 't'), { code: 'EACCES' }),
    ),
  );
  assert.deepEqual(pathsBelow(root), ['closed']);
});

test('of many placements to one name exactly one succeeds, and all to different names do', async (t) => {
  const root = temporaryFolder(t);
  await withPlacer(root, async (placer) => {
    const contents = Array.from({ length: 30 }, (_, number) => `content ${number}`);
    const outcomes = await Promise.allSettled(
      contents.map((content, number) => placer.place('one/name', imageOf(content), `t${number}`)),
    );
    const winners = outcomes.filter(({ status }) => status === 'fulfilled');
    assert.equal(winners.length, 1);
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled');
    assert.equal(readFileSync(join(root, 'one/name'), 'utf8'), contents[winner]);
    await Promise.all(
      contents.map((content, number) =>
        placer.place(`d${number % 3}/deep/f${number}`, imageOf(content), `u${number}`),
      ),
    );
    contents.forEach((content, number) =>
      assert.equal(readFileSync(join(root, `d${number % 3}/deep/f${number}`), 'utf8'), content),
    );
  });
  assert.deepEqual(
    pathsBelow(root).filter((path) => isTemporaryName(path.slice(path.lastIndexOf('/') + 1))),
    [],
  );
});

test('a copy has the bytes and the mode, on the same file system and on another', async (t) => {
  const root = temporaryFolder(t);
  const mounted = temporaryFileSystem(t, 1024 * 1024);
  const other = mounted ?? temporaryFolder(t);
  writeFileSync(join(other, 'source'), 'copied');
  chmodSync(join(other, 'source'), 0o4750);
  await withPlacer(root, async (placer) => {
    await placer.placeCopyOf(join(other, 'source'), 'd/copy', 't');
  });
  assert.equal(readFileSync(join(root, 'd/copy'), 'utf8'), 'copied');
  assert.equal(statSync(join(root, 'd/copy')).mode & 0o7777, 0o4750);
  assert.deepEqual(pathsBelow(root), ['d', 'd/copy']);
  if (mounted === null) t.diagnostic('mounting is not allowed here: only the same file system was tried');
});

test('a rename moves the file and leaves symlinks as they are', async (t) => {
  const root = temporaryFolder(t);
  writeFileSync(join(root, 'a'), 'a');
  symlinkSync('target', join(root, 'link'));
  await withPlacer(root, async (placer) => {
    await placer.rename('a', 'd/b');
    await placer.rename('link', 'moved-link');
  });
  assert.deepEqual(pathsBelow(root), ['d', 'd/b', 'moved-link']);
  assert.equal(readlinkSync(join(root, 'moved-link')), 'target');
});

test('no descriptor stays open, also after refusals', async (t) => {
  const root = temporaryFolder(t);
  symlinkSync('/tmp', join(root, 'link'));
  const before = openDescriptors();
  await withPlacer(root, async (placer) => {
    await placer.place('a/b/c', imageOf('x'), 't');
    await assert.rejects(placer.place('a/b/c', imageOf('x'), 't'));
    await assert.rejects(placer.place('link/deep/c', imageOf('x'), 't'));
  });
  assert.equal(openDescriptors(), before);
});

test('the stamp is what stands there, and knows nothing of what comes after', async (t) => {
  const root = temporaryFolder(t);
  await withPlacer(root, async (placer) => {
    writeFileSync(join(root, 'source'), 'source');
    const images: Record<string, EntryImage> = { file: imageOf('content', 0o4710), symlink, folder };
    for (const [name, image] of Object.entries(images)) {
      const stamp = await placer.place(name, image, name);
      assert.deepEqual(stamp, stampOfAny(lstatSync(join(root, name), { bigint: true })), name);
    }
    const copy = await placer.placeCopyOf(join(root, 'source'), 'copy', 't');
    assert.deepEqual(copy, stampOf(join(root, 'copy')));
  });
});

test('an edit between the link and the last look is not in the stamp', async (t) => {
  if (!hasStrace()) return t.skip('strace is not installed');
  const root = temporaryFolder(t);
  // The temporary name goes a moment after the file has its own: long enough to edit it.
  const child = spawn(
    'strace',
    ['-qq', ...injecting('?unlink,unlinkat:delay_enter=1500000')]
      .concat([process.execPath, '--input-type=module', '-e'])
      .concat(
        `import { FilePlacer } from '#src/base/file-placer.js';
        import { PinnedFolder } from '#src/base/pinned-folder.js';
        import { sha256 } from '#src/base/hash.js';
        const placer = new FilePlacer(await PinnedFolder.open(process.argv[1]));
        const bytes = Buffer.from('content');
        const attributes = { mode: 0o644, mtimeNs: null, uid: null, gid: null, xattrs: null };
        const stamp = await placer.place('a', { kind: 'file', bytes, sha256: sha256(bytes), attributes }, 't');
        await placer.finish();
        console.log(JSON.stringify(stamp));`,
      )
      .concat('--', root),
    { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  atEnd(t, () => killed(child));
  await waitFor('the file has its name', () => existsSync(join(root, 'a')));
  assert.ok(existsSync(join(root, temporaryName('t'))), 'the edit would come too late');
  const before = stampOf(join(root, 'a'));
  writeFileSync(join(root, 'a'), 'EDITED!');
  const stamp = JSON.parse(await text(child.stdout)) as FileStamp;
  assert.equal(stamp.mtimeNs, before?.mtimeNs);
  assert.ok(!isSameStamp(stamp, stampOf(join(root, 'a')) ?? stamp));
});

test('symlinks and empty folders are placed with what they have', async (t) => {
  const root = temporaryFolder(t);
  await withPlacer(root, async (placer) => {
    await placer.place('d/link', symlink, 't1');
    await placer.place('d/folder', folder, 't2');
  });
  assert.deepEqual(pathsBelow(root), ['d', 'd/folder', 'd/link']);
  assert.ok(readlinkSync(join(root, 'd/link'), { encoding: 'buffer' }).equals(symlink.target));
  const [link, made] = ['link', 'folder'].map((name) => lstatSync(join(root, 'd', name)));
  assert.deepEqual([link?.mtimeMs, made?.mtimeMs], [1_500_000_000_000, 1_400_000_000_000]);
  assert.equal((made?.mode ?? 0) & 0o7777, 0o2750);
  if (process.geteuid?.() === 0)
    assert.deepEqual([link?.uid, link?.gid, made?.uid, made?.gid], [12, 34, 56, 78]);
});

test('folders on the way get their own attributes, also those that their owner may not write', async (t) => {
  const root = temporaryFolder(t);
  chmodSync(root, 0o777);
  const modes: Record<string, number> = {
    private: 0o700,
    'private/closed': 0o500,
    'private/closed/open': 0o2775,
  };
  const pinned = await PinnedFolder.open(root);
  const umask = process.umask(0o027);
  t.after(() => process.umask(umask));
  await asNobody(async () => {
    const placer = new FilePlacer(pinned, (path) => {
      const mode = modes[path];
      return mode === undefined ? null : { mode, uid: 1, gid: 1 };
    });
    await placer.place('private/closed/open/a', imageOf('a'), 't1');
    await placer.place('private/closed/b', imageOf('b'), 't2');
    await placer.place('usual/c', imageOf('c'), 't3');
    await placer.finish();
  });
  const expected = { ...modes, usual: 0o750 };
  for (const [path, mode] of Object.entries(expected))
    assert.equal(statSync(join(root, path)).mode & 0o7777, mode, path);
});

test('a folder that is there keeps its mode', async (t) => {
  const root = temporaryFolder(t);
  mkdirSync(join(root, 'd'), { mode: 0o755 });
  const placer = new FilePlacer(await PinnedFolder.open(root), () => ({ mode: 0o500, uid: 0, gid: 0 }));
  await placer.place('d/a', imageOf('a'), 't');
  await placer.finish();
  assert.equal(statSync(join(root, 'd')).mode & 0o7777, 0o755);
});

test('names of 255 bytes and paths of 4,000 are placed, renamed and copied', async (t) => {
  const root = temporaryFolder(t);
  const name = 'ü'.repeat(127) + 'n';
  const folders = Array.from({ length: 14 }, () => name).join('/');
  const path = `${folders}/${name}/${'x'.repeat(4_000 - Buffer.byteLength(`${folders}/${name}/`))}`;
  assert.equal(Buffer.byteLength(path), 4_000);
  writeFileSync(join(root, 'source'), 'source');
  await withPlacer(root, async (placer) => {
    await placer.place(path, imageOf('deep'), 't1');
    await placer.rename(path, `${folders}/renamed`);
    await placer.placeCopyOf(join(root, 'source'), `${folders}/${name}/copy`, 't2');
  });
  assert.equal(readFileSync(join(root, folders, 'renamed'), 'utf8'), 'deep');
});

test('a pinned root must be a folder and not a symlink to one', async (t) => {
  const root = temporaryFolder(t);
  symlinkSync(root, join(root, 'link'));
  writeFileSync(join(root, 'file'), '');
  for (const name of ['link', 'file', 'nothing']) await assert.rejects(PinnedFolder.open(join(root, name)));
});
