import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { identityOf } from '#src/base/mounts.js';
import { IgnoreRules } from '#src/reconcile/ignore-rules.js';
import { ListThread } from '#src/reconcile/list-thread.js';
import { printOf, stampOf } from '#src/base/stamp.js';
import { asNobody, atEnd, temporaryFolder } from '../harness/folder.js';
import { type Walked, walkTree } from './walked.js';

const deepName = 'n'.repeat(100);
const walk = (root: string): Promise<Walked> => walkTree(root, '', new IgnoreRules(root, []));
const pathsOf = ({ files }: Walked): string[] => files.map(({ path }) => path).sort();
const skippedOf = ({ skipped }: Walked): string[] =>
  skipped.map(({ path, reason }) => `${path}: ${reason}`).sort();

const kindsOf = ({ files }: Walked): Record<string, string> =>
  Object.fromEntries(files.map(({ path, kind }) => [path, kind]));

test('regular files, symlinks and empty folders are content; special files are skipped with a reason', async (t) => {
  const root = temporaryFolder(t);
  const outside = temporaryFolder(t);
  writeFileSync(join(outside, 'secret'), '');
  mkdirSync(join(root, 'd'));
  writeFileSync(join(root, 'd/file'), '');
  mkdirSync(join(root, 'd/empty'));
  mkdirSync(join(root, 'holds/empty'), { recursive: true });
  symlinkSync(outside, join(root, 'linked-folder'));
  symlinkSync(join(outside, 'secret'), join(root, 'linked-file'));
  symlinkSync('nowhere', join(root, 'dangling'));
  symlinkSync('.', join(root, 'd/loop'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  const server = createServer().listen(join(root, 'socket'));
  atEnd(t, () => server.close());
  const result = await walk(root);
  assert.deepEqual(kindsOf(result), {
    'd/empty': 'folder',
    'd/file': 'file',
    'd/loop': 'symlink',
    'dangling': 'symlink',
    'holds/empty': 'folder',
    'linked-file': 'symlink',
    'linked-folder': 'symlink',
  }); // prettier-ignore
  assert.deepEqual(skippedOf(result), [
    'fifo: not a regular file (fifo)',
    'socket: not a regular file (socket)',
  ]);
  assert.equal(result.skippedCount, 2);
  const link = result.files.find(({ path }) => path === 'linked-file');
  const stats = lstatSync(join(root, 'linked-file'), { bigint: true });
  assert.equal(link?.print, printOf(stats), 'the stamp is of the link itself');
});

test('a folder is empty only when nothing at all is in it, and the root never counts', async (t) => {
  const root = temporaryFolder(t);
  assert.deepEqual(kindsOf(await walk(root)), {});
  for (const name of ['ignored', 'repository', 'closed', 'empty']) mkdirSync(join(root, name));
  mkdirSync(join(root, 'repository/.git'));
  writeFileSync(join(root, 'ignored/a.pyc'), '');
  chmodSync(join(root, 'closed'), 0o000);
  assert.deepEqual(kindsOf(await asNobody(() => walk(root))), { empty: 'folder' });
  const part = await walkTree(root, 'empty', new IgnoreRules(root, []));
  assert.deepEqual(kindsOf(part), { empty: 'folder' }, 'also where the walk begins');
});

test('each folder that was walked is given with its mode and owner', async (t) => {
  const root = temporaryFolder(t);
  mkdirSync(join(root, 'd/e'), { recursive: true });
  chmodSync(root, 0o700);
  chmodSync(join(root, 'd'), 0o2750);
  chmodSync(join(root, 'd/e'), 0o711);
  const { folders } = await walk(root);
  const { uid, gid } = lstatSync(root);
  assert.deepEqual(
    folders.map((folder) => [folder.path, folder.mode, folder.uid, folder.gid]),
    [
      ['', 0o700, uid, gid],
      ['d', 0o2750, uid, lstatSync(join(root, 'd')).gid],
      ['d/e', 0o711, uid, lstatSync(join(root, 'd/e')).gid],
    ],
  );
});

test('entries know the file system that they lie on', async (t) => {
  const root = temporaryFolder(t);
  for (const name of ['disk', 'other', 'bound', 'shown']) {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, 'file'), '');
  }
  const devicesOf = ({ files }: Walked): Map<string, string> =>
    new Map(files.map(({ path, device }) => [path, device]));
  const own = identityOf(root);
  const plain = await walk(root);
  assert.deepEqual(
    [...plain.devices.values()],
    [{ identity: own, folder: '', dev: String(lstatSync(root).dev) }],
  );
  assert.deepEqual(new Set(devicesOf(plain).values()), new Set([own]));
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(root, 'disk')], { stdio: 'ignore' });
  } catch {
    return t.skip('mounting is not allowed here');
  }
  atEnd(t, () => execFileSync('umount', [join(root, 'disk')]));
  execFileSync('mount', ['--bind', join(root, 'shown'), join(root, 'bound')]);
  atEnd(t, () => execFileSync('umount', [join(root, 'bound')]));
  mkdirSync(join(root, 'disk/d'));
  writeFileSync(join(root, 'disk/d/file'), '');
  const mounted = await walk(root);
  const devices = devicesOf(mounted);
  const disk = identityOf(join(root, 'disk'));
  assert.equal(devices.get('disk/d/file'), disk);
  assert.equal(devices.get('other/file'), own);
  assert.notEqual(devices.get('bound/file'), own, 'a folder of the same file system that is mounted there');
  assert.equal(mounted.devices.get(disk)?.folder, 'disk');
  assert.equal(mounted.devices.size, 3);
  const part = await walkTree(root, 'disk/d', new IgnoreRules(root, []));
  assert.equal(devicesOf(part).get('disk/d/file'), disk, 'also where the walk begins below it');
});

