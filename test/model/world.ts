import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Daemon, Project } from '../harness/daemon.js';
import { newFolder } from '../harness/folder.js';
import { Sandbox } from '../harness/sandbox.js';
import type { Entry, Inode, Tree } from './model.js';

/** A row of the index, as far as promises are about it. */
export interface Row {
  path: string;
  kind: Entry['kind'];
  deleted: 0 | 1;
  ignored: 0 | 1;
  tracked: 0 | 1;
  cause: string | null;
  sha256: string | null;
  mode: number;
}

/** Small enough to be filled at once; the index of a run and its backups need some 10 MB. */
const stateBytes = 96 * 1024 ** 2;

/** Every state is kept, also of a burst. */
const config = { revision_burst: 0, revision_interval: 0 };

/** Why nothing can be mounted here, or null. */
export function mountRefusal(): string | null {
  const place = newFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place], { stdio: 'ignore' });
    execFileSync('umount', [place]);
    return null;
  } catch (error) {
    return `mount is refused (${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)})`;
  } finally {
    rmSync(place, { recursive: true });
  }
}

/** The daemon that all runs of a campaign share, with its state directory. */
export class Service {
  readonly sandbox: Sandbox;
  readonly stateDir: string;
  readonly canMount: boolean;
  daemon: Daemon;

  private constructor(sandbox: Sandbox, stateDir: string, canMount: boolean, daemon: Daemon) {
    this.sandbox = sandbox;
    this.stateDir = stateDir;
    this.canMount = canMount;
    this.daemon = daemon;
  }

  /** The state directory is a file system of its own, where mounting is allowed, so that it can be full. */
  static async start(canMount: boolean): Promise<Service> {
    const sandbox = await Sandbox.create();
    const stateDir = newFolder();
    if (canMount) mountTmpfs(stateDir, stateBytes);
    const daemon = await sandbox.startDaemon({ stateDir, config });
    return new Service(sandbox, stateDir, canMount, daemon);
  }

  async restart(): Promise<void> {
    const { mayLogErrors } = this.daemon;
    this.daemon = await this.sandbox.startDaemon({ stateDir: this.stateDir, config });
    this.daemon.mayLogErrors = mayLogErrors;
  }

  /** Ends the daemon in order; fails where it left something behind. */
  async end(): Promise<void> {
    try {
      await this.sandbox.end();
    } finally {
      if (this.canMount) unmount(this.stateDir);
      rmSync(this.stateDir, { recursive: true });
    }
  }
}

