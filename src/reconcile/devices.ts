import { lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../base/errors.js';
import { identityOf } from '../base/mounts.js';
import { type Device, deviceIdOf, devicesOf } from '../store/devices.js';
import { splitPath } from '../base/paths.js';
import { shellWord } from '../base/shell-word.js';
import type { FileRow } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';

/**
 * Whether a missing row's place still lies on the file system that the row was indexed on. Where a nested mount is away,
 * or another one is in its place, what is missing there is not known to be gone. Asked of folders, which are
 * remembered for as long as the object lives.
 */
export class DeviceDoubts {
  readonly #index: IndexDatabase;
  readonly #project: { id: string; rootDir: string };
  #devices: ReadonlyMap<number, Device> | null = null;
  readonly #identities = new Map<string, string | null>();
  /** Of each folder the nearest one that is there: itself, or one above it; null where that cannot be found out. */
  readonly #nearest = new Map<string, string | null>();

  constructor(index: IndexDatabase, project: { id: string; rootDir: string }) {
    this.#index = index;
    this.#project = project;
  }

  /** Null where the file system is the one of the row, or none is known. */
  doubtOf({ path, deviceId }: Pick<FileRow, 'path' | 'deviceId'>): string | null {
    const { id, rootDir } = this.#project;
    this.#devices ??= new Map(devicesOf(this.#index, id).map((device) => [device.id, device]));
    const known = deviceId === null ? undefined : this.#devices.get(deviceId);
    if (known === undefined) return null;
    const now = this.#identityAt(dirname(`${rootDir}/${path}`));
    if (now === known.identity) return null;
    const place = known.folder === '' ? rootDir : `${rootDir}/${known.folder}`;
    return `it was on another file system than its folder is now: mount the one that was at ${place}; if this one is right, "codekeep accept ${shellWord(rootDir)}" marks what is missing deleted`;
  }

  /** Of the folder, or of the nearest one above it that is there. */
  #identityAt(folder: string): string | null {
    const nearest = this.#nearestTo(folder);
    if (nearest === null) return null;
    let identity = this.#identities.get(nearest);
    if (identity === undefined) {
      identity = identityOrNull(nearest);
      this.#identities.set(nearest, identity);
    }
    return identity;
  }

  /** From the root down, so that no symlink is followed: what stands in a folder's place lies in the one above. */
  #nearestTo(folder: string): string | null {
    const known = this.#nearest.get(folder);
    if (known !== undefined) return known;
    const parent = folder === this.#project.rootDir ? null : dirname(folder);
    const above = parent === null ? null : this.#nearestTo(parent);
    const nearest = above === parent ? folderOr(above, folder) : above;
    this.#nearest.set(folder, nearest);
    return nearest;
  }
}

/** The folder, or what is given where there is none by that name; null where that cannot be found out. */
function folderOr(above: string | null, folder: string): string | null {
  try {
    return lstatSync(folder).isDirectory() ? folder : above;
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? above : null;
  }
}

function identityOrNull(folder: string): string | null {
  try {
    return identityOf(folder);
  } catch {
    return null;
  }
}

/** The ids of the file systems that entries lie on; asked once a device number for as long as the object lives. */
export class DeviceIds {
  readonly #index: IndexDatabase;
  readonly #project: { id: string; rootDir: string };
  readonly #ids = new Map<string, number>();

  constructor(index: IndexDatabase, project: { id: string; rootDir: string }) {
    this.#index = index;
    this.#project = project;
  }

  /**
   * Call it inside a transaction: a file system that is new is written down. Null where its place is gone by now, and so cannot
   * be asked for.
   * @param dev device number of the entry at `path`
   */
  idOf(dev: string, path: string): number | null {
    let id = this.#ids.get(dev);
    if (id === undefined) {
      const { folder } = splitPath(path);
      const identity = identityOrNull(
        folder === '' ? this.#project.rootDir : `${this.#project.rootDir}/${folder}`,
      );
      if (identity === null) return null;
      id = deviceIdOf(this.#index, this.#project.id, { identity, folder });
      this.#ids.set(dev, id);
    }
    return id;
  }
}