test('names are exact: both forms of a letter, line feeds, 255 bytes, either case', async (t) => {
  const root = temporaryFolder(t);
  const names = [
    '\u00e9',
    'e\u0301',
    'line\nfeed',
    'n'.repeat(255),
    '\u00e4'.repeat(127),
    'case',
    'Case',
    ' ',
    '\\',
  ];
  for (const [position, name] of names.entries()) writeFileSync(join(root, name), 'x'.repeat(position));
  const { files, skippedCount } = await walk(root);
  assert.deepEqual(
    new Map(files.map(({ path, print }) => [path, Number(print.split(' ')[0])])),
    new Map(names.map((name, position) => [name, position] as const)),
  );
  assert.equal(skippedCount, 0);
});

test("the program's own folders and databases are no content, however they are reached", async (t) => {
  const place = temporaryFolder(t);
  const [root, state] = [join(place, 'project'), join(place, 'project/real/state')];
  mkdirSync(join(state, 'derived'), { recursive: true });
  for (const name of ['index.db', 'index.db-wal', 'lock.db', 'derived/p.db', 'notes'])
    writeFileSync(join(state, name), '');
  symlinkSync(join(place, 'project/real'), join(place, 'link'));
  for (const name of ['index.db', 'index.db-wal', 'lock.db', 'derived/p.db', 'notes'])
    linkSync(join(state, name), join(root, `hard-link-of-${name.replace('/', '-')}`));
  const rules = new IgnoreRules(root, [join(place, 'link/state')]);
  assert.deepEqual(pathsOf(await walkTree(root, '', rules)), ['hard-link-of-notes']);
  for (const [path, isOwn] of [
    ['real/state', true],
    ['real/state/x', true],
    ['hard-link-of-lock.db', true],
    ['hard-link-of-notes', false],
    ['real/x', false],
  ] as const)
    assert.equal(rules.ignoresPath(path, path === 'real/state'), isOwn, path);
  const inside = new IgnoreRules(state, [join(place, 'link')]);
  assert.deepEqual(pathsOf(await walkTree(state, '', inside)), [], 'a project inside of it');
});

test('an own folder that is made while a walk is under way is no content', async (t) => {
  const root = temporaryFolder(t);
  const rules = new IgnoreRules(root, [join(root, 'data/versions')]);
  mkdirSync(join(root, 'data/versions'), { recursive: true });
  for (const name of ['data/versions/a', 'data/versions2']) writeFileSync(join(root, name), '');
  assert.deepEqual(pathsOf(await walkTree(root, '', rules)), ['data/versions2']);
  assert.ok(rules.ignoresPath('data/versions/a', false) && !rules.ignoresPath('data/versions2', false));
});

test('an own folder that is mounted into a project is no content', async (t) => {
  const place = temporaryFolder(t);
  for (const name of ['project/shown', 'state']) mkdirSync(join(place, name), { recursive: true });
  writeFileSync(join(place, 'state/index.db'), '');
  try {
    execFileSync('mount', ['--bind', join(place, 'state'), join(place, 'project/shown')], {
      stdio: 'ignore',
    });
  } catch {
    return t.skip('mounting is not allowed here');
  }
  atEnd(t, () => execFileSync('umount', [join(place, 'project/shown')]));
  const rules = new IgnoreRules(join(place, 'project'), [join(place, 'state')]);
  assert.deepEqual(pathsOf(await walkTree(join(place, 'project'), '', rules)), []);
});

