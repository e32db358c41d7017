import { lstatSync, readdirSync, readFileSync, realpathSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { reasonOf } from './errors.js';
import { isWithin } from './paths.js';

/**
 * Which file system a folder lies on, as a text that is the same after a restart. Device numbers are not: the kernel
 * gives them out anew; and (dev, ino) of a root does not tell two mounts apart, because a tmpfs that is mounted again
 * has the same pair and the root of each ext4 is inode 2.
 */

/** A line of /proc/self/mountinfo, see proc_pid_mountinfo(5). */
export interface Mount {
  id: number;
  parentId: number;
  /** `major:minor`, of the file system as a whole. */
  device: string;
  /** What of the file system is mounted; '/' for all of it. */
  fsRoot: string;
  mountPoint: string;
  type: string;
  source: string;
}

/** What was read last; the time as performance.now() gives it. */
let known: { mountinfo: string; mounts: readonly Mount[]; readAt: number } | null = null;

/**
 * None where /proc is not there. The same array for as long as nothing changes, since there may be thousands.
 * @param maxAgeMs what was read so long ago at most is taken for what is there
 */
export function readMounts(maxAgeMs = 0): readonly Mount[] {
  const now = performance.now();
  if (known !== null && now - known.readAt < maxAgeMs) return known.mounts;
  try {
    const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8');
    const mounts = known?.mountinfo === mountinfo ? known.mounts : parseMounts(mountinfo);
    known = { mountinfo, mounts, readAt: now };
    return mounts;
  } catch {
    return [];
  }
}

/** What is mounted at a folder, below it, and on the way to it. */
export function mountsAround(folder: string, mounts: readonly Mount[]): Mount[] {
  return mounts.filter(({ mountPoint }) => isWithin(folder, mountPoint) || isWithin(mountPoint, folder));
}

export function parseMounts(mountinfo: string): Mount[] {
  return mountinfo
    .split('\n')
    .map(parseMount)
    .filter((mount) => mount !== null);
}

/** 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue */
function parseMount(line: string): Mount | null {
  const [place, system] = line.split(' - ', 2).map((part) => part.split(' '));
  const [id, parentId, device, fsRoot, mountPoint] = place ?? [];
  const [type, source] = system ?? [];
  if (device === undefined || fsRoot === undefined || mountPoint === undefined || type === undefined)
    return null;
  return {
    id: Number(id),
    parentId: Number(parentId),
    device,
    fsRoot: unescaped(fsRoot),
    mountPoint: unescaped(mountPoint),
    type,
    source: unescaped(source ?? ''),
  };
}

/** Spaces, tabs, line feeds and backslashes come in octal. */
function unescaped(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/gu, (_all, code: string) =>
    String.fromCharCode(Number.parseInt(code, 8)),
  );
}

/**
 * The mount that a path lies on, found as the kernel goes: from the root, the first mount point on the way leads over
 * to what is mounted there. A mount below a place that was mounted over later is hidden thereby.
 */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  const ids = new Set(mounts.map(({ id }) => id));
  const onTheWay = mounts.filter(({ mountPoint }) => isWithin(mountPoint, path));
  let mount = onTheWay.findLast(({ parentId }) => !ids.has(parentId));
  for (let next = mount; next !== undefined; next = firstOn(onTheWay, next)) mount = next;
  return mount;
}

function firstOn(onTheWay: readonly Mount[], parent: Mount): Mount | undefined {
  let first: Mount | undefined;
  for (const mount of onTheWay) {
    const isChild = mount.parentId === parent.id && mount.id !== parent.id;
    if (isChild && (first === undefined || mount.mountPoint.length <= first.mountPoint.length)) first = mount;
  }
  return first;
}

/**
 * A stable text for the file system that holds a folder: type, inode and birth time of its top folder (the mount's, or
 * that of a btrfs subvolume, which has a device number of its own without a mount). Where it keeps no birth times:
 * the disk's UUID or the mount's source, and what of it is mounted; where that says nothing either, as in memory, the
 * mount itself.
 *
 * A folder that is mounted on itself, as the sandboxes of systemd do it, is no other file system.
 * @param folder absolute real path
 * @throws the system's error where the folder cannot be looked at
 */
export function identityOf(folder: string, mounts: readonly Mount[] = readMounts()): string {
  const mount = mountBehindOwn(mountOf(folder, mounts), mounts);
  const top = topOf(folder, mount);
  const { ino, birth } = birthOf(top);
  const type = mount?.type ?? 'unknown';
  if (birth !== null) return `${type} ${ino} ${birth}`;
  if (mount === undefined) return `${type} ${ino} ${top}`;
  if (type === 'tmpfs' || type === 'ramfs') return `${type} ${ino} ${bootId()} ${mount.id}`;
  const below = top.slice(mount.mountPoint.length);
  return `${type} ${ino} ${uuidOf(mount.source) ?? mount.source} ${mount.fsRoot}${below === '' ? '' : ` ${below}`}`;
}

