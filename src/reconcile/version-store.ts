import { randomUUID } from 'node:crypto';
import { closeSync, constants, openSync, readFileSync, readlinkSync } from 'node:fs';
import { link, unlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { FolderAttributes } from '../base/attributes.js';
import type { EntryImage } from '../base/entry-image.js';
import { CodekeepError, ignoreErrno } from '../base/errors.js';
import { FilePlacer } from '../base/file-placer.js';
import { sha256 } from '../base/hash.js';
import { isWithin, stampedPath, timeStamp } from '../base/paths.js';
import { ownerAll, PinnedFolder } from '../base/pinned-folder.js';
import { type Presence, presenceAt, TreePresence } from '../base/presence.js';
import type { FileStamp } from '../base/stamp.js';
import { ownToken, temporaryName } from '../base/temporary-names.js';
import { folderAttributes } from '../store/folders.js';
import type { IndexDatabase } from '../store/index-database.js';
import { isFurnished, noteFurnished, type Project } from '../store/projects.js';
import type { FileRow } from '../store/files.js';
import { imageWith } from './image.js';
import { projectNote, projectNoteName, textAt, versionsMarker } from './version-dir.js';

/** The part of a project that its versions need. */
export type VersionedProject = Pick<Project, 'id' | 'rootDir' | 'versionDir'>;

/** The files of one project in its versions directory: <version_dir>/<project_id>/<path>. */
export class VersionStore {
  readonly #index: IndexDatabase;
  readonly #project: VersionedProject;
  /** Absolute folder that holds this project's versions. */
  readonly root: string;
  /** What `keep` has seen; its folders are remembered. */
  #looked: TreePresence | null = null;

  constructor(index: IndexDatabase, project: VersionedProject) {
    this.#index = index;
    this.#project = project;
    this.root = versionsRoot(project);
  }

  pathOf(path: string): string {
    return join(this.root, path);
  }

  /** A snapshot for observing many paths. A versions directory that does not exist yet holds nothing. */
  observe(): TreePresence {
    return new TreePresence(this.root, { mayBeMissing: true });
  }

  /** True where nothing can be put there, or believed of it: inside a project no symlink on the way is followed. */
  isBlocked(): boolean {
    const { rootDir, versionDir } = this.#project;
    if (!isWithin(rootDir, versionDir)) return false;
    const presence = new TreePresence(rootDir).at(relative(rootDir, versionDir));
    return presence === 'blocked' || presence === 'symlink' || presence === 'file' || presence === 'other';
  }

  /** For others as in the project; here whoever keeps them has to get in and out, now and later. */
  #attributesOf(path: string): FolderAttributes | null {
    const attributes = folderAttributes(this.#index, this.#project.id, path);
    return attributes === null ? null : { ...attributes, mode: attributes.mode | ownerAll };
  }

  /**
   * Why the folder at its path is not the one that has the copies: a mount point without its disk has no marker. One that
   * is not there at all was taken away, and is made anew.
   */
  bareReason(): string | null {
    const { versionDir } = this.#project;
    if (!isFurnished(this.#index, versionDir) || presenceAt(versionDir) !== 'directory') return null;
    return presenceAt(join(versionDir, versionsMarker)) === 'absent'
      ? `${versionDir} is not the folder that has the copies: mount its disk; if it was emptied on purpose, remove the folder`
      : null;
  }

  /** Opens it for writing, and makes it where it is missing: only for its owner, whatever the project's files permit. */
  async openPlacer(): Promise<FilePlacer> {
    const { rootDir, versionDir, id } = this.#project;
    const isInside = isWithin(rootDir, versionDir);
    const bare = this.bareReason();
    if (bare !== null) throw new CodekeepError('ROOT_UNAVAILABLE', bare, 'Then it is tried again.');
    // Step by step: Node's own recursive mkdir spins where a parent exists and nothing can be made in it, as in /proc.
    const above = isInside ? rootDir : nearestFolder(versionDir);
    const base = await PinnedFolder.open(above);
    try {
      const below = relative(above, versionDir);
      const folder = await (isInside ? base.descend(below, true) : descendPrivately(base, below));
      try {
        await furnish(folder, versionsMarker, 'Copies of deleted files, kept by codekeep.\n');
        if (isInside) await furnish(folder, '.gitignore', '*\n');
        const note = projectNoteName(id);
        if (textAt(folder.at(note)) !== projectNote(this.#project)) {
          // It was moved since.
          await unlink(folder.at(note)).catch(ignoreErrno('ENOENT'));
          await furnish(folder, note, projectNote(this.#project));
        }
        // Another one that is at the same may not have come to it yet: until then its absence proves nothing.
        const hasMarker = presenceAt(folder.at(versionsMarker)) === 'file';
        if (hasMarker && !isFurnished(this.#index, versionDir))
          await this.#index.write(() => noteFurnished(this.#index, versionDir));
        const { folder: top } = await folder.childMade(id, { mode: 0o700, uid: null, gid: null });
        return new FilePlacer(top, (path) => this.#attributesOf(path));
      } finally {
        await folder.close();
      }
    } finally {
      await base.close();
    }
  }

  /**
   * Makes sure that versions hold `image` at `path`. The same bytes there already are left alone; other
   * bytes are an older deletion of the path and get a timestamp before their extension. Gives the stamp of what was
   * placed, null where it was there.
   */
  async keep(
    placer: FilePlacer,
    path: string,
    image: EntryImage,
    now: number,
    token: string = ownToken(randomUUID()),
  ): Promise<FileStamp | null> {
    this.#looked ??= this.observe();
    const presence = this.#looked.at(path);
    // Where that cannot be done, the placing says why.
    await placer.removeDead(path).catch(() => undefined);
    if (this.#holds(path, presence, image)) return null;
    try {
      await makeRoom(placer, path, presence, now);
      return await placer.place(path, image, token);
    } catch (error) {
      // Another process keeps the same, as a watcher what delete_file takes; or what was seen of the folders is out of date.
      const seen = this.observe().at(path);
      if (this.#holds(path, seen, image)) return null;
      if (seen === presence || !isTaken(error)) throw error;
      await makeRoom(placer, path, seen, now);
      return await placer.place(path, image, token);
    }
  }

  #holds(path: string, presence: Presence, image: EntryImage): boolean {
    if (image.kind === 'folder') return presence === 'directory';
    const hash = image.kind === 'file' ? image.sha256 : sha256(image.target);
    return contentHashAt(this.pathOf(path), presence) === hash;
  }

  /** As keep, for a file of any size that is moved as it is and not read. */
  async adopt(placer: FilePlacer, path: string, source: string, now: number): Promise<void> {
    await makeRoom(placer, path, this.observe().at(path), now);
    await placer.placeCopyOf(source, path, ownToken(randomUUID()));
  }
}

/** The folder itself, or the nearest one above it that is there. */
function nearestFolder(path: string): string {
  return presenceAt(path) === 'absent' ? nearestFolder(dirname(path)) : path;
}

/** Folders that are made on the way are for their owner alone. */
async function descendPrivately(base: PinnedFolder, path: string): Promise<PinnedFolder> {
  let folder = await base.descend('', false);
  for (const segment of path === '' ? [] : path.split('/')) {
    const parent = folder;
    try {
      folder = (await parent.childMade(segment, { mode: 0o700, uid: null, gid: null })).folder;
    } finally {
      await parent.close();
    }
  }
  return folder;
}

export function versionsRoot({ versionDir, id }: Pick<Project, 'id' | 'versionDir'>): string {
  return join(versionDir, id);
}

/** A row's file as its copy in versions has it, proven by its hash; for a content that the index cannot give any more. */
export function imageInVersions(versions: VersionStore, row: FileRow): EntryImage | { problem: string } {
  const path = versions.pathOf(row.path);
  if (row.kind === 'folder') return imageWith(row, Buffer.alloc(0), '');
  const bytes = row.kind === 'symlink' ? readlinkSync(path, 'buffer') : readFileSync(path);
  if (row.sha256 === null || sha256(bytes) !== row.sha256)
    return { problem: 'its copy in versions has other bytes than were indexed' };
  return imageWith(row, bytes, row.sha256);
}

/** The SHA-256 of a file's bytes or of a symlink's target, as the index has it; null for anything else. */
export function contentHashAt(absolute: string, presence: Presence): string | null {
  if (presence === 'symlink') return sha256(readlinkSync(absolute, 'buffer'));
  if (presence !== 'file') return null;
  // Not through a symlink that came there meanwhile, and without waiting for a fifo's writer.
  const fd = openSync(absolute, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return sha256(readFileSync(fd));
  } finally {
    closeSync(fd);
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof CodekeepError && error.code === 'TARGET_FILE_EXISTS';
}

/**
 * What is in the way of a new version gets a timestamp, and a folder that has nothing in it goes. With copies in it it stays, and the
 * placing that follows is refused.
 */
async function makeRoom(placer: FilePlacer, path: string, presence: Presence, now: number): Promise<void> {
  if (presence === 'directory') await placer.removeEmpty(path);
  if (presence === 'file' || presence === 'symlink' || presence === 'other')
    await placer.rename(path, stampedPath(path, timeStamp(now)));
}

/** Puts a small file of ours there; under a temporary name until it is whole, so that a kill never leaves half of it. */
async function furnish(folder: PinnedFolder, name: string, text: string): Promise<void> {
  const path = folder.at(name);
  if (presenceAt(path) !== 'absent') return;
  const temporary = folder.at(temporaryName(`own${name}`));
  // What a kill left behind goes first.
  await unlink(temporary).catch(ignoreErrno('ENOENT'));
  try {
    await writeFile(temporary, text, { flag: 'wx', mode: 0o644 });
    await link(temporary, path);
  } catch (error) {
    // Another process is at the same.
    ignoreErrno('EEXIST', 'ENOENT')(error);
  } finally {
    await unlink(temporary).catch(ignoreErrno('ENOENT'));
  }
}
