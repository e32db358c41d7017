import { Slicer } from '../base/waiting.js';
import { extractorOf } from '../syntax/extractor.js';
import { languages } from '../syntax/language.js';
import type { FileKind } from './files.js';
import type { IndexDatabase } from './index-database.js';

/** The part of a row that it takes to say whether a file is as it was indexed. */
export interface ComparedRow {
  id: number;
  path: string;
  kind: FileKind;
  deleted: 0 | 1;
  ignored: 0 | 1;
  tracked: 0 | 1;
  deviceId: number | null;
  /** As printOf (base/stamp.ts) gives it. */
  print: string;
  /** It changed so shortly before it was indexed that it may have changed once more within the same time stamp. */
  isDoubtful: 0 | 1;
  /** By now something else would be made of the same bytes. */
  isStale: 0 | 1;
  /** Size in bytes of a file that is tracked without content because it is too large; null for any other. */
  tooLargeBytes: number | null;
  /** See FileRow. */
  folderMode: number | null;
}

/** Rows read at once, as one JSON text: making a row's values one by one takes several times as long. */
const pageRows = 2_000;

/** SQL for what each language's files would be made by now. */
function currentExtractor(): string {
  const cases = languages.map((name) => `WHEN '${name}' THEN '${extractorOf(name)}'`);
  return `CASE language ${cases.join(' ')} ELSE '${extractorOf(null)}' END`;
}

const inRange = 'project_id = @projectId AND path >= @after AND path IS NOT @last AND path < @end';
/** What is in the folder itself, and the folder. */
const inFolder = "(path = @folder OR path >= @from) AND instr(substr(path, length(@from) + 1), '/') = 0";

const selectWhere = (condition: string): string =>
  `SELECT json_group_array(json_array(id, path, flags, device_id, print, too_large, folder_mode)) AS rows FROM (
     SELECT id, path, device_id,
       size || ' ' || mtime_ns || ' ' || ctime_ns || ' ' || ino || ' ' || mode AS print,
       deleted + 2 * ignored + 4 * tracked + 8 * (ctime_ns / 1000000 > updated_at - @doubtMs)
         + 16 * (kind = 'file' AND sha256 IS NOT NULL AND extractor IS NOT (${currentExtractor()}))
         + CASE kind WHEN 'file' THEN 0 WHEN 'symlink' THEN 32 ELSE 64 END AS flags,
       CASE WHEN sha256 IS NULL AND skip_reason = @tooLarge THEN size END AS too_large, folder ->> 'mode' AS folder_mode
     FROM files WHERE ${condition} ORDER BY path LIMIT ${pageRows})`;
const selectBelow = selectWhere(inRange);
const selectIn = selectWhere(`${inRange} AND ${inFolder}`);
const selectEdge = `SELECT path FROM files WHERE ${inRange} ORDER BY path LIMIT 1 OFFSET ${pageRows}`;

export interface RowChoice {
  /** See isDoubtful. */
  doubtMs: number;
  /** The reason that such rows have. */
  tooLarge: string;
  /** '' for all of the project. */
  folder: string;
  /** Without what is below the folders in it, and with the folder itself. */
  isShallow: boolean;
}

/**
 * The rows of a project, or of those below one of its folders, in the order of their paths' bytes, a page at a time. Between two
 * pages rows may be written. Read in slices.
 * @throws the signal's reason
 */
export async function* comparedRows(
  index: IndexDatabase,
  projectId: string,
  { doubtMs, tooLarge, folder, isShallow }: RowChoice,
  signal?: AbortSignal,
): AsyncGenerator<ComparedRow[], void, undefined> {
  const slicer = new Slicer(signal);
  // '0' comes right after '/', and a blob after every text.
  const [from, end] = folder === '' ? ['', Buffer.alloc(0)] : [`${folder}/`, `${folder}0`];
  const [select, named] = isShallow ? [selectIn, { folder, from }] : [selectBelow, {}];
  for (let range = { projectId, after: isShallow ? folder : from, last: null as string | null, end }; ;) {
    // However many rows a folder's folders have, so many are passed over at once.
    const edge = isShallow ? index.sql<[object], { path: string }>(selectEdge).get(range)?.path : undefined;
    const page = index
      .sql<[object], { rows: string }>(select)
      .get({ ...range, ...named, end: edge ?? end, doubtMs, tooLarge });
    const rows = (JSON.parse(page?.rows ?? '[]') as ComparedTuple[]).map(comparedRow);
    if (rows.length > 0) yield rows;
    const last = rows.at(-1)?.path ?? null;
    if (edge !== undefined) range = { ...range, after: stepOver(edge, from) };
    else if (isShallow || last === null || rows.length < pageRows) return;
    else range = { ...range, after: last, last };
    await slicer.breathe();
  }
}

/** The least path from `edge` on that can be of what is in the folder itself: behind what is in a folder of it. */
function stepOver(edge: string, from: string): string {
  if (!edge.startsWith(from)) return from;
  const slash = edge.indexOf('/', from.length);
  return slash < 0 ? edge : `${edge.slice(0, slash)}0`;
}

/** Flags in one number: a value of its own for each would take as long again. */
type ComparedTuple = [
  id: number,
  path: string,
  flags: number,
  deviceId: number | null,
  print: string,
  tooLargeBytes: number | null,
  folderMode: number | null,
];

function comparedRow([
  id,
  path,
  flags,
  deviceId,
  print,
  tooLargeBytes,
  folderMode,
]: ComparedTuple): ComparedRow {
  return {
    id,
    path,
    kind: (flags & 64) !== 0 ? 'folder' : (flags & 32) !== 0 ? 'symlink' : 'file',
    deleted: flag(flags & 1),
    ignored: flag(flags & 2),
    tracked: flag(flags & 4),
    deviceId,
    print,
    isDoubtful: flag(flags & 8),
    isStale: flag(flags & 16),
    tooLargeBytes,
    folderMode,
  };
}

function flag(bit: number): 0 | 1 {
  return bit === 0 ? 0 : 1;
}
