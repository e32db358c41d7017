import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { isEmptyFolder } from '../base/empty-folder.js';
import { errnoOf, reasonOf } from '../base/errors.js';
import { sha256 } from '../base/hash.js';
import { wordsOf } from '../base/search-words.js';
import { type FileStamp, isSameStamp, stampFrom, stampOfAny } from '../base/stamp.js';
import type { Slicer } from '../base/waiting.js';
import { readXattrs } from '../base/xattrs.js';
import {
  extractorOfContent,
  healContent,
  putContent,
  renderContent,
  type StoredContent,
} from '../store/contents.js';
import { type Derived, replaceDerived } from '../store/derived.js';
import {
  type FileKind,
  type FileRow,
  type FileUpsert,
  forgetEmptyFolders,
  upsertFile,
} from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import { chunksOf } from '../syntax/chunks.js';
import { entitiesOf } from '../syntax/entities.js';
import { extractorOf } from '../syntax/extractor.js';
import { type GreenTree, oneTokenTree, render } from '../syntax/green-tree.js';
import { type Language, languageOf } from '../syntax/language.js';
import type { Parser } from '../syntax/parser.js';
import { decodeSource } from '../syntax/source.js';
import { encodeTree } from '../syntax/tree-codec.js';
import type { InHand } from './in-hand.js';

/** An entry on disk as it was read in one go. */
export type Reading =
  | { kind: 'content'; entry: FileKind; stamp: FileStamp; bytes: Buffer; xattrs: string | null }
  | { kind: 'too_large'; stamp: FileStamp; xattrs: string | null }
  /** Not there, neither file nor symlink nor empty folder, or it changed while it was read: look again later. */
  | { kind: 'unsettled' }
  | { kind: 'unreadable'; reason: string };

const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Reads an entry whole: a file's bytes, a symlink's target. The stamp is the one its bytes were read under. */
export function readWhole(absolutePath: string, maxFileBytes: number): Reading {
  let fd: number;
  try {
    fd = openSync(absolutePath, readFlags);
  } catch (error) {
    const errno = errnoOf(error) ?? 'error';
    if (errno === 'ELOOP') return readLink(absolutePath);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return { kind: 'unsettled' };
    return { kind: 'unreadable', reason: `cannot be read: ${reasonOf(error)}` };
  }
  try {
    const stats = fstatSync(fd, { bigint: true });
    if (stats.isDirectory()) return readFolder(absolutePath, stampOfAny(stats));
    const before = stampFrom(stats);
    if (before === null) return { kind: 'unsettled' };
    const xattrs = xattrsOf(fd);
    if (before.size > maxFileBytes) return { kind: 'too_large', stamp: before, xattrs };
    const bytes = readDescriptor(fd, before.size);
    const after = stampFrom(fstatSync(fd, { bigint: true }));
    if (after === null || bytes.length !== before.size || !isSameStamp(before, after))
      return { kind: 'unsettled' };
    return { kind: 'content', entry: 'file', stamp: before, bytes, xattrs };
  } catch (error) {
    return { kind: 'unreadable', reason: `cannot be read: ${reasonOf(error)}` };
  } finally {
    closeSync(fd);
  }
}

function readLink(absolutePath: string): Reading {
  try {
    const before = stampOfAny(lstatSync(absolutePath, { bigint: true }));
    const bytes = readlinkSync(absolutePath, 'buffer');
    const after = stampOfAny(lstatSync(absolutePath, { bigint: true }));
    if (!isSameStamp(before, after)) return { kind: 'unsettled' };
    return { kind: 'content', entry: 'symlink', stamp: before, bytes, xattrs: null };
  } catch {
    return { kind: 'unsettled' };
  }
}

function xattrsOf(fd: number): string | null {
  return xattrsAt(`/proc/self/fd/${fd}`);
}

/** As the index has them. */
export function xattrsAt(path: string): string | null {
  const xattrs = readXattrs(path);
  return xattrs === null ? null : JSON.stringify(xattrs);
}

/** A folder is an entry of its own only while nothing is in it. */
function readFolder(absolutePath: string, stamp: FileStamp): Reading {
  if (!isEmptyFolder(absolutePath)) return { kind: 'unsettled' };
  return { kind: 'content', entry: 'folder', stamp, bytes: Buffer.alloc(0), xattrs: null };
}

/** Reads up to one byte more than expected, so that a file that grows is noticed. */
function readDescriptor(fd: number, expected: number): Buffer {
  const buffer = Buffer.allocUnsafe(expected + 1);
  let length = 0;
  while (length < buffer.length) {
    const read = readSync(fd, buffer, length, buffer.length - length, null);
    if (read === 0) break;
    length += read;
  }
  return buffer.subarray(0, length);
}

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
  derived: Derived | null;
}

