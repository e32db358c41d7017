import { splitPath } from '../base/paths.js';

/** Folders whose names are held as a set: a walk asks about those that it is in. */
const recentMax = 32;
/** UTF-16 units of a folder's names: so few are looked through more quickly than a set is made of them. */
const searchedMax = 512;

/** TrackedPaths as JSON can have it. */
export interface PlainPaths {
  names: [folder: string, names: string][];
  folders: string[];
  count: number;
}

/**
 * The paths that git's index names. Kept as one text for each folder: a set of all paths takes ten times as much memory, which
 * for a million files is more than all the rest.
 */
export class TrackedPaths {
  /** Names by folder, with a slash before, between and behind them. */
  readonly #names = new Map<string, string>();
  /** Those that something tracked is below, and submodules. */
  readonly #folders = new Set<string>();
  /** The last one asked about at the end. */
  readonly #recent = new Map<string, ReadonlySet<string>>();
  /** What was added last, and is not in `#names` yet. */
  #adding: { folder: string; names: string[] } | null = null;
  #count = 0;

  /** Without submodules. */
  get count(): number {
    return this.#count;
  }

  static from({ names, folders, count }: PlainPaths): TrackedPaths {
    const tracked = new TrackedPaths();
    for (const [folder, text] of names) tracked.#names.set(folder, text);
    for (const folder of folders) tracked.#folders.add(folder);
    tracked.#count = count;
    return tracked;
  }

  toPlain(): PlainPaths {
    return { names: [...this.#names], folders: [...this.#folders], count: this.#count };
  }

  /** Costs least in git's order, which has a folder's files mostly together. */
  add(path: string): void {
    const { folder, name } = splitPath(path);
    if (this.#adding?.folder !== folder) {
      this.seal();
      this.#adding = { folder, names: [] };
      this.#addFolders(folder);
    }
    this.#adding.names.push(name);
    this.#count += 1;
  }

  /** A submodule: its entry is a commit of another repository. */
  addSubmodule(path: string): void {
    this.#addFolders(path);
  }

  /** Call it behind the last one. */
  seal(): void {
    if (this.#adding === null) return;
    const { folder, names } = this.#adding;
    // Made of one piece: slices would keep all alive that they were cut from.
    const joined = Buffer.from(`${names.join('/')}/`).toString();
    this.#names.set(folder, (this.#names.get(folder) ?? '/') + joined);
    this.#adding = null;
  }

  has(path: string): boolean {
    const { folder, name } = splitPath(path);
    const text = this.#names.get(folder);
    if (text === undefined) return false;
    return text.length <= searchedMax ? text.includes(`/${name}/`) : this.#namesIn(folder, text).has(name);
  }

  hasBelow(folder: string): boolean {
    return this.#folders.has(folder);
  }

  #namesIn(folder: string, text: string): ReadonlySet<string> {
    let names = this.#recent.get(folder);
    if (names === undefined) {
      names = new Set(text.slice(1, -1).split('/'));
      if (this.#recent.size >= recentMax) this.#recent.delete(this.#recent.keys().next().value ?? '');
    } else {
      this.#recent.delete(folder);
    }
    this.#recent.set(folder, names);
    return names;
  }

  #addFolders(path: string): void {
    for (let folder = path; !this.#folders.has(folder); folder = splitPath(folder).folder)
      this.#folders.add(folder);
  }
}

/** A submodule's entry has mode 160000, and no other one this digit in second place. */
const submoduleDigit = 0x36;

/** Takes what `git ls-files -z --stage` writes, in pieces: entries of `mode object stage`, a tab, and the path, each with a NUL. */
export class IndexListing {
  readonly tracked = new TrackedPaths();
  #rest: Buffer = Buffer.alloc(0);

  take(piece: Buffer): void {
    const bytes = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    let start = 0;
    for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, start)) {
      const path = bytes.toString('utf8', bytes.indexOf(tab, start) + 1, end);
      if (bytes[start + 1] === submoduleDigit) this.tracked.addSubmodule(path);
      else this.tracked.add(path);
      start = end + 1;
    }
    this.#rest = bytes.subarray(start);
  }
}

const tab = 0x09;
