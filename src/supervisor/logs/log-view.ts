import { open, type FileHandle } from 'node:fs/promises';
import { createContext, Script } from 'node:vm';
import { CodekeepError, messageOf } from '../../base/errors.js';
import { Slicer } from '../../base/waiting.js';
import type { LogFile } from './log-files.js';

/** Read from the end of a file in pieces of this size (bytes). */
const pieceBytes = 64 * 1024;
/** One view reads at most so much (bytes) before it says that older entries were left unread. */
const readBytesMax = 64 * 1024 * 1024;

/** A piece of a log is matched within a millisecond; one that takes so much longer (ms) never ends. */
const matchMaxMs = 100;

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
  pattern?: RegExp | undefined;
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

/** @throws CodekeepError LOG_VIEW_ERROR for a pattern that is no regular expression */
export function compilePattern(pattern: string | undefined): RegExp | undefined {
  if (pattern === undefined) return undefined;
  try {
    return new RegExp(pattern, 'u');
  } catch (error) {
    throw new CodekeepError(
      'LOG_VIEW_ERROR',
      `search_pattern is no regular expression: ${messageOf(error)}.`,
      'Mend the pattern, or escape its special characters.',
    );
  }
}

const testAll = new Script('messages.map((message) => pattern.test(message))');

/**
 * Which entries a pattern matches; empty without a pattern. Some patterns take for ever on some texts, and the
 * supervisor has others to answer: V8 can be interrupted while it matches, but only from inside a script of its own.
 */
function matching(pattern: RegExp | undefined, entries: readonly (LogEntry | null)[]): boolean[] {
  if (pattern === undefined) return [];
  const messages = entries.map((entry) => entry?.message ?? '');
  try {
    return testAll.runInContext(createContext({ messages, pattern }), { timeout: matchMaxMs }) as boolean[];
  } catch {
    throw new CodekeepError(
      'LOG_VIEW_ERROR',
      'search_pattern takes too long to match.',
      'Leave out repetitions of repetitions such as (a+)+, or search for a plain word.',
    );
  }
}

/** The newest entries that match, read from the end of the newest file on; never a whole file in memory. */
export async function viewLogs(files: readonly LogFile[], filter: LogFilter): Promise<LogView> {
  const view: LogView = { entries: [], totalLines: 0, filteredLines: 0, truncated: false };
  const slicer = new Slicer();
  let readBytes = 0;
  for (const file of files) {
    for await (const lines of linesFromEnd(file.path)) {
      const entries = lines.map(parseEntry);
      const matches = matching(filter.pattern, entries);
      for (const [position, line] of lines.entries()) {
        readBytes += line.length + 1;
        const entry = entries[position] ?? null;
        const isDone = entry !== null && take(view, filter, entry, matches[position] ?? true);
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
function take(view: LogView, filter: LogFilter, entry: LogEntry, matches: boolean): boolean {
  view.totalLines += 1;
  const at = Date.parse(entry.timestamp);
  if (filter.from !== undefined && at < filter.from) return true;
  if (filter.to !== undefined && at > filter.to) return false;
  if (filter.levels !== undefined && !filter.levels.includes(entry.level)) return false;
  if (!matches) return false;
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
