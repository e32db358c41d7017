import { readdirSync } from 'node:fs';
import { ignoreErrno } from '../base/errors.js';
import { relativePathProblem, unstampedName } from '../base/paths.js';
import { type Presence, presenceAt } from '../base/presence.js';
import { isTemporaryName } from '../base/temporary-names.js';
import type { FileStamp } from '../base/stamp.js';
import { sha256 } from '../base/hash.js';
import { Slicer } from '../base/waiting.js';
import { putContent, unparsedContent } from '../store/contents.js';
import { setMarks, upsertFile } from '../store/file-states.js';
import { fileByPath, type FileRow, setMoved } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';
import { languageOf } from '../syntax/language.js';
import { tooLarge } from './index-file.js';
import { readWhole, type Reading } from './read-entry.js';
import { contentHashAt, VersionStore } from './version-store.js';

interface AdoptContext {
  index: IndexDatabase;
  project: Project;
  /** Bytes of the largest file that is kept with its content. */
  maxFileBytes: number;
  /** The rows are of an earlier time: a copy that came there later is what its file was at last. */
  areRowsOlder?: boolean;
  signal: AbortSignal;
}

/**
 * Takes up copies of deleted files that no row knows any more, as after a loss of the index: each becomes a row that is
 * marked deleted, with its content. What is in the project again is left to a comparison.
 * @returns their paths
 */
export async function adoptVersions({
  index,
  project,
  maxFileBytes,
  areRowsOlder = false,
  signal,
}: AdoptContext): Promise<string[]> {
  const slicer = new Slicer(signal);
  const versions = new VersionStore(index, project);
  if (versions.bareReason() !== null || versions.isBlocked()) return [];
  const adopted: string[] = [];
  for (const path of copiesBelow(versions.root, '')) {
    await slicer.breathe();
    const row = fileByPath(index, project.id, path);
    if (row !== undefined && !areRowsOlder) continue;
    if (presenceAt(`${project.rootDir}/${path}`) !== 'absent') continue;
    const absolute = versions.pathOf(path);
    const reading = readWhole(absolute, maxFileBytes);
    if (reading.kind !== 'content' && reading.kind !== 'too_large') continue;
    if (row !== undefined && !isLater(reading, row)) continue;
    const moved = reading.kind === 'too_large' ? contentHashAt(absolute, presenceAt(absolute)) : null;
    await index.write(() => adopt(index, project, path, reading, moved));
    adopted.push(path);
  }
  return adopted;
}

type Copy = Extract<Reading, { kind: 'content' | 'too_large' }>;

/** It is another state than the row's, and came there after that was written. */
function isLater(copy: Copy, row: FileRow): boolean {
  if (Number(BigInt(copy.stamp.ctimeNs) / 1_000_000n) <= row.updatedAt) return false;
  // What is too large for the index comes back from there only where the row knows that it was moved there.
  if (copy.kind === 'too_large') return row.movedSha256 === null || row.size !== copy.stamp.size;
  return sha256(copy.bytes) !== row.sha256;
}

function adopt(
  index: IndexDatabase,
  project: Project,
  path: string,
  reading: Copy,
  movedSha256: string | null,
): void {
  const bytes = reading.kind === 'content' ? reading.bytes : null;
  const hash = bytes === null ? null : sha256(bytes);
  const { stamp, xattrs } = reading;
  // It is the copy's: no file of the project can have it.
  const unknown: FileStamp = { ...stamp, ino: '0', ctimeNs: '0', nlink: 1 };
  const deletedAt = Math.floor(Number(BigInt(stamp.ctimeNs) / 1_000_000n));
  if (bytes !== null && hash !== null) putContent(index, unparsedContent(bytes, hash), deletedAt);
  const id = upsertFile(
    index,
    project.id,
    {
      ...unknown,
      path,
      kind: reading.kind === 'content' ? reading.entry : 'file',
      deviceId: null,
      tracked: 0,
      xattrs,
      language: languageOf(path),
      sha256: hash,
      skipReason: hash === null ? tooLarge : null,
      extractor: null,
      chunks: 0,
    },
    deletedAt,
  );
  if (movedSha256 !== null) setMoved(index, id, movedSha256);
  setMarks(index, id, { deleted: 1, deletedAt, cause: 'repair', revived: 0, copyProblem: null }, deletedAt);
}

/** Paths below a project's versions, without what is ours; of several copies of a path the newest, which has its name. */
function* copiesBelow(root: string, folder: string): Generator<string> {
  const names = namesIn(folder === '' ? root : `${root}/${folder}`);
  for (const name of names) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const original = unstampedName(name);
    const isOlder = original !== null && names.includes(original);
    if (isOlder || isTemporaryName(name) || relativePathProblem(path) !== null) continue;
    const presence: Presence = presenceAt(`${root}/${path}`);
    if (presence === 'file' || presence === 'symlink') yield path;
    if (presence !== 'directory') continue;
    if (namesIn(`${root}/${path}`).length === 0) yield path;
    else yield* copiesBelow(root, path);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    return ignoreErrno('ENOENT', 'EACCES')(error) ?? [];
  }
}
