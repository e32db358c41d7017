import { lstatSync } from 'node:fs';
import { isEmptyFolder } from '../base/empty-folder.js';
import { sha256 } from '../base/hash.js';
import { TreePresence } from '../base/presence.js';
import { isSameStamp, stampOfAny } from '../base/stamp.js';
import {
  extractorOfContent,
  hasWhole,
  healContent,
  problemOfContent,
  putContent,
  type StoredContent,
  treeOf,
} from '../store/contents.js';
import type { DerivedDatabase } from '../store/derived/derived-database.js';
import { documentOf, type NewDocument } from '../store/derived/documents.js';
import { type FileUpsert, pathsOfSameFile, upsertFile } from '../store/file-states.js';
import { type FileKind, type FileRow } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { Project } from '../store/projects.js';
import { extractorOf } from '../syntax/extractor.js';
import { type Language, languageOf } from '../syntax/language.js';
import { bufferOf, type Extraction, type ExtractionJob } from './extract.js';
import type { IndexingContext } from './index-paths.js';
import type { Reading } from './read-entry.js';

/** What is known of an entry beside what was read. */
export interface EntryContext {
  path: string;
  /** The device number's file system, see devices.ts. */
  deviceId: number | null;
  tracked: 0 | 1;
}

/** An entry made ready to be written to the index in one short transaction. */
export interface PreparedFile {
  file: FileUpsert;
  content: StoredContent | null;
  /** Set where the stored tree is to be replaced. */
  heals: boolean;
  /** Set where the content is to be made searchable. */
  document: NewDocument | null;
  /** See Extraction. */
  notLoaded: string | null;
}

/** In place of the extractor of a document that no row relies on, see Extraction.notLoaded. */
const notParsedYet = 'not parsed yet';

/** Why there is nothing to be made of what was read: its row says it all. */
export const tooLarge = 'larger than max_file_bytes';

type Kept = Extract<Reading, { kind: 'content' | 'too_large' }>;

/** An entry that was read, and what has to be made of it before it can be written. */
export interface PlannedFile {
  file: FileUpsert;
  /** Null where its content is stored and searchable already. */
  job: ExtractionJob | null;
  /** Set where the stored tree is to be replaced. */
  heals: boolean;
}

/** Finds out what has to be made of what was read. */
export function planFile(
  { index, inHand }: Pick<IndexingContext, 'index' | 'inHand'>,
  derived: DerivedDatabase | null,
  entry: EntryContext,
  reading: Kept,
): PlannedFile {
  const { xattrs } = reading;
  if (reading.kind === 'too_large') {
    const language = languageOf(entry.path);
    const nothing = { kind: 'file', sha256: null, skipReason: tooLarge, extractor: null, chunks: 0 } as const;
    return { file: { ...reading.stamp, ...entry, ...nothing, xattrs, language }, job: null, heals: false };
  }
  const hash = sha256(reading.bytes);
  const isFile = reading.entry === 'file';
  const language = isFile ? languageOf(entry.path, firstLineOf(reading.bytes)) : null;
  const extractor = isFile ? extractorOf(language) : null;
  const known = derived?.read(() => documentOf(derived, hash, language));
  // Without a database to rely on, only the content counts.
  const isSearchable = !isFile || derived === null || known?.extractor === extractor;
  const storedBy = extractorOfContent(index, hash);
  // What is stored as a difference is to be stored whole again, now that a file has it.
  const isStored = hasWhole(index, hash) && problemOfContent(index, hash) === null;
  const file: FileUpsert = {
    ...reading.stamp,
    ...entry,
    kind: reading.entry,
    xattrs,
    language,
    sha256: hash,
    skipReason: null,
    extractor: derived === null ? null : extractor,
    chunks: known?.chunks ?? 0,
  };
  if (isStored && isSearchable && (storedBy === extractor || !isFile))
    return { file, job: null, heals: false };
  const job: ExtractionJob = {
    bytes: reading.bytes,
    sha256: hash,
    language,
    stored: isStored ? treeOf(index, hash) : null,
    storedBy: storedBy ?? null,
    extractor,
    isDeadly: inHand?.isDeadly(hash) === true,
  };
  return { file, job, heals: storedBy !== undefined };
}