test('names that are not UTF-8, of files and of folders, are skipped with a reason', async (t) => {
  const root = temporaryFolder(t);
  const odd = (name: string): Buffer => Buffer.concat([Buffer.from(`${root}/${name}`), Buffer.of(0xff)]);
  writeFileSync(odd('file-'), '');
  mkdirSync(odd('folder-'));
  writeFileSync(Buffer.concat([odd('folder-'), Buffer.from('/inside')]), '');
  writeFileSync(join(root, 'real-\uFFFD'), '');
  mkdirSync(odd('real-'));
  const result = await walk(root);
  assert.deepEqual(pathsOf(result), ['real-\uFFFD']);
  assert.deepEqual(skippedOf(result), [
    'file-\uFFFD: the name is not UTF-8',
    'folder-\uFFFD: the name is not UTF-8',
    'real-\uFFFD: the name is not UTF-8',
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

/** Made from inside, folder by folder: no call could name the whole path. */
function dig(folder: string): void {
  const script = `const fs = require('node:fs');
    for (let depth = 0; depth < 60; depth += 1) {
      fs.mkdirSync('${deepName}');
      process.chdir('${deepName}');
      fs.writeFileSync('f', '');
    }`;
  execFileSync(process.execPath, ['-e', script], { cwd: folder });
}

test('a path that is deeper than the system reaches ends the walk of that branch only', async (t) => {
  const place = temporaryFolder(t);
  const reasons = {
    short: /: the path is longer than 4000 bytes$/,
    ['long'.repeat(50)]: /: the path with that of the root is longer than the system takes$/,
  };
  for (const [name, reason] of Object.entries(reasons)) {
    const root = join(place, name);
    mkdirSync(root);
    writeFileSync(join(root, 'shallow'), '');
    dig(root);
    const result = await walk(root);
    assert.ok(pathsOf(result).includes('shallow'));
    assert.ok(result.files.length > 35 && result.files.every(({ path }) => Buffer.byteLength(path) <= 4_000));
    assert.equal(result.skippedCount, 1);
    assert.match(skippedOf(result)[0] ?? '', reason);
    execFileSync('rm', ['-rf', join(root, deepName)]);
  }
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
  await assert.rejects(
    walkTree(root, '', rules, { signal: AbortSignal.abort(new Error('before it began')) }),
    /before/,
  );
  for (const name of ['a', 'b', 'c']) mkdirSync(join(root, name));
  const stop = new AbortController();
  const walked: string[] = [];
  const onFolder = (folder: string): void => {
    walked.push(folder);
    if (walked.length === 2) stop.abort(new Error('in the middle'));
  };
  const walking = walkTree(root, '', rules, { signal: stop.signal, onFolder });
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

const inBytes = (one: string, other: string): number => Buffer.compare(Buffer.from(one), Buffer.from(other));

/** Makes a tree of paths; one that leads through a file is left out. */
function plant(root: string, paths: readonly string[]): void {
  for (const path of paths) {
    try {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      if (path.endsWith('/')) mkdirSync(join(root, path), { recursive: true });
      else writeFileSync(join(root, path), '');
    } catch {
      // A file is in the way.
    }
  }
}

test('a walk gives paths in the order of their bytes, with a thread ahead of it as without', async (t) => {
  const segment = fc.constantFrom(
    'a',
    'a-',
    'a.c',
    'a0',
    'a!',
    'b',
    '\uff5e',
    '\u{1f600}',
    'x.pyc',
    'node_modules',
  );
  const path = fc
    .tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([parts, isFolder]) => parts.join('/') + (isFolder ? '/' : ''));
  await fc.assert(
    fc.asyncProperty(fc.array(path, { maxLength: 60 }), async (paths) => {
      const root = temporaryFolder(t);
      plant(root, paths);
      const alone = await walk(root);
      const inOrder = alone.files.map((file) => file.path).sort(inBytes);
      assert.deepEqual(alone.files.map((file) => file.path), inOrder); // prettier-ignore
      const thread = new ListThread([]);
      try {
        const covered: string[] = [];
        const onFolder = (folder: string): number => covered.push(folder);
        const here = alone.folders.map((folder) => folder.path).sort(inBytes);
        const folders = readdirSync(root, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isDirectory())
          .map((entry) => relative(root, join(entry.parentPath, entry.name)));
        // Some have appeared since, some are ignored by now, and some are gone.
        const still = ['', ...folders].filter((_, at) => (at + paths.length) % 3 > 0);
        const known = [...still, '0', 'a/gone', 'a/gone/below', 'b!', 'z'].sort(inBytes);
        for (let round = 1; round <= 2; round += 1) {
          covered.length = 0;
          const ahead = { thread, known };
          const found = await walkTree(root, '', new IgnoreRules(root, []), { ahead, onFolder });
          assert.deepEqual(found.files, alone.files);
          assert.deepEqual(found.folders, alone.folders);
          assert.deepEqual(covered.filter((folder) => here.includes(folder)).sort(inBytes), here);
          assert.ok(covered.every((folder) => here.includes(folder) || still.includes(folder)));
          assert.deepEqual([found.skippedCount, found.ignored], [alone.skippedCount, alone.ignored]);
        }
      } finally {
        thread.end();
      }
    }),
    { numRuns: 30 },
  );
});
