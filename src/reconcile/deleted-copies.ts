import { randomUUID } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { hashFile } from '../base/copy-contents.js';
import { reasonOf } from '../base/errors.js';
import { namesIn } from '../base/folder-names.js';
import { relativePathProblem, splitPath, unstampedName } from '../base/paths.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import { type Presence, presenceAt, type TreePresence } from '../base/presence.js';
import { stampOfAny } from '../base/stamp.js';
import { removeIfSame } from '../base/taken-file.js';
import { fileByPath, type FileRow } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import { isFurnished, type Project } from '../store/projects.js';
import { contentHashAt, VersionStore } from './version-store.js';

/** The copies in versions of deleted files that are let go. Of one there may be older ones, with a time in their names. */
export class DeletedCopies {
  readonly #index: IndexDatabase;
  readonly #project: Project;
  readonly #versions: VersionStore;
  /** What `look` has seen; its folders are remembered. */
  #observed: TreePresence | null = null;
  readonly #doubt: string | null;
  #folder: Promise<PinnedFolder> | null = null;

  constructor(index: IndexDatabase, project: Project) {
    this.#index = index;
    this.#project = project;
    this.#versions = new VersionStore(index, project);
    this.#doubt = this.#doubtOfAll();
  }

  get root(): string {
    return this.#versions.root;
  }

  isThere(): boolean {
    return presenceAt(this.root) === 'directory';
  }

  /** Why what is missing in versions says nothing. */
  #doubtOfAll(): string | null {
    const bare = this.#versions.bareReason();
    if (bare !== null) return bare;
    const { versionDir } = this.#project;
    if (this.#versions.isBlocked()) return `${versionDir} is reached through something that is no folder`;
    const isGone = isFurnished(this.#index, versionDir) && presenceAt(versionDir) !== 'directory';
    return isGone ? `${versionDir}, which has the copies, is not there` : null;
  }

  /** proven: it is exactly what the index has; missing: there is none; else why it must not go. */
  async look(row: FileRow, signal?: AbortSignal): Promise<'proven' | 'missing' | { reason: string }> {
    if (this.#doubt !== null) return { reason: this.#doubt };
    if (relativePathProblem(row.path) !== null) return { reason: 'its path is none' };
    this.#observed ??= this.#versions.observe();
    const presence = this.#observed.at(row.path);
    if (presence === 'absent') return 'missing';
    try {
      const isProven = await isCopyOf(row, this.#versions.pathOf(row.path), presence, signal);
      return isProven ? 'proven' : { reason: 'its copy in versions is not what the index has' };
    } catch (error) {
      // Nobody may read it, or it has just gone.
      return { reason: `its copy in versions cannot be read: ${reasonOf(error)}` };
    }
  }

  /**
   * Gives why it stays; null: it is gone.
   * @param isAsked its older copies go, too, and one that is not there is no reason to keep its row
   */
  async remove(row: FileRow, now: number, isAsked: boolean): Promise<string | null> {
    if (this.#doubt !== null) return this.#doubt;
    const isMissing = this.#versions.observe().at(row.path) === 'absent';
    if (isMissing && !isAsked) return 'its copy in versions is gone';
    if (isAsked) for (const name of this.#olderCopies(row.path)) await this.#drop(name, null, now);
    // A folder goes with all that are empty.
    if (isMissing || row.kind === 'folder') return null;
    const hash = row.kind === 'file' ? (row.sha256 ?? row.movedSha256) : null;
    return (await this.#drop(row.path, hash, now)) ? null : 'its copy in versions was changed';
  }

  /** False where it is not what was looked at any more. */
  async #drop(path: string, hash: string | null, now: number): Promise<boolean> {
    const stamp = stampOfAny(lstatSync(join(this.root, path), { bigint: true }));
    this.#folder ??= PinnedFolder.open(this.root);
    const removed = await removeIfSame(await this.#folder, path, { stamp, sha256: hash }, randomUUID(), now);
    return removed === 'removed';
  }

  /** What got a time in its name when another content of the path was put there; no file of that name of its own. */
  #olderCopies(path: string): string[] {
    const { folder, name } = splitPath(path);
    const isCopy = (other: string): boolean =>
      fileByPath(this.#index, this.#project.id, other) === undefined &&
      presenceAt(join(this.root, other)) === 'file';
    return namesIn(join(this.root, folder))
      .filter((other) => unstampedName(other) === name)
      .map((other) => (folder === '' ? other : `${folder}/${other}`))
      .filter(isCopy);
  }

  async close(): Promise<void> {
    await (await this.#folder?.catch(() => null))?.close();
  }
}

async function isCopyOf(
  { kind, sha256, movedSha256 }: FileRow,
  absolute: string,
  presence: Presence,
  signal?: AbortSignal,
): Promise<boolean> {
  if (kind === 'folder') return presence === 'directory';
  if (presence !== kind) return false;
  // One that is too large for the index is not read at once.
  if (sha256 === null) return movedSha256 !== null && (await hashFile(absolute, signal)) === movedSha256;
  return contentHashAt(absolute, presence) === sha256;
}