/**
 * Parses, encodes and proves what was read. What this gives renders to the bytes that were read. For a file of
 * 2 MiB each step takes some 50 to 150 ms, so there is a pause between any two.
 */
export async function prepareFile(
  index: IndexDatabase,
  parser: Parser,
  entry: EntryContext,
  reading: Extract<Reading, { kind: 'content' | 'too_large' }>,
  slicer: Slicer,
  inHand?: InHand,
): Promise<PreparedFile> {
  const { xattrs } = reading;
  if (reading.kind === 'too_large') {
    const language = languageOf(entry.path);
    const nothing = { kind: 'file', sha256: null, skipReason: tooLarge, extractor: null } as const;
    const file = { ...reading.stamp, ...entry, ...nothing, xattrs, language };
    return { file, content: null, heals: false, derived: null };
  }
  const hash = sha256(reading.bytes);
  const isFile = reading.entry === 'file';
  const language = isFile ? languageOf(entry.path, firstLineOf(reading.bytes)) : null;
  const extractor = isFile ? extractorOf(language) : null;
  const madeBy = extractorOfContent(index, hash);
  const stored = madeBy === undefined ? null : renderContent(index, hash);
  const isUsable =
    stored !== null && 'tree' in stored && stored.tree.language === language && madeBy === extractor;
  const parse = async (): Promise<GreenTree> =>
    await parseProven(parser, reading.bytes, hash, language, slicer);
  const tree = isUsable ? stored.tree : await parseGuarded(inHand, reading.bytes, hash, parse);
  // A tree of another language's serves the other path that has the same bytes; one that nobody has parsed serves none.
  const isTaken = stored !== null && 'tree' in stored && stored.tree.language !== language && madeBy !== null;
  return {
    file: {
      ...reading.stamp,
      ...entry,
      kind: reading.entry,
      xattrs,
      language,
      sha256: hash,
      skipReason: null,
      extractor,
    },
    content:
      isUsable || isTaken
        ? null
        : { sha256: hash, size: reading.bytes.length, tree: encodeTree(tree), extractor },
    heals: stored !== null,
    derived: isFile ? await derive(tree, slicer) : null,
  };
}

export const tooLarge = 'larger than max_file_bytes';

/** A content that has killed those who parsed it is kept as one token; any other is in hand while it is parsed. */
async function parseGuarded(
  inHand: InHand | undefined,
  bytes: Buffer,
  hash: string,
  parse: () => Promise<GreenTree>,
): Promise<GreenTree> {
  if (inHand === undefined) return await parse();
  if (inHand.isDeadly(hash)) return oneTokenTree(decodeSource(bytes), 'deadly');
  return await inHand.hold(hash, parse);
}

async function parseProven(
  parser: Parser,
  bytes: Buffer,
  hash: string,
  language: Language | null,
  slicer: Slicer,
): Promise<GreenTree> {
  const source = decodeSource(bytes);
  const tree = await parser.parse(source, language, slicer);
  await slicer.breathe();
  if (sha256(render(tree)) === hash) return tree;
  // A tree that does not render to its file must never be stored; one token always does.
  return await parser.parse(source, null, slicer);
}

async function derive(tree: GreenTree, slicer: Slicer): Promise<Derived> {
  await slicer.breathe();
  const entities = entitiesOf(tree);
  await slicer.breathe();
  const chunks = chunksOf(tree, entities);
  const chunkWords: string[] = [];
  for (const { text } of chunks) {
    await slicer.breathe();
    chunkWords.push(wordsOf(text).join(' '));
  }
  return { entities, chunks, chunkWords };
}

function firstLineOf(bytes: Buffer): string {
  const head = bytes.subarray(0, 200).toString('latin1');
  return head.slice(0, head.search(/[\r\n]|$/));
}

/** Writes one prepared entry; call it inside a transaction. Gives false when it changed meanwhile. */
export function commitFile(
  index: IndexDatabase,
  project: { id: string; rootDir: string },
  prepared: PreparedFile,
  now: number,
): boolean {
  const { file, content, heals, derived } = prepared;
  const absolute = `${project.rootDir}/${file.path}`;
  const stats = lstatSync(absolute, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined || !isSameStamp(stampOfAny(stats), file)) return false;
  if (file.kind === 'folder' && !isEmptyFolder(absolute)) return false;
  if (content !== null) (heals ? healContent : putContent)(index, content, now);
  const id = upsertFile(index, project.id, file, now);
  forgetEmptyFolders(index, project.id, file.path);
  replaceDerived(index, id, file.path, derived);
  return true;
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

/** A path has one row: what a file was is worth more than that there is an empty folder in its place. */
export function isHidden(kind: FileKind, row: Pick<FileRow, 'kind'> | undefined): boolean {
  return kind === 'folder' && row !== undefined && row.kind !== 'folder';
}
