/**
 * SQLite's file format (https://sqlite.org/fileformat2.html), as far as rows are read from single pages without SQLite.
 * Nothing here trusts what it reads: a number that cannot be right makes its cell or page unreadable, never an exception.
 */

/** All indexes of codekeep have pages of this size, and no bytes reserved at their ends. */
export const pageBytes = 4_096;
/** The first page begins with the database's own header. */
export const databaseHeaderBytes = 100;
const magic = Buffer.from('SQLite format 3\0', 'latin1');

/** What a page is by its first byte; others are overflow and free pages, or damaged. */
export const pageType = {
  indexInterior: 2,
  tableInterior: 5,
  indexLeaf: 10,
  tableLeaf: 13,
} as const;

export interface DatabaseHeader {
  userVersion: number;
  /** See store/index-identity.ts. */
  identity: number;
  /** First page of the list of free ones; 0: none. */
  freeList: number;
  /** There are pages that say where others hang (auto_vacuum). */
  hasPointerMap: boolean;
}

/** Null where it is not one. */
export function databaseHeader(page: Buffer): DatabaseHeader | null {
  if (!page.subarray(0, magic.length).equals(magic)) return null;
  return {
    userVersion: page.readUInt32BE(60),
    identity: page.readUInt32BE(68),
    freeList: page.readUInt32BE(32),
    hasPointerMap: page.readUInt32BE(52) > 0,
  };
}

export function headerStart(page: number): number {
  return page === 1 ? databaseHeaderBytes : 0;
}

/** What SQLite stores in a column. */
export type Value = null | number | bigint | string | Buffer;

/** Where the cells of a page begin, and how many it says it has; null where its header cannot be right. */
export function cellOffsets(
  page: Buffer,
  number: number,
  isInterior: boolean,
): { offsets: number[]; count: number } | null {
  const start = headerStart(number);
  const count = page.readUInt16BE(start + 3);
  const first = start + (isInterior ? 12 : 8);
  if (first + count * 2 > pageBytes) return null;
  const offsets: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const offset = page.readUInt16BE(first + at * 2);
    if (offset >= first + count * 2 && offset <= pageBytes - 4) offsets.push(offset);
  }
  return { offsets, count };
}

/** The pages below an interior one; null where one of them cannot be right. */
export function childPages(page: Buffer, number: number, pageCount: number): number[] | null {
  const start = headerStart(number);
  const cells = cellOffsets(page, number, true);
  if (cells?.offsets.length !== cells?.count || cells === null) return null;
  const children = [
    ...cells.offsets.map((offset) => page.readUInt32BE(offset)),
    page.readUInt32BE(start + 8),
  ];
  return children.every((child) => child > 1 && child <= pageCount) ? children : null;
}

/** A cell with its record, as far as it lies in the page, and the page on which it goes on. */
interface Cell {
  /** Of a table's row; 0 in an index. */
  rowId: number | bigint;
  payloadBytes: number;
  local: Buffer;
  /** 0: it is whole. */
  overflow: number;
}

export function cellAt(page: Buffer, offset: number, type: number, payloadMax: number): Cell | null {
  let at = offset + (type === pageType.indexInterior ? 4 : 0);
  const payload = varint(page, at);
  if (payload === null || payload.value < 1 || payload.value > payloadMax) return null;
  at = payload.end;
  let rowId: number | bigint = 0;
  if (type === pageType.tableLeaf) {
    const id = varint(page, at);
    if (id === null) return null;
    rowId = id.value;
    at = id.end;
  }
  const payloadBytes = Number(payload.value);
  const localBytes = localBytesOf(payloadBytes, type === pageType.tableLeaf);
  const isWhole = localBytes === payloadBytes;
  const end = at + localBytes;
  if (end + (isWhole ? 0 : 4) > pageBytes) return null;
  return {
    rowId,
    payloadBytes,
    local: page.subarray(at, end),
    overflow: isWhole ? 0 : page.readUInt32BE(end),
  };
}

/** How much of a record lies in the page itself ("B-tree Cell Format"). */
function localBytesOf(payload: number, isTable: boolean): number {
  const max = isTable ? pageBytes - 35 : Math.floor(((pageBytes - 12) * 64) / 255) - 23;
  if (payload <= max) return payload;
  const min = Math.floor(((pageBytes - 12) * 32) / 255) - 23;
  const wanted = min + ((payload - min) % (pageBytes - 4));
  return wanted <= max ? wanted : min;
}

/** The columns of a record; null where it is not one. */
export function recordOf(payload: Buffer): Value[] | null {
  const header = varint(payload, 0);
  if (header === null || header.value > payload.length || header.value < header.end) return null;
  const headerEnd = Number(header.value);
  const values: Value[] = [];
  let body = headerEnd;
  for (let at = header.end; at < headerEnd;) {
    const type = varint(payload, at);
    if (type === null || type.end > headerEnd) return null;
    at = type.end;
    const bytes = bytesOf(Number(type.value));
    if (bytes === null || body + bytes > payload.length) return null;
    const value = valueOf(Number(type.value), payload.subarray(body, body + bytes));
    if (value === undefined) return null;
    values.push(value);
    body += bytes;
  }
  return body === payload.length ? values : null;
}

const integerBytes = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

function bytesOf(serialType: number): number | null {
  if (serialType < 10) return integerBytes[serialType] ?? null;
  return serialType < 12 ? null : Math.floor((serialType - 12) / 2);
}

function valueOf(serialType: number, bytes: Buffer): Value | undefined {
  if (serialType >= 12) return serialType % 2 === 0 ? bytes : textOf(bytes);
  switch (serialType) {
    case 0:
      return null;
    case 6:
      return bytes.readBigInt64BE(0);
    case 7:
      return bytes.readDoubleBE(0);
    case 8:
      return 0;
    case 9:
      return 1;
    default:
      return bytes.readIntBE(0, bytes.length);
  }
}

/** Text that is no UTF-8 any more is damaged. */
function textOf(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}

function varint(buffer: Buffer, at: number): { value: number | bigint; end: number } | null {
  let value = 0;
  for (let length = 0; length < 8; length += 1) {
    const byte = buffer[at + length];
    if (byte === undefined) return null;
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return { value, end: at + length + 1 };
    if (value > 2 ** 45) return bigVarint(buffer, at);
  }
  return bigVarint(buffer, at);
}

function bigVarint(buffer: Buffer, at: number): { value: bigint; end: number } | null {
  let value = 0n;
  for (let length = 0; length < 9; length += 1) {
    const byte = buffer[at + length];
    if (byte === undefined) return null;
    if (length === 8) return { value: BigInt.asIntN(64, (value << 8n) | BigInt(byte)), end: at + 9 };
    value = (value << 7n) | BigInt(byte & 0x7f);
    if (byte < 0x80) return { value: BigInt.asIntN(64, value), end: at + length + 1 };
  }
  return null;
}
