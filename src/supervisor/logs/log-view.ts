import { open, type FileHandle } from 'node:fs/promises';
import { Serial } from '../../base/serial.js';
import { Slicer } from '../../base/waiting.js';
import type { LogFile } from './log-files.js';
import { LogPattern } from './log-pattern.js';

/** Read from the end of a file in pieces of this size (bytes). */
const pieceBytes = 64 * 1024;
/** One view reads at most so much (bytes) before it says that older entries were left unread. */
const readBytesMax = 64 * 1024 * 1024;

/** So long (ms) may a view hold the event loop: a third of what health may take. */
const sliceMs = 3;

export interface LogEntry {
  timestamp: string;
  level: 'error' | 'warn' | 'info' | 'debug';
  message: string;
}

export interface LogFilter {
  /** Milliseconds since 1970. */
  from?: number | undefined;
  to?: number | undefined;
  levels?: readonly string[] | undefined;
  pattern?: string | undefined;
  limit: number;
}

export interface LogView {
  /** Oldest first. */
  entries: LogEntry[];
  /** Lines that were read. */
  totalLines: number;
  filteredLines: number;
  truncated: boolean;
}

/** Views run one after the other: several that search much share the time of one, and not the supervisor's. */
const views = new Serial();

/**
 * The newest entries that match, read from the end of the newest file on; never a whole file in memory.
 * @param signal ends the view, also while it waits for its turn
 * @throws CodekeepError LOG_VIEW_ERROR; the signal's reason
 */
export async function viewLogs(
  files: readonly LogFile[],
  filter: LogFilter,
  signal?: AbortSignal,
): Promise<LogView> {
  return await views.run(async () => {
    signal?.throwIfAborted();
    const pattern = filter.pattern === undefined ? null : await LogPattern.compile(filter.pattern);
    return await readView(files, filter, pattern, new Slicer(signal, sliceMs));
  });
}

async function readView(
  files: readonly LogFile[],
  filter: LogFilter,
  pattern: LogPattern | null,
  slicer: Slicer,
): Promise<LogView> {
  const view: LogView = { entries: [], totalLines: 0, filteredLines: 0, truncated: false };
  let readBytes = 0;
  for (const file of files) {
    for await (const lines of linesFromEnd(file.path)) {
      for (const line of lines) {
        readBytes += line.length + 1;
        const entry = parseEntry(line);
        const isDone = entry !== null && take(view, filter, entry, pattern);
        await slicer.breathe();
        if (isDone || readBytes > readBytesMax) {
          view.truncated = true;
          view.entries.reverse();
          return view;
        }
      }
    }
  }
  view.entries.reverse();
  return view;
}

/** Adds a line if it matches; true when nothing older can be wanted. */
function take(view: LogView, filter: LogFilter, entry: LogEntry, pattern: LogPattern | null): boolean {
  view.totalLines += 1;
  const at = Date.parse(entry.timestamp);
  if (filter.from !== undefined && at < filter.from) return true;
  if (filter.to !== undefined && at > filter.to) return false;
  if (filter.levels !== undefined && !filter.levels.includes(entry.level)) return false;
  if (pattern !== null && !pattern.matches(entry.message)) return false;
  if (view.entries.length >= filter.limit) return true;
  view.filteredLines += 1;
  view.entries.push(entry);
  return false;
}

function parseEntry(line: string): LogEntry | null {
  if (line === '') return null;
  try {
    const { timestamp, level, message } = JSON.parse(line) as Partial<LogEntry>;
    if (typeof timestamp !== 'string' || typeof message !== 'string') return null;
    if (level !== 'error' && level !== 'warn' && level !== 'info' && level !== 'debug') return null;
    return { timestamp, level, message };
  } catch {
    return null;
  }
}

/** A file's lines, last first, in batches. */
async function* linesFromEnd(path: string): AsyncGenerator<string[]> {
  const file = await open(path, 'r').catch(() => null);
  // Rotated away since it was listed.
  if (file === null) return;
  try {
    let end = (await file.stat()).size;
    let rest = Buffer.alloc(0);
    while (end > 0) {
      const start = Math.max(0, end - pieceBytes);
      const piece = Buffer.concat([await readRange(file, start, end), rest]);
      const firstBreak = start === 0 ? -1 : piece.indexOf(0x0a);
      rest = start === 0 ? Buffer.alloc(0) : piece.subarray(0, firstBreak < 0 ? piece.length : firstBreak);
      if (start === 0 || firstBreak >= 0)
        yield piece
          .toString('utf8', firstBreak + 1)
          .split('\n')
          .reverse();
      end = start;
    }
  } finally {
    await file.close();
  }
}

async function readRange(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
  return buffer.subarray(0, bytesRead);
}
