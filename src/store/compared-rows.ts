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
}

/** Rows read at once, as one JSON text: making a row's values one by one takes several times as long. */
const pageRows = 2_000;

/** SQL for what each language's files would be made by now. */
function currentExtractor(): string {
  const cases = languages.map((name) => `WHEN '${name}' THEN '${extractorOf(name)}'`);
  return `CASE language ${cases.join(' ')} ELSE '${extractorOf(null)}' END`;
}

/**
 * The rows of a project, or of those below one of its folders, by their paths. Read in slices.
 * @param doubtMs see isDoubtful
 * @param tooLarge the reason that such rows have
 * @throws the signal's reason
 */
export async function comparedRows(
  index: IndexDatabase,
  projectId: string,
  { doubtMs, tooLarge, folder }: { doubtMs: number; tooLarge: string; folder: string },
  signal?: AbortSignal,
): Promise<Map<string, ComparedRow>> {
  const slicer = new Slicer(signal);
  const current = currentExtractor();
  const rows = new Map<string, ComparedRow>();
  // '0' comes right after '/'.
  const [from, end] = folder === '' ? ['', null] : [`${folder}/`, `${folder}0`];
  for (let after: string | null = null; ;) {
    const page = index
      .sql<[Record<string, unknown>], { rows: string }>(
        `SELECT json_group_array(json_array(id, path, kind, deleted, ignored, tracked, device_id, print, is_doubtful,
           is_stale, too_large)) AS rows FROM (
           SELECT id, path, kind, deleted, ignored, tracked, device_id,
             size || ' ' || mtime_ns || ' ' || ctime_ns || ' ' || ino || ' ' || mode AS print,
             ctime_ns / 1000000 > updated_at - @doubtMs AS is_doubtful,
             kind = 'file' AND sha256 IS NOT NULL AND extractor IS NOT (${current}) AS is_stale,
             CASE WHEN sha256 IS NULL AND skip_reason = @tooLarge THEN size END AS too_large
           FROM files WHERE project_id = @projectId AND path >= @after AND path IS NOT @last
             AND (@end IS NULL OR path < @end)
           ORDER BY path LIMIT ${pageRows})`,
      )
      .get({ projectId, doubtMs, tooLarge, after: after ?? from, last: after, end });
    const tuples = JSON.parse(page?.rows ?? '[]') as ComparedTuple[];
    for (const tuple of tuples) {
      const row = comparedRow(tuple);
      rows.set(row.path, row);
      after = row.path;
    }
    if (tuples.length < pageRows) return rows;
    await slicer.breathe();
  }
}

type ComparedTuple = [
  number,
  string,
  FileKind,
  0 | 1,
  0 | 1,
  0 | 1,
  number | null,
  string,
  0 | 1,
  0 | 1,
  number | null,
];

function comparedRow(tuple: ComparedTuple): ComparedRow {
  const [id, path, kind, deleted, ignored, tracked, deviceId, print, isDoubtful, isStale, tooLargeBytes] =
    tuple;
  return { id, path, kind, deleted, ignored, tracked, deviceId, print, isDoubtful, isStale, tooLargeBytes };
}