/** What this gives renders to the bytes that were read. */
export function preparedWith(
  { file, heals }: Omit<PlannedFile, 'job'>,
  job: ExtractionJob,
  { tree, document, notLoaded }: Extraction,
): PreparedFile {
  const { sha256: hash, language, extractor } = job;
  const size = job.bytes.length;
  return {
    file: { ...file, chunks: file.extractor === null ? 0 : (document?.chunks ?? 0) },
    content:
      tree === null
        ? null
        : { sha256: hash, size, tree: bufferOf(tree), extractor: notLoaded === null ? extractor : null },
    heals,
    document:
      document === null || extractor === null
        ? null
        : { ...document, sha256: hash, language, extractor: notLoaded === null ? extractor : notParsedYet },
    notLoaded,
  };
}

function firstLineOf(bytes: Buffer): string {
  const head = bytes.subarray(0, 200).toString('latin1');
  return head.slice(0, head.search(/[\r\n]|$/));
}

/**
 * Writes one prepared entry; call it inside a transaction. Gives false when it changed meanwhile.
 * @param project recordedAt is null as long as what is found was there before anybody looked
 */
export function commitFile(
  index: IndexDatabase,
  project: Pick<Project, 'id' | 'rootDir' | 'recordedAt'>,
  prepared: PreparedFile,
  now: number,
): boolean {
  const { file, content, heals, notLoaded } = prepared;
  const absolute = `${project.rootDir}/${file.path}`;
  const stats = lstatSync(absolute, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined || !isSameStamp(stampOfAny(stats), file)) return false;
  if (file.kind === 'folder' && !isEmptyFolder(absolute)) return false;
  if (content !== null) (heals ? healContent : putContent)(index, content, now);
  // It was there when the file was read, and nothing else had it.
  else if (file.sha256 !== null && !hasWhole(index, file.sha256)) return false;
  upsertFile(index, project.id, notLoaded === null ? file : { ...file, extractor: null }, now, (isNew) => {
    if (project.recordedAt === null) return { by: 'found', fromPath: null };
    const fromPath = isNew ? renamedFrom(index, project, file, now) : null;
    return { by: fromPath === null ? 'edit' : 'rename', fromPath };
  });
  return true;
}

/** Null where it is no file that had another name until now, which is the same file with the same content. */
function renamedFrom(
  index: IndexDatabase,
  { id, rootDir }: Pick<Project, 'id' | 'rootDir'>,
  file: FileUpsert,
  now: number,
): string | null {
  const tree = new TreePresence(rootDir);
  const isGone = (path: string): boolean => ['absent', 'blocked'].includes(tree.at(path));
  return pathsOfSameFile(index, id, file, now).find(isGone) ?? null;
}

/** True where a row says the same bytes as were read, so that only its stamp has to follow. */
export function isSameContent(row: FileRow | undefined, reading: Reading): boolean {
  return (
    row !== undefined &&
    row.deleted === 0 &&
    row.ignored === 0 &&
    reading.kind === 'content' &&
    row.kind === reading.entry &&
    row.size === reading.stamp.size &&
    (row.kind !== 'file' || row.extractor === extractorOf(row.language as Language | null)) &&
    row.sha256 === sha256(reading.bytes)
  );
}

/** Whether there is an empty folder where the index has something else, which is to be marked deleted first. */
export function isReplaced(kind: FileKind, row: Pick<FileRow, 'kind' | 'deleted'> | undefined): boolean {
  return kind === 'folder' && row?.deleted === 0 && row.kind !== 'folder';
}
