import { type BigIntStats, lstatSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isPseudo } from '../base/mounts.js';
import { isWithin } from '../base/paths.js';

type Identity = Pick<BigIntStats, 'dev' | 'ino'>;

/** A database and what SQLite keeps beside it. */
const databaseName = /\.db(?:-wal|-shm|-journal)?$/u;

/**
 * What the program keeps for itself: its folders, and the databases in them. Told by (dev, ino), because a folder is
 * reached through symlinks and bind mounts, and a file by another name of it. No database is opened here or by who
 * asks: closing one in a process that uses it drops SQLite's locks.
 */
export class OwnFiles {
  readonly #devicesOf = new Map<bigint, Set<bigint>>();
  /** Folders that are not there yet: only their paths can be told. */
  readonly notMadeYet: readonly string[];

  /** @param folders absolute: the state directory and versions directories; they need not be there yet */
  constructor(folders: readonly string[]) {
    this.notMadeYet = folders.filter((folder) => !this.#add(folder));
    for (const folder of folders) {
      for (const holder of [folder, join(folder, 'derived')]) this.#addDatabases(holder);
    }
  }

  has({ dev, ino }: Identity): boolean {
    return this.#devicesOf.get(ino)?.has(dev) === true;
  }

  /** True when what stands at the path now, not followed if it is a symlink, is the program's own. */
  standsAt(absolute: string): boolean {
    const identity = identityAt(absolute, lstatSync);
    return identity !== null && this.has(identity);
  }

  /** True for an own folder and for any below one. */
  hold(folder: string): boolean {
    return this.standsAt(folder) || (folder !== '/' && this.hold(dirname(folder)));
  }

  /** False for what is not there. */
  #add(path: string): boolean {
    const identity = identityAt(path, statSync);
    if (identity === null) return false;
    const devices = this.#devicesOf.get(identity.ino);
    if (devices === undefined) this.#devicesOf.set(identity.ino, new Set([identity.dev]));
    else devices.add(identity.dev);
    return true;
  }

  #addDatabases(folder: string): void {
    for (const name of namesIn(folder)) if (databaseName.test(name)) this.#add(join(folder, name));
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Null for what is not there or cannot be looked at. */
function identityAt(path: string, look: typeof statSync): Identity | null {
  try {
    const stats = look(path, { bigint: true, throwIfNoEntry: false });
    return stats ?? null;
  } catch {
    return null;
  }
}

/** Neither the system's nor ours, nor a folder that holds what is ours. */
export function canBeProject(rootDir: string, ours: readonly string[]): boolean {
  const isOurs = ours.some((folder) => isWithin(folder, rootDir)) || new OwnFiles(ours).hold(rootDir);
  return rootDir !== '/' && !isPseudo(rootDir) && !isOurs;
}
