/**
 * The stored form of what a content is made of for search: its entities, and where its chunks lie in it.
 *
 * All numbers are varints. Entities in the order of the text: kind (position in `entityKinds`), parent (index + 1, 0: none),
 * name, qualified name (empty where it is the parent's and the name, joined by a dot), first line less that of the entity
 * before, further lines. Chunks in the order of the text: first line less the last line of the chunk before, further lines,
 * first unit less the end of the chunk before, units, entity (index + 1, 0: none). Then zlib, whose checksum sees
 * what SQLite does not: names repeat.
 */
import { deflateSync, inflateSync } from 'node:zlib';
import type { Chunk } from '../../syntax/chunks.js';
import { type Entity, entityKinds } from '../../syntax/entities.js';
import { ByteReader, ByteWriter, TreeFormatError } from '../../syntax/tree-bytes.js';
import { DerivedDamageError } from './damage.js';

export type LayoutEntity = Pick<
  Entity,
  'kind' | 'name' | 'qualifiedName' | 'startLine' | 'endLine' | 'parent'
>;
/** Offsets are UTF-16 units of the content's text. */
export type LayoutChunk = Pick<Chunk, 'startLine' | 'endLine' | 'startOffset' | 'endOffset' | 'entityIndex'>;

export interface Layout {
  readonly entities: readonly LayoutEntity[];
  readonly chunks: readonly LayoutChunk[];
}

/** Bytes of a layout: 20,000 entities with names of 500 units at most, and 2,000 chunks. More is a forged length. */
const layoutBytesMax = 64 * 1024 * 1024;

export function encodeLayout({ entities, chunks }: Layout): Buffer {
  const out = new ByteWriter();
  out.varint(entities.length);
  let line = 0;
  for (const entity of entities) {
    out.byte(entityKinds.indexOf(entity.kind));
    out.varint(entity.parent === null ? 0 : entity.parent + 1);
    out.string(entity.name);
    out.string(entity.qualifiedName === plainName(entities, entity) ? '' : entity.qualifiedName);
    out.varint(entity.startLine - line);
    out.varint(entity.endLine - entity.startLine);
    line = entity.startLine;
  }
  out.varint(chunks.length);
  let last = { endLine: 0, endOffset: 0 };
  for (const chunk of chunks) {
    out.varint(chunk.startLine - last.endLine);
    out.varint(chunk.endLine - chunk.startLine);
    out.varint(chunk.startOffset - last.endOffset);
    out.varint(chunk.endOffset - chunk.startOffset);
    out.varint(chunk.entityIndex === null ? 0 : chunk.entityIndex + 1);
    last = chunk;
  }
  return deflateSync(out.written());
}

/** @throws DerivedDamageError for bytes that encodeLayout did not make */
export function decodeLayout(bytes: Uint8Array): Layout {
  try {
    const reader = new ByteReader(inflateSync(bytes, { maxOutputLength: layoutBytesMax }));
    const layout = { entities: readEntities(reader), chunks: readChunks(reader) };
    if (reader.remaining > 0) throw new TreeFormatError('it goes on after its end');
    return layout;
  } catch (error) {
    throw new DerivedDamageError('a layout does not decode', { cause: error });
  }
}

/** Which kinds entities are of, a bit each by its place in entityKinds. */
export function kindsOf(entities: readonly Pick<LayoutEntity, 'kind'>[]): number {
  return entities.reduce((kinds, { kind }) => kinds | kindBit(kind), 0);
}

/** 0 for what is no kind of entity. */
export function kindBit(kind: string): number {
  const place = entityKinds.findIndex((known) => known === kind);
  return place === -1 ? 0 : 1 << place;
}

/** Qualified name of a chunk's entity; null where it is of none. */
export function nameOf({ entities }: Layout, { entityIndex }: LayoutChunk): string | null {
  return entityIndex === null ? null : (entities[entityIndex]?.qualifiedName ?? null);
}

function readEntities(reader: ByteReader): LayoutEntity[] {
  const entities: LayoutEntity[] = [];
  let line = 0;
  for (let left = reader.count(6); left > 0; left -= 1) {
    const kind = entityKinds[reader.byte()];
    if (kind === undefined) throw new TreeFormatError('an entity of no kind');
    const parent = before(reader.varint(), entities.length);
    const name = reader.string();
    const qualified = reader.string();
    line += reader.varint();
    const endLine = line + reader.varint();
    const entity = { kind, name, qualifiedName: qualified, startLine: line, endLine, parent };
    entities.push(qualified === '' ? { ...entity, qualifiedName: plainName(entities, entity) } : entity);
  }
  return entities;
}

function readChunks(reader: ByteReader): LayoutChunk[] {
  const chunks: LayoutChunk[] = [];
  let last = { endLine: 0, endOffset: 0 };
  for (let left = reader.count(5); left > 0; left -= 1) {
    const startLine = last.endLine + reader.varint();
    const endLine = startLine + reader.varint();
    const startOffset = last.endOffset + reader.varint();
    const endOffset = startOffset + reader.varint();
    const entityIndex = before(reader.varint(), Number.MAX_SAFE_INTEGER);
    last = { endLine, endOffset };
    chunks.push({ startLine, endLine, startOffset, endOffset, entityIndex });
  }
  return chunks;
}

function before(number: number, end: number): number | null {
  if (number > end) throw new TreeFormatError('an entity in one that comes after it');
  return number === 0 ? null : number - 1;
}

function plainName(
  entities: readonly LayoutEntity[],
  { parent, name }: Pick<LayoutEntity, 'parent' | 'name'>,
): string {
  const outer = parent === null ? undefined : entities[parent];
  return outer === undefined ? name : `${outer.qualifiedName}.${name}`;
}
