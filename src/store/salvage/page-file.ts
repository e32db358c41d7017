import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { errnoOf, ignoreErrno } from '../../base/errors.js';
import { pageBytes, recordOf, type Value, cellAt, cellOffsets, pageType } from './format.js';
import { loggedPages } from './log-frames.js';

/** Pages read at once: most are asked for in their order. */
const blockPages = 64;

/** SQLite's own limit (bytes) for a record. */
const payloadMax = 1_000_000_000;

/** A row or index entry as it was read from a page. */
export interface StoredRecord {
  rowId: number | bigint;
  values: Value[];
}

/**
 * The pages of an index, as its log has them where it does. No process may have the index open: closing the file here
 * would drop the locks of SQLite in the same process, and what others write would be read half.
 */
export class PageFile {
  /** Null where somebody has removed it; its log may still be there. */
  readonly #fd: number | null;
  readonly #log: { fd: number; offsets: Map<number, number> } | null;
  /** Of the file, without its log. */
  readonly #bytes: number;
  readonly pageCount: number;
  /** Frames of the log that are damaged, and pages that the disk does not give. */
  damaged = 0;
  #block: { first: number; pages: Buffer } | null = null;

  /** @param withLog false: as the file alone has them */
  constructor(path: string, withLog: boolean) {
    this.#fd = openOrNull(path);
    const logged = withLog ? loggedPages(`${path}-wal`) : null;
    this.damaged = logged?.damaged ?? 0;
    const hasLog = logged !== null && logged.offsets.size > 0;
    this.#log = hasLog ? { fd: openSync(`${path}-wal`, 'r'), offsets: logged.offsets } : null;
    this.#bytes = this.#fd === null ? 0 : fstatSync(this.#fd).size;
    this.pageCount = Math.max(Math.ceil(this.#bytes / pageBytes), logged?.pageCount ?? 0);
  }

  get hasLog(): boolean {
    return this.#log !== null;
  }

  /** Null where there is none of this number, or the disk does not give it. */
  page(number: number): Buffer | null {
    if (number < 1 || number > this.pageCount) return null;
    const logged = this.#log?.offsets.get(number);
    if (this.#log !== null && logged !== undefined) return this.#read(this.#log.fd, logged, pageBytes);
    const at = number - 1;
    const first = at - (at % blockPages);
    if (this.#block?.first !== first) {
      const pages = this.#read(this.#fd, first * pageBytes, blockPages * pageBytes);
      if (pages === null) return this.#read(this.#fd, at * pageBytes, pageBytes);
      this.#block = { first, pages };
    }
    return this.#block.pages.subarray((at - first) * pageBytes, (at - first + 1) * pageBytes);
  }

  /** A disk that fails once is asked once more. What lies behind the end of the file is zero. */
  #read(fd: number | null, offset: number, bytes: number): Buffer | null {
    const buffer = Buffer.alloc(bytes);
    if (fd === null) return buffer;
    for (let tries = 0; tries < 2; tries += 1) {
      try {
        readSync(fd, buffer, 0, bytes, offset);
        return buffer;
      } catch (error) {
        if (errnoOf(error) !== 'EIO') throw error;
      }
    }
    if (bytes === pageBytes) this.damaged += 1;
    return null;
  }

  /**
   * The rows of a page that can be read, taken for one of `type` whatever its own first byte says.
   * @returns unreadable: how many others there are; 1 where not even that can be told
   */
  records(number: number, type: number): { records: StoredRecord[]; unreadable: number } {
    const page = this.page(number);
    const isInterior = type === pageType.indexInterior || type === pageType.tableInterior;
    const cells = page === null ? null : cellOffsets(page, number, isInterior);
    if (page === null || cells === null) return { records: [], unreadable: 1 };
    const records: StoredRecord[] = [];
    const endsAt = this.#bytesOf(number);
    for (const offset of cells.offsets) {
      const record = this.#recordAt(page, offset, type, endsAt);
      if (record !== null) records.push(record);
    }
    return { records, unreadable: cells.count - records.length };
  }

  /** How much of a page there is: the file may have been cut off in the middle of it. */
  #bytesOf(number: number): number {
    if (this.#log?.offsets.has(number) === true) return pageBytes;
    return Math.min(this.#bytes - (number - 1) * pageBytes, pageBytes);
  }

  #recordAt(page: Buffer, offset: number, type: number, endsAt: number): StoredRecord | null {
    const cell = cellAt(page, offset, type, payloadMax);
    if (cell === null || cell.local.byteOffset - page.byteOffset + cell.local.length > endsAt) return null;
    const payload =
      cell.overflow === 0 ? cell.local : this.#followed(cell.local, cell.overflow, cell.payloadBytes);
    const values = payload === null ? null : recordOf(payload);
    return values === null ? null : { rowId: cell.rowId, values };
  }

  /** A record that goes on over other pages, each of which names the next. */
  #followed(local: Buffer, overflow: number, payloadBytes: number): Buffer | null {
    const parts = [local];
    let missing = payloadBytes - local.length;
    for (let next = overflow; missing > 0;) {
      const page = this.page(next);
      if (page === null) return null;
      const part = page.subarray(4, 4 + Math.min(missing, pageBytes - 4));
      parts.push(part);
      missing -= part.length;
      next = page.readUInt32BE(0);
    }
    return Buffer.concat(parts, payloadBytes);
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    if (this.#log !== null) closeSync(this.#log.fd);
  }
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch (error) {
    return ignoreErrno('ENOENT')(error) ?? null;
  }
}
