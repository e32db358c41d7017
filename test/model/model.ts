import { sha256 } from '../harness/trees.js';

/** What several names of one file (hard links) share. */
export interface Inode {
  bytes: Buffer;
  mode: number;
}

export type Entry =
  { kind: 'file'; inode: Inode } | { kind: 'symlink'; target: string } | { kind: 'folder'; mode: number };

/** By path relative to the root; never with `.git` or what is in it. */
export type Tree = Map<string, Entry>;

/** An entry in one line: equal lines are equal entries. */
export function lineOf(entry: Entry): string {
  switch (entry.kind) {
    case 'file':
      return `file ${entry.inode.mode.toString(8)} ${sha256(entry.inode.bytes)}`;
    case 'symlink':
      return `symlink ${sha256(entry.target)}`;
    default:
      return `folder ${entry.mode.toString(8)}`;
  }
}

export function linesOf(tree: Tree): Record<string, string> {
  const lines = [...tree].map(([path, entry]) => [path, lineOf(entry)] as const);
  return Object.fromEntries(lines.sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function folderOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

export function isBelow(path: string, folder: string): boolean {
  return folder === '' || path.startsWith(`${folder}/`);
}

/** A content that was proven to be indexed. */
export interface Kept {
  path: string;
  kind: 'file' | 'symlink';
  sha256: string;
}

/** What the project was at a checkpoint. */
export interface Moment {
  lines: Readonly<Record<string, string>>;
  /** Paths that rules did not ignore. */
  content: ReadonlySet<string>;
}

/** A mount that is away or has another one in its place; '' is the root. */
export interface Away {
  point: string;
  /** What cannot be seen meanwhile. */
  hidden: Tree;
  /** The daemon was heard to say that it is not fresh. */
  isNoticed: boolean;
}

/**
 * What the user did, and what follows for the daemon: which bytes must stand in the project, which it must be able to
 * give back. Nothing in here touches a disk or knows how the daemon works.
 */
export class Model {
  /** What stands in the project. Only the user, delete_file, restores and repairs change it. */
  tree: Tree = new Map();
  /** What each path was since it was last proven to be indexed, that included: one of these may come back. */
  readonly had = new Map<string, Set<string>>();
  readonly kept = new Map<string, Kept>();
  /** Paths that git has in its index. */
  tracked: ReadonlySet<string> = new Set();
  /** That the repository begins with; null: there is none yet. */
  gitFolder: string | null = null;
  /** Paths that a checkout took away: they are no losses, whoever repairs. */
  readonly leftByGit = new Set<string>();
  /** Those of them since the index was last proven to be true, also where something came there again. */
  readonly leftLately = new Set<string>();
  /** Paths that a watcher has found gone, and that nobody has proven to be noted: it may have kept them without the mark. */
  readonly seenGoing = new Set<string>();
  /** By the checkpoint's id. */
  readonly moments = new Map<string, Moment>();
  canMount = false;
  isWatched = true;
  isUp = true;
  isFull = false;
  away: Away | null = null;
  /** Files of a file system that does not belong there, which may have been indexed meanwhile. */
  readonly strange = new Set<string>();
  /** Rows that were marked when it went. */
  deletedBefore: ReadonlySet<string> = new Set();

  /** A watcher begins: it finds what went before. */
  watch(): void {
    this.isWatched = true;
    for (const path of this.had.keys()) if (!this.tree.has(path)) this.seenGoing.add(path);
  }

  paths(...kinds: Entry['kind'][]): string[] {
    return [...this.tree]
      .filter(([, { kind }]) => kinds.includes(kind))
      .map(([path]) => path)
      .sort();
  }

  entry(path: string): Entry {
    const entry = this.tree.get(path);
    if (entry === undefined) throw new Error(`the model has no ${path}`);
    return entry;
  }

  /** Writes down what every path is now. */
  note(): void {
    for (const [path, entry] of this.tree) {
      this.leftByGit.delete(path);
      this.seenGoing.delete(path);
      const lines = this.had.get(path) ?? new Set();
      this.had.set(path, lines.add(lineOf(entry)));
    }
  }

  /** Everything that is content was proven to be indexed as it is. */
  witness(): void {
    this.leftLately.clear();
    this.seenGoing.clear();
    for (const [path, entry] of this.tree) {
      if (!this.isContent(path)) continue;
      this.had.set(path, new Set([...this.#keptBeside(path, entry), lineOf(entry)]));
      if (entry.kind === 'folder') continue;
      const content = entry.kind === 'file' ? sha256(entry.inode.bytes) : sha256(entry.target);
      this.kept.set(`${path}\0${content}`, { path, kind: entry.kind, sha256: content });
    }
  }

  /** A folder that holds something has no row: what the path was before stays what it leads to. */
  #keptBeside(path: string, { kind }: Entry): string[] {
    if (kind !== 'folder') return [];
    return [...(this.had.get(path) ?? [])].filter((line) => !line.startsWith('folder'));
  }

  /** A checkout left the project like this. */
  adoptCheckout(tree: Tree, tracked: ReadonlySet<string>): void {
    for (const path of this.tree.keys())
      if (!tree.has(path) && this.tracked.has(path)) {
        this.leftByGit.add(path);
        this.leftLately.add(path);
      }
    this.tree = tree;
    this.tracked = tracked;
    this.note();
  }

  /** True where nothing stands at the path, or in the way to it. */
  isFree(path: string): boolean {
    if (this.tree.has(path)) return false;
    for (let folder = folderOf(path); folder !== ''; folder = folderOf(folder)) {
      const entry = this.tree.get(folder);
      if (entry !== undefined) return entry.kind === 'folder';
    }
    return true;
  }

  isHidden(path: string): boolean {
    return this.away !== null && isBelow(path, this.away.point);
  }

  isEmpty(folder: string): boolean {
    // What git keeps of its own is something, too; the bare place of a mount has none of it.
    const hasGit = folder === this.gitFolder && this.away === null;
    return !hasGit && ![...this.tree.keys()].some((path) => isBelow(path, folder));
  }

  /** By the only rules that the commands make: a .gitignore at the top that holds `*` or one name. */
  isContent(path: string): boolean {
    // A clone in an ignored folder is ignored with it, whatever it tracks.
    if (this.tracked.has(path)) return this.gitFolder === '' || this.rule !== '*';
    const rule = this.rule;
    // In a repository of its own only its own rules hold, of which it has none.
    const clone = this.gitFolder === null || this.gitFolder === '' ? null : this.gitFolder;
    const judged = clone !== null && isBelow(path, clone) ? clone : path;
    return rule === null || (rule !== '*' && !judged.split('/').includes(rule));
  }

  get rule(): string | null {
    const file = this.tree.get('.gitignore');
    const text = file?.kind === 'file' ? file.inode.bytes.toString().trim() : '';
    return text === '' ? null : text;
  }

  /** What list_files has to give: files, symlinks and folders with nothing in them. */
  listing(): Record<string, string> {
    const listed = [...this.tree].filter(
      ([path, { kind }]) => this.isContent(path) && (kind !== 'folder' || this.isEmpty(path)),
    );
    return this.withoutHidden(linesOf(new Map(listed)));
  }

  /** Whether an empty folder is listed where a file was depends on whether the index has heard of the file. */
  withoutHidden(lines: Record<string, string>): Record<string, string> {
    const wasFile = (path: string): boolean =>
      [...(this.had.get(path) ?? [])].some((line) => !line.startsWith('folder'));
    return Object.fromEntries(
      Object.entries(lines).filter(([path, line]) => !line.startsWith('folder') || !wasFile(path)),
    );
  }

  put(path: string, entry: Entry): void {
    this.tree.set(path, entry);
  }

  /** Takes away a path with all that is below it, and gives it by paths relative to the path ('' for itself). */
  take(path: string): Tree {
    const taken: Tree = new Map();
    for (const [at, entry] of this.tree) {
      if (at !== path && !isBelow(at, path)) continue;
      taken.set(at === path ? '' : at.slice(path === '' ? 0 : path.length + 1), entry);
    }
    for (const below of taken.keys()) {
      this.tree.delete(joined(path, below));
      if (this.isWatched && this.isUp) this.seenGoing.add(joined(path, below));
    }
    return taken;
  }

  /** Puts what was taken under another path. */
  give(path: string, taken: Tree): void {
    for (const [below, entry] of taken) this.tree.set(joined(path, below), entry);
  }
}

function joined(path: string, below: string): string {
  return [path, below].filter((part) => part !== '').join('/');
}
