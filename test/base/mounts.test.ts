import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  eventlessAt,
  identityOf,
  type Mount,
  mountOf,
  parseMounts,
  readMounts,
  reliabilityOfMagic,
} from '#src/base/mounts.js';
import { atEnd, temporaryFolder } from '../harness/folder.js';

const sample = `\
21 28 0:20 / /proc rw,relatime shared:5 - proc proc rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 28 8:17 / /media/my\\040disk\\134\\011\\012 rw - vfat /dev/sdb1 rw
41 28 0:50 /@home /home rw master:2 - btrfs /dev/sda2 rw,subvol=/@home
42 41 0:51 / /home/u/a/b rw - tmpfs tmpfs rw
43 41 0:52 / /home/u/a rw - tmpfs none rw
44 43 0:53 / /home/u/a rw - fuse.sshfs host: rw
`;

test('mounts are read, with the characters that come in octal', () => {
  const mounts = parseMounts(sample);
  assert.equal(mounts.length, 7);
  const expected: Mount = {
    id: 40,
    parentId: 28,
    device: '8:17',
    fsRoot: '/',
    mountPoint: '/media/my disk\\\t\n',
    type: 'vfat',
    source: '/dev/sdb1',
  };
  assert.deepEqual(mounts[2], expected);
  assert.deepEqual([mounts[3]?.fsRoot, mounts[3]?.type, mounts[3]?.source], ['/@home', 'btrfs', '/dev/sda2']);
  assert.deepEqual(parseMounts('nonsense\n1 2\n'), []);
});

test('a path lies on what is mounted last on its way; what was mounted over is hidden', () => {
  const mounts = parseMounts(sample);
  const at = (path: string): number | undefined => mountOf(path, mounts)?.id;
  assert.equal(at('/'), 28);
  assert.equal(at('/homes/u'), 28);
  assert.equal(at('/proc/self'), 21);
  assert.equal(at('/home'), 41);
  assert.equal(at('/home/u'), 41);
  assert.equal(at('/home/u/a'), 44);
  assert.equal(at('/home/u/a/b/c'), 44, 'the mount on b is below what was mounted on a later');
  assert.equal(mountOf('/x', []), undefined);
});

/** False, with the test skipped, where mounting is not allowed. */
function mount(t: TestContext, ...parameters: string[]): boolean {
  try {
    execFileSync('mount', parameters, { stdio: 'ignore' });
    return true;
  } catch {
    t.skip('mounting is not allowed here');
    return false;
  }
}

const unmount = (folder: string): Buffer => execFileSync('umount', [folder]);

test('another file system on the same path, and the bare mount point, are told apart', (t) => {
  const folder = temporaryFolder(t);
  const bare = identityOf(folder);
  const seen = [bare];
  for (let round = 0; round < 2; round += 1) {
    if (!mount(t, '-t', 'tmpfs', 'tmpfs', folder)) return;
    seen.push(identityOf(folder));
    mkdirSync(join(folder, 'd'));
    assert.equal(identityOf(folder), seen.at(-1), 'whatever is written into it');
    assert.equal(identityOf(join(folder, 'd')), seen.at(-1), 'in each of its folders');
    unmount(folder);
  }
  assert.equal(identityOf(folder), bare);
  assert.equal(new Set(seen).size, seen.length, seen.join('\n'));
});

/** The kernel's clock for time stamps goes in steps of some milliseconds. */
function untilLaterThan(time: bigint, probe: string): void {
  do writeFileSync(probe, '');
  while (lstatSync(probe, { bigint: true }).mtimeNs <= time);
}

test('one tmpfs over another is the upper one', (t) => {
  const folder = temporaryFolder(t);
  if (!mount(t, '-t', 'tmpfs', 'tmpfs', folder)) return;
  atEnd(t, () => unmount(folder));
  const lower = identityOf(folder);
  untilLaterThan(lstatSync(folder, { bigint: true }).birthtimeNs, join(folder, 'clock'));
  if (!mount(t, '-t', 'tmpfs', 'tmpfs', folder)) return;
  const upper = identityOf(folder);
  unmount(folder);
  assert.notEqual(upper, lower);
  assert.equal(identityOf(folder), lower);
});

