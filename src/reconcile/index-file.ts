import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { errnoOf } from '../base/errors.js';
import { sha256 } from '../base/hash.js';
import type { Slicer } from '../base/waiting.js';
import { wordsOf } from '../base/search-words.js';
import { hasContent, healContent, putContent, renderContent, type StoredContent } from '../store/contents.js';
import { type Derived, replaceDerived } from '../store/derived.js';
import { type FileRow, type FileUpsert, upsertFile } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import { chunksOf } from '../syntax/chunks.js';
import { entitiesOf } from '../syntax/entities.js';
import { type GreenTree, oneTokenTree, render } from '../syntax/green-tree.js';
import { languageOf } from '../syntax/language.js';
import type { Parser } from '../syntax/parser.js';
import { decodeSource } from '../syntax/source.js';
import { encodeTree } from '../syntax/tree-codec.js';
import { type FileStamp, isSameStamp, stampFrom, stampOf } from '../base/stamp.js';
import type { InHand } from './in-hand.js';

/** A file on disk as it was read in one go. */
export type Reading =
  | { kind: 'content'; stamp: FileStamp; bytes: Buffer }
  | { kind: 'too_large'; stamp: FileStamp }
  /** Not there, not a regular file, or it changed while it was read: look again later. */
  | { kind: 'unsettled' }
  | { kind: 'unreadable'; reason: string };

const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Reads a regular file whole; the stamp is the one its bytes were read under. */
export function readWhole(absolutePath: string, maxFileBytes: number): Reading {
  let fd: number;
  try {
    fd = openSync(absolutePath, readFlags);
  } catch (error) {
    const errno = errnoOf(error) ?? 'error';
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return { kind: 'unsettled' };
    return { kind: 'unreadable', reason: `cannot be read (${errno})` };
  }
  try {
    const before = stampFrom(fstatSync(fd, { bigint: true }));
    if (before === null) return { kind: 'unsettled' };
    if (before.size > maxFileBytes) return { kind: 'too_large', stamp: before };
    const bytes = readDescriptor(fd, before.size);
    const after = stampFrom(fstatSync(fd, { bigint: true }));
    if (after === null || bytes.length !== before.size || !isSameStamp(before, after))
      return { kind: 'unsettled' };
    return { kind: 'content', stamp: before, bytes };
  } catch (error) {
    return { kind: 'unreadable', reason: `cannot be read (${errnoOf(error) ?? 'error'})` };
  } finally {
    closeSync(fd);
  }
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

/** A file made ready to be written to the index in one short transaction. */
export interface PreparedFile {
  file: FileUpsert;
  content: StoredContent | null;
  /** Set where the stored tree was found damaged and the file on disk still has the bytes. */
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
  path: string,
  reading: Extract<Reading, { kind: 'content' | 'too_large' }>,
  slicer: Slicer,
  inHand?: InHand,
): Promise<PreparedFile> {
  if (reading.kind === 'too_large') {
    const file: FileUpsert = {
      path,
      kind: 'file',
      deviceId: null,
      tracked: 0,
      xattrs: null,
      extractor: null,
      ...reading.stamp,
      language: languageOf(path),
      sha256: null,
      skipReason: 'larger than max_file_bytes',
    };
    return { file, content: null, heals: false, derived: null };
  }
  const hash = sha256(reading.bytes);
  const isStored = hasContent(index, hash);
  const stored = isStored ? renderContent(index, hash) : null;
  const language = languageOf(path, firstLineOf(reading.bytes));
  if (stored !== null && 'tree' in stored && stored.tree.language === language) {
    return {
      file: upsertOf(path, reading.stamp, hash, stored.tree),
      content: null,
      heals: false,
      derived: await derive(stored.tree, slicer),
    };
  }
  const parse = async (): Promise<GreenTree> =>
    await parseProven(parser, reading.bytes, hash, language, slicer);
  const tree = await (inHand === undefined ? parse() : parseGuarded(inHand, reading.bytes, hash, parse));
  const derived = await derive(tree, slicer);
  return {
    file: { ...upsertOf(path, reading.stamp, hash, tree), language },
    content:
      isStored && stored !== null && 'tree' in stored
        ? null
        : { sha256: hash, size: reading.bytes.length, tree: encodeTree(tree) },
    heals: isStored,
    derived,
  };
}

/** A content that has killed those who parsed it is kept as one token; any other is in hand while it is parsed. */
async function parseGuarded(
  inHand: InHand,
  bytes: Buffer,
  hash: string,
  parse: () => Promise<GreenTree>,
): Promise<GreenTree> {
  if (inHand.isDeadly(hash)) return oneTokenTree(decodeSource(bytes), 'deadly');
  return await inHand.hold(hash, parse);
}

async function parseProven(
  parser: Parser,
  bytes: Buffer,
  hash: string,
  language: ReturnType<typeof languageOf>,
  slicer: Slicer,
): Promise<GreenTree> {
  const source = decodeSource(bytes);
  const tree = await parser.parse(source, language, slicer);
  await slicer.breathe();
  if (sha256(render(tree)) === hash) return tree;
  // A tree that does not render to its file must never be stored; one token always does.
  return await parser.parse(source, null, slicer);
}

function upsertOf(path: string, stamp: FileStamp, hash: string, tree: GreenTree): FileUpsert {
  return {
    path,
    kind: 'file',
    deviceId: null,
    tracked: 0,
    xattrs: null,
    extractor: null,
    ...stamp,
    language: tree.language,
    sha256: hash,
    skipReason: null,
  };
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

/** Writes one prepared file; call it inside a transaction. Gives false when the file changed meanwhile. */
export function commitFile(
  index: IndexDatabase,
  project: { id: string; rootDir: string },
  prepared: PreparedFile,
  now: number,
): boolean {
  const current = stampOf(`${project.rootDir}/${prepared.file.path}`);
  if (current === null || !isSameStamp(current, prepared.file)) return false;
  if (prepared.content !== null) (prepared.heals ? healContent : putContent)(index, prepared.content, now);
  const id = upsertFile(index, project.id, prepared.file, now);
  replaceDerived(index, id, prepared.file.path, prepared.derived);
  return true;
}

/** True where a row says the same bytes as were read, so that only its stamp has to follow. */
export function isSameContent(row: FileRow | undefined, reading: Reading): boolean {
  return (
    row !== undefined &&
    row.deleted === 0 &&
    reading.kind === 'content' &&
    row.size === reading.stamp.size &&
    row.sha256 === sha256(reading.bytes)
  );
}
