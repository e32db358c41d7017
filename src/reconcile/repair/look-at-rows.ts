import type { Stats } from 'node:fs';
import { relativePathProblem } from '../../base/paths.js';
import { TreePresence } from '../../base/presence.js';
import { type FileTrace, stampsBetween, tracesBetween } from '../../store/traces.js';
import type { IndexDatabase } from '../../store/index-database.js';

/**
 * The first look at the rows of a project: most are present as they were indexed, and nothing more is asked of them. It
 * takes as long as lstat, so that two threads share it: each takes the next range of paths until none is left.
 */
export interface Ranges {
  projectId: string;
  rootDir: string;
  /** Where each range begins; it ends where the next one begins, and the last one at the end. */
  starts: readonly string[];
  /** How many were taken, as one 32-bit integer. */
  taken: SharedArrayBuffer;
}

/** What was found out about some rows. */
export interface Looked {
  /** Rows whose files are present and not marked deleted: nothing to decide, so they are only counted. */
  ok: number;
  changed: number;
  /** All others. */
  rest: FileTrace[];
}

export function newRanges(projectId: string, rootDir: string, starts: readonly string[]): Ranges {
  return { projectId, rootDir, starts, taken: new SharedArrayBuffer(4) };
}

/** How many were taken by now, those that are looked at included. */
export function rangesTaken({ starts, taken }: Ranges): number {
  return Math.min(Atomics.load(new Int32Array(taken), 0), starts.length);
}

/** Takes ranges, and gives after each row what it has come to so far: for a pause in between. */
export function* lookAtRanges(index: IndexDatabase, ranges: Ranges): Generator<Looked, Looked> {
  const { projectId, rootDir, starts } = ranges;
  const taken = new Int32Array(ranges.taken);
  const tree = new TreePresence(rootDir);
  const looked: Looked = { ok: 0, changed: 0, rest: [] };
  for (;;) {
    const range = Atomics.add(taken, 0, 1);
    const start = starts[range];
    if (start === undefined) return looked;
    const before = starts[range + 1] ?? null;
    const rest = new Set<string>();
    const { paths, sizes, mtimes, ctimes } = stampsBetween(index, projectId, start, before);
    for (const [place, path] of paths.entries()) {
      const stamp = { size: sizes[place] ?? -1, mtimeUs: mtimes[place] ?? 0, ctimeUs: ctimes[place] ?? 0 };
      const present = presentAs(tree, path, stamp);
      if (present === null) rest.add(path);
      else looked[present] += 1;
      yield looked;
    }
    if (rest.size > 0)
      looked.rest.push(
        ...tracesBetween(index, projectId, start, before).filter(({ path }) => rest.has(path)),
      );
  }
}

type Stamp = Pick<FileTrace, 'size' | 'mtimeUs' | 'ctimeUs'>;

/** Whether a row's file is present and needs no mark, as nearly all are; null for a row that needs a second look. */
function presentAs(tree: TreePresence, path: string, stamp: Stamp): 'ok' | 'changed' | null {
  if (stamp.size < 0 || relativePathProblem(path) !== null) return null;
  const { stats } = tree.look(path);
  if (stats === null) return null;
  return isChanged(stamp, stats) ? 'changed' : 'ok';
}

/** Times are compared as doubles in microseconds, which leaves room for rounding. */
const timeSlackUs = 1.5;

export function isChanged(stamp: Stamp, stats: Stats): boolean {
  return (
    stats.size !== stamp.size ||
    Math.abs(stats.mtimeMs * 1_000 - stamp.mtimeUs) > timeSlackUs ||
    Math.abs(stats.ctimeMs * 1_000 - stamp.ctimeUs) > timeSlackUs
  );
}
