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

/** Which kinds entities are of, a bit each by its place in entityKinds. */
export function kindsOf(entities: readonly Pick<LayoutEntity, 'kind'>[]): number {
  return entities.reduce((kinds, { kind }) => kinds | kindBit(kind), 0);
}

/** 0 for what is no kind of entity. */
export function kindBit(kind: string): number {
  const place = entityKinds.findIndex((known) => known === kind);
  return place === -1 ? 0 : 1 << place;
}

/** Numbers that are kept of a chunk. */
const chunkNumbers = 5;

/**
 * A stored layout. Chunks are known at once; an entity is read when it is asked for, since a search looks at hundreds of
 * layouts for a name or two of each.
 */
export class StoredLayout {
  readonly #bytes: Buffer;
  /** By entity: where it begins in the bytes. */
  readonly #starts: Uint32Array;
  /** By entity: its first line. */
  readonly #lines: Uint32Array;
  /** As LayoutChunk has them, with the entity's index + 1. */
  readonly #chunks: Uint32Array;

  /** @throws DerivedDamageError for bytes that encodeLayout did not make */
  constructor(stored: Uint8Array) {
    try {
      // A copy: what inflates keeps 16 KiB for each result, however short that is.
      this.#bytes = Buffer.from(inflateSync(stored, { maxOutputLength: layoutBytesMax }));
      const reader = new ByteReader(this.#bytes);
      this.#starts = new Uint32Array(reader.count(6));
      this.#lines = new Uint32Array(this.#starts.length);
      passEntities(reader, this.#starts, this.#lines);
      this.#chunks = readChunks(reader, this.#starts.length);
      if (reader.remaining > 0) throw new TreeFormatError('it goes on after its end');
    } catch (error) {
      throw new DerivedDamageError('a layout does not decode', { cause: error });
    }
  }

  get chunks(): number {
    return this.#chunks.length / chunkNumbers;
  }

  get entities(): number {
    return this.#starts.length;
  }

  /** Of memory. */
  get bytes(): number {
    return this.#bytes.length + 8 * this.#starts.length + 4 * this.#chunks.length;
  }

  /** Undefined beyond the last one. */
  chunk(index: number): LayoutChunk | undefined {
    if (index >= this.chunks) return undefined;
    const from = index * chunkNumbers;
    const [startLine = 0, endLine = 0, startOffset = 0, endOffset = 0, entity = 0] = this.#chunks.subarray(
      from,
      from + chunkNumbers,
    );
    return { startLine, endLine, startOffset, endOffset, entityIndex: entity === 0 ? null : entity - 1 };
  }

  entity(index: number): LayoutEntity {
    const { kind, parent, name, qualified, lines } = this.#read(index);
    const startLine = this.#lines[index] ?? 0;
    const qualifiedName = qualified === '' ? this.#nameWithOuter(name, parent) : qualified;
    return { kind, name, qualifiedName, startLine, endLine: startLine + lines, parent };
  }

  #read(index: number): ReadEntity {
    const reader = new ByteReader(this.#bytes, this.#starts[index]);
    const kind = entityKinds[reader.byte()] ?? 'variable';
    const outer = reader.varint();
    const name = reader.string();
    const qualified = reader.string();
    reader.varint();
    return { kind, parent: outer === 0 ? null : outer - 1, name, qualified, lines: reader.varint() };
  }

  #nameWithOuter(name: string, parent: number | null): string {
    let qualified = name;
    for (let outer = parent; outer !== null;) {
      const around = this.#read(outer);
      if (around.qualified !== '') return nameIn(around.qualified, qualified);
      qualified = nameIn(around.name, qualified);
      outer = around.parent;
    }
    return qualified;
  }

  /** The entity of a chunk; null where it is of none. */
  entityOf({ entityIndex }: LayoutChunk): LayoutEntity | null {
    return entityIndex === null ? null : this.entity(entityIndex);
  }
}

interface ReadEntity extends Pick<LayoutEntity, 'kind' | 'parent' | 'name'> {
  /** '' where it is the outer entity's and the name. */
  qualified: string;
  /** After the first one. */
  lines: number;
}

/** Notes where each one begins. What is read later is checked here. */
function passEntities(reader: ByteReader, starts: Uint32Array, lines: Uint32Array): void {
  let line = 0;
  for (let index = 0; index < starts.length; index += 1) {
    starts[index] = reader.position;
    if (entityKinds[reader.byte()] === undefined) throw new TreeFormatError('an entity of no kind');
    if (reader.varint() > index) throw new TreeFormatError('an entity in one that comes after it');
    reader.skipBlob();
    reader.skipBlob();
    line += reader.varint();
    lines[index] = line;
    reader.varint();
  }
}

function readChunks(reader: ByteReader, entities: number): Uint32Array {
  const chunks = new Uint32Array(reader.count(chunkNumbers) * chunkNumbers);
  let endLine = 0;
  let endOffset = 0;
  for (let at = 0; at < chunks.length; at += chunkNumbers) {
    const startLine = endLine + reader.varint();
    endLine = startLine + reader.varint();
    const startOffset = endOffset + reader.varint();
    endOffset = startOffset + reader.varint();
    const entity = reader.varint();
    if (entity > entities) throw new TreeFormatError('a chunk of no entity');
    chunks[at] = startLine;
    chunks[at + 1] = endLine;
    chunks[at + 2] = startOffset;
    chunks[at + 3] = endOffset;
    chunks[at + 4] = entity;
  }
  return chunks;
}

function plainName(
  entities: readonly LayoutEntity[],
  { parent, name }: Pick<LayoutEntity, 'parent' | 'name'>,
): string {
  return nameIn(parent === null ? undefined : entities[parent]?.qualifiedName, name);
}

function nameIn(outer: string | undefined, name: string): string {
  return outer === undefined ? name : `${outer}.${name}`;
}