test('another folder of the same file system that is mounted is told apart, one on itself is not', (t) => {
  const folder = temporaryFolder(t);
  for (const name of ['a', 'b']) mkdirSync(join(folder, name));
  const bare = identityOf(join(folder, 'a'));
  if (!mount(t, '--bind', join(folder, 'b'), join(folder, 'a'))) return;
  assert.notEqual(identityOf(join(folder, 'a')), bare);
  unmount(join(folder, 'a'));
  if (!mount(t, '--bind', join(folder, 'a'), join(folder, 'a'))) return;
  assert.equal(identityOf(join(folder, 'a')), bare);
  unmount(join(folder, 'a'));
});

/** An image of a disk, formatted at a time in seconds since 1970; null where the programs for it are missing. */
function diskImage(folder: string, name: string, at: number): string | null {
  const image = join(folder, name);
  writeFileSync(image, Buffer.alloc(4 * 1024 * 1024));
  try {
    const env = { ...process.env, E2FSPROGS_FAKE_TIME: String(at) };
    execFileSync('mkfs.ext4', ['-q', image], { env, stdio: 'ignore' });
    return image;
  } catch {
    return null;
  }
}

test('another disk in the same slot is told apart, and a disk is the same when it comes back', (t) => {
  const folder = temporaryFolder(t);
  const place = join(folder, 'place');
  mkdirSync(place);
  const images = [1_700_000_000, 1_700_000_001].map((at) => diskImage(folder, `disk${at}`, at));
  const seen: string[] = [];
  for (const image of [...images, ...images]) {
    if (image === null) return t.skip('there is no mkfs.ext4 here');
    if (!mount(t, '-o', 'loop', image, place)) return;
    seen.push(identityOf(place));
    unmount(place);
  }
  assert.deepEqual(seen.slice(2), seen.slice(0, 2));
  assert.notEqual(seen[0], seen[1]);
});

test('where no birth is kept, a file system is known by its source and by what of it is mounted', () => {
  const mounts = readMounts();
  const proc = mountOf('/proc', mounts);
  assert.equal(identityOf('/proc', mounts), `proc 1 ${proc?.source} ${proc?.fsRoot}`);
});

test('nothing that a restart gives out anew is in an identity', (t) => {
  const folder = temporaryFolder(t);
  const mounts = readMounts();
  const renumbered = mounts.map((one) => ({ ...one, id: one.id + 1_000, parentId: one.parentId + 1_000 }));
  const type = mountOf(folder, mounts)?.type;
  if (type === 'tmpfs') return t.skip('temporary folders are in memory here');
  assert.equal(identityOf(folder, renumbered), identityOf(folder, mounts));
  assert.equal(identityOf(folder, mounts).split(' ')[0], type);
});

test('a folder that is gone is an error and no file system', (t) => {
  assert.throws(() => identityOf(join(temporaryFolder(t), 'nothing')), { code: 'ENOENT' });
});

test('network, FUSE and layered file systems give no events that can be trusted', (t) => {
  for (const [magic, type] of [
    [0x6969, 'nfs'],
    [0xff534d42, 'cifs'],
    [0x65735546, 'fuse'],
    [0x794c7630, 'overlay'],
  ] as const)
    assert.deepEqual(reliabilityOfMagic(magic), { reliable: false, type });
  for (const magic of [0xef53, 0x9123683e, 0x58465342, 0x01021994])
    assert.equal(reliabilityOfMagic(magic).reliable, true);
  assert.notEqual(eventlessAt(join(temporaryFolder(t), 'nothing')), null);
  const folder = temporaryFolder(t);
  if (!mount(t, '-t', 'tmpfs', 'tmpfs', folder)) return;
  assert.equal(eventlessAt(folder), null);
  unmount(folder);
});

test('a layered file system is known as one', (t) => {
  const folder = temporaryFolder(t);
  if (!mount(t, '-t', 'tmpfs', 'tmpfs', folder)) return;
  atEnd(t, () => unmount(folder));
  for (const name of ['lower', 'upper', 'work', 'all']) mkdirSync(join(folder, name));
  const layers = `lowerdir=${folder}/lower,upperdir=${folder}/upper,workdir=${folder}/work`;
  if (!mount(t, '-t', 'overlay', '-o', layers, 'overlay', join(folder, 'all'))) return;
  assert.equal(eventlessAt(join(folder, 'all')), 'overlay');
  unmount(join(folder, 'all'));
});