/** Skips mounts that show what would be seen there without them. */
function mountBehindOwn(mount: Mount | undefined, mounts: readonly Mount[]): Mount | undefined {
  let behind = mount;
  for (;;) {
    const parent = mounts.find(({ id }) => id === behind?.parentId && id !== behind.id);
    if (parent === undefined || behind === undefined || parent.device !== behind.device) return behind;
    const shown = join(parent.fsRoot, behind.mountPoint.slice(parent.mountPoint.length));
    if (shown !== behind.fsRoot) return behind;
    behind = parent;
  }
}

/** The highest folder with the folder's device number, the mount point at most. */
function topOf(folder: string, mount: Mount | undefined): string {
  const { dev } = lstatSync(folder, { bigint: true });
  const end = mount?.mountPoint ?? '/';
  let top = folder;
  while (top !== end && top !== '/') {
    const parent = lstatSync(dirname(top), { bigint: true, throwIfNoEntry: false });
    if (parent?.dev !== dev) break;
    top = dirname(top);
  }
  return top;
}

/** Birth in ns since 1970; null where the file system does not keep it. */
function birthOf(folder: string): { ino: bigint; birth: bigint | null } {
  const { ino, birthtimeNs } = lstatSync(folder, { bigint: true });
  return { ino, birth: birthtimeNs > 0n && hasBirthTimes() ? birthtimeNs : null };
}

/**
 * Where statx is refused, as in some sandboxes, Node gives the time of the last change for the birth. /proc keeps no
 * birth times, so that a birth there is such a one.
 */
function hasBirthTimes(): boolean {
  return lstatSync('/proc', { bigint: true, throwIfNoEntry: false })?.birthtimeNs === 0n;
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

const uuidFolder = '/dev/disk/by-uuid';

/** What udev knows a disk's file system as: another disk in the same slot is another one. */
function uuidOf(source: string): string | null {
  if (!source.startsWith('/dev/')) return null;
  try {
    const disk = realpathSync(source);
    return readdirSync(uuidFolder).find((uuid) => realpathSync(join(uuidFolder, uuid)) === disk) ?? null;
  } catch {
    return null;
  }
}

/**
 * File systems whose files change without an event here: on another machine, in another process, or in a layer below.
 * Numbers as in linux/magic.h, and as GNU coreutils' stat has them (fs.h) for those that are not in the kernel.
 */
const withoutEvents: ReadonlyMap<number, string> = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb2'],
  [0x65735546, 'fuse'],
  [0x01021997, '9p'],
  [0x794c7630, 'overlay'],
  [0x61756673, 'aufs'],
  [0xf15f, 'ecryptfs'],
  [0x00c36400, 'ceph'],
  [0x5346414f, 'afs'],
  [0x6b414653, 'kafs'],
  [0x73757245, 'coda'],
  [0x564c, 'ncp'],
  [0x786f4256, 'vboxsf'],
  [0xbacbacbc, 'vmhgfs'],
  [0x7c7c6673, 'prl_fs'],
  [0x00c0ffee, 'hostfs'],
  [0x7461636f, 'ocfs2'],
  [0x01161970, 'gfs2'],
  [0x0bd00bd0, 'lustre'],
  [0x47504653, 'gpfs'],
  [0xaad7aaea, 'panfs'],
  [0x61636673, 'acfs'],
  [0x20030528, 'orangefs'],
  [0x013111a8, 'ibrix'],
  [0xbeefdead, 'snfs'],
]);

/** What the kernel shows of itself as files: statfs(2), and the magic numbers of linux/magic.h. */
const pseudo: ReadonlySet<number> = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x1cd1, // devpts
]);

/**
 * Whether nobody's own files can be there.
 * @throws the system's error where the folder cannot be looked at
 */
export function isPseudo(folder: string): boolean {
  // A tmpfs like any other, by its number.
  return folder === '/dev' || pseudo.has(statfsSync(folder).type >>> 0);
}

/** The file system of a folder where inotify does not tell of every change in it, or why it cannot be looked at; else null. */
export function eventlessAt(folder: string): string | null {
  try {
    // A number of 32 bits that comes with its sign extended on some machines.
    const { reliable, type } = reliabilityOfMagic(statfsSync(folder).type >>> 0);
    return reliable ? null : type;
  } catch (error) {
    return reasonOf(error);
  }
}

/** `type` is the file system's name, or its number in hex. */
export function reliabilityOfMagic(magic: number): { reliable: boolean; type: string } {
  const type = withoutEvents.get(magic);
  return { reliable: type === undefined, type: type ?? `0x${magic.toString(16)}` };
}