export function mountTmpfs(folder: string, bytes = 1024 ** 2): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=755`, 'tmpfs', folder]);
}

export function bindMount(disk: string, folder: string): void {
  execFileSync('mount', ['--bind', disk, folder]);
}

export function unmount(folder: string): void {
  execFileSync('umount', ['--lazy', folder]);
}

/** The folder that a nested mount is at. */
export const mountPoint = 'mnt';

/** The real thing of one run: a project folder of its own, registered with the service's daemon. */
export class World {
  readonly service: Service;
  readonly project: Project;
  readonly root: string;
  /** What the user moves out of the project goes here. */
  readonly trash: string;
  /** File systems by where they belong in the project: mounted there, and here for as long as the run lasts. */
  readonly disks: ReadonlyMap<string, string>;
  /** That the run's repository begins with, relative to the root; null: there is none yet. */
  gitFolder: string | null = null;
  /** What was done, for the report of a failure. */
  readonly log: string[] = [];
  #mounted: string[] = [];
  #trashed = 0;

  private constructor(service: Service, project: Project, trash: string, disks: ReadonlyMap<string, string>) {
    this.service = service;
    this.project = project;
    this.root = project.root_dir;
    this.trash = trash;
    this.disks = disks;
    this.#mounted = [...disks.keys()].map((point) => this.at(point));
  }

  /** @param prepare makes the first files in the root */
  static async create(service: Service, prepare: (root: string) => void): Promise<World> {
    const root = await service.sandbox.project({});
    const disks = new Map<string, string>();
    const attach = (point: string): void => {
      const disk = `${root}-disk${point}`;
      mkdirSync(disk);
      mountTmpfs(disk);
      mkdirSync(join(root, point), { recursive: true });
      bindMount(disk, join(root, point));
      disks.set(point, disk);
    };
    if (service.canMount) for (const point of ['', mountPoint]) attach(point);
    const trash = `${root}-trash`;
    mkdirSync(trash);
    prepare(root);
    const project = await service.daemon.addProject(root);
    return new World(service, project, trash, disks);
  }

  get daemon(): Daemon {
    return this.service.daemon;
  }

  get id(): { project_id: string } {
    return { project_id: this.project.project_id };
  }

  at(path: string): string {
    return join(this.root, path);
  }

  /** A place in the trash that is free. */
  trashPlace(): string {
    return join(this.trash, String(++this.#trashed));
  }

  /** Moves something out of the project, also onto another file system. */
  moveOut(path: string, place: string): void {
    execFileSync('mv', [this.at(path), place]);
  }

  attach(point: string, disk: string | null): void {
    if (disk === null) mountTmpfs(this.at(point));
    else bindMount(disk, this.at(point));
    this.#mounted.push(this.at(point));
  }

  detach(point: string): void {
    unmount(this.at(point));
    this.#mounted.splice(this.#mounted.lastIndexOf(this.at(point)), 1);
  }

  /** Whatever is mounted in the project goes, and what belongs there comes back. */
  restoreMounts(): void {
    for (const point of this.#mounted.reverse()) unmount(point);
    this.#mounted = [];
    for (const [point, disk] of this.disks) this.attach(point, disk);
  }

  git(...args: string[]): string {
    const identity = ['-c', 'user.name=model', '-c', 'user.email=model@localhost', '-c', 'gc.auto=0'];
    const folder = this.at(this.gitFolder ?? '');
    return execFileSync('git', ['-C', folder, ...identity, ...args], { encoding: 'utf8', stdio: 'pipe' });
  }

  /** The commit that is checked out; null without a repository, or while it is away. */
  headNow(): string | null {
    return existsSync(this.at(join(this.gitFolder ?? '', '.git')))
      ? this.git('rev-parse', 'HEAD').trim()
      : null;
  }

  tracked(): Set<string> {
    return new Set(
      this.git('ls-files', '-z')
        .split('\0')
        .filter((path) => path !== '')
        .map((path) => join(this.gitFolder ?? '', path)),
    );
  }

  /** The rows of the project, read by another connection, also while the daemon is down. */
  rows(): Row[] {
    return this.#query<Row>(
      'SELECT path, kind, deleted, ignored, tracked, cause, sha256, mode FROM files WHERE project_id = ? ORDER BY path',
      this.project.project_id,
    );
  }

  /** The hashes of all contents that the index has. */
  contents(): Set<string> {
    return new Set(this.#query<{ sha256: string }>('SELECT sha256 FROM contents').map((row) => row.sha256));
  }

  /** git's HEAD when the project was last compared. */
  knownHead(): string | null {
    const [row] = this.#query<{ head: string | null }>(
      'SELECT head FROM repositories WHERE project_id = ? AND folder = ?',
      this.project.project_id,
      this.gitFolder ?? '',
    );
    return row?.head ?? null;
  }

  #query<T>(sql: string, ...params: string[]): T[] {
    const db = new Database(join(this.service.stateDir, 'index.db'), { readonly: true, timeout: 5_000 });
    try {
      return db.prepare<string[], T>(sql).all(...params);
    } finally {
      db.close();
    }
  }

  /** Where the copies of deleted files are. */
  get versions(): string {
    return join(this.project.version_dir, this.project.project_id);
  }

  /** Forgets the project, and takes its mounts away. */
  async end(): Promise<void> {
    try {
      await this.daemon.call('remove_project', this.id);
    } finally {
      for (const point of this.#mounted.reverse()) unmount(point);
      for (const disk of this.disks.values()) unmount(disk);
    }
  }
}

/** What stands below a folder; names of one file share its inode. */
export function scan(root: string): Tree {
  const tree: Tree = new Map();
  const inodes = new Map<string, Inode>();
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      if (entry.name === '.git') continue;
      const path = join(folder, entry.name);
      const absolute = join(root, path);
      const stats = lstatSync(absolute, { bigint: true });
      const mode = Number(stats.mode & 0o7777n);
      if (stats.isDirectory()) {
        tree.set(path, { kind: 'folder', mode });
        visit(path);
      } else if (stats.isSymbolicLink()) tree.set(path, { kind: 'symlink', target: readlinkSync(absolute) });
      else {
        const identity = `${stats.dev} ${stats.ino}`;
        const inode = inodes.get(identity) ?? { bytes: readFileSync(absolute), mode };
        inodes.set(identity, inode);
        tree.set(path, { kind: 'file', inode });
      }
    }
  };
  if (existsSync(root)) visit('');
  return tree;
}
