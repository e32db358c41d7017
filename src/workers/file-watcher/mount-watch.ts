import { type Mount, mountsAround, readMounts } from '../../base/mounts.js';

/** Mounts that some project of this process has read so long ago (ms) at most are not read again. */
const readEveryMs = 1_000;

/**
 * What is mounted around a project: no event tells that it came or went, while other files are to be seen there, and the watches
 * stay with those that were.
 */
export class MountWatch {
  readonly #rootDir: string;
  #mounts: readonly Mount[] | null = null;
  /** Mount points, by a text for each mount. */
  #around: ReadonlyMap<string, string> = new Map();

  constructor(rootDir: string) {
    this.#rootDir = rootDir;
  }

  /** Something came or went since `take`. */
  get hasChanged(): boolean {
    const mounts = readMounts(readEveryMs);
    if (this.#mounts === null || mounts === this.#mounts) return false;
    if (differences(this.#around, this.#read(mounts)).length > 0) return true;
    this.#mounts = mounts;
    return false;
  }

  /** From now on what is mounted now is known. Gives the absolute mount points of what came or went since the last time. */
  take(): string[] {
    const earlier = this.#mounts === null ? null : this.#around;
    this.#mounts = readMounts();
    this.#around = this.#read(this.#mounts);
    return earlier === null ? [] : differences(earlier, this.#around);
  }

  #read(mounts: readonly Mount[]): Map<string, string> {
    return new Map(
      mountsAround(this.#rootDir, mounts).map((mount) => [
        // Without what a remount changes, as read-only.
        JSON.stringify([mount.id, mount.parentId, mount.device, mount.fsRoot, mount.mountPoint]),
        mount.mountPoint,
      ]),
    );
  }
}

function differences(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): string[] {
  const only = (these: typeof one, those: typeof one): string[] =>
    [...these].filter(([mount]) => !those.has(mount)).map(([, mountPoint]) => mountPoint);
  return [...only(one, other), ...only(other, one)];
}
