import { shellWord } from '../../base/shell-word.js';
import { restoreFilesMax } from '../../reconcile/restore.js';
import type { Freshness } from '../../contract/fields.js';
import { type Cause, type DeletedRow, deletedSince, type FileCounts } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';

const dayMs = 86_400_000;

/** Deletions that a watcher saw are nothing to speak of, unless so many go within a minute. */
const massMin = 20;
const massMs = 60_000;

/**
 * So soon (ms) after the last one it may turn out to have been git's doing, which moves HEAD after all the files, unless all is
 * followed by now. Some folders are polled for good: then this is late.
 */
const atWorkMs = 10_000;

/** Deletions looked at; more are more than anybody has to be told of. */
const deletionsMax = 100_000;

/**
 * What a person should know of a project beside its freshness: what went away unseen or in mass in the last day, with the
 * one command that brings it back, and copies that are due.
 */
export function noticesOf(
  index: IndexDatabase,
  project: Project,
  { withoutCopy }: Pick<FileCounts, 'withoutCopy'>,
  freshness: Freshness,
  now: number,
): string[] {
  const rows = deletedSince(index, project.id, now - dayMs, deletionsMax);
  const unseen = rows.filter(({ cause }) => cause === 'unseen');
  const seen = rows.filter(({ cause }) => cause === 'seen');
  const mass = largestBurst(seen.map(({ deletedAt }) => deletedAt));
  const notices: string[] = [];
  if (unseen.length > 0) {
    notices.push(`${unseen.length} files went while nobody watched${wayBack(project, unseen, 'unseen')}`);
  }
  const isOver = freshness === 'fresh' || now - (seen[0]?.deletedAt ?? 0) >= atWorkMs;
  if (mass.count >= massMin && isOver) {
    const since = seen.filter(({ deletedAt }) => deletedAt >= mass.first);
    notices.push(`${mass.count} files were deleted within a minute${wayBack(project, since, 'seen')}`);
  }
  if (withoutCopy > 0) {
    notices.push(
      `${withoutCopy} deleted files have no copy in ${project.versionDir} yet; it is tried again, and the index has their contents`,
    );
  }
  return notices;
}

/**
 * The one command that brings back what can come back of some rows, all of one cause.
 * @param rows the latest first
 */
function wayBack(project: Project, rows: readonly DeletedRow[], cause: Cause): string {
  const kept = rows.filter(({ isKept }) => isKept === 1).length;
  const lost = rows.length - kept;
  if (kept === 0)
    return '; their contents are not kept ("codekeep unprotected" says why of what is there now)';
  const at = new Date(rows.at(-1)?.deletedAt ?? 0).toISOString();
  const root = shellWord(project.rootDir);
  const command =
    kept > restoreFilesMax
      ? `codekeep repair ${root} --deleted-since ${at}`
      : `codekeep restore --project ${root} --deleted-after ${at} --cause ${cause}`;
  const except = lost === 0 ? '' : `, but for ${lost} whose contents are not kept`;
  return `; "${command}" brings them back${except}`;
}

/** @param times the latest first */
function largestBurst(times: readonly number[]): { count: number; first: number } {
  let largest = { count: 0, first: 0 };
  let end = 0;
  times.forEach((first, position) => {
    while ((times[end] ?? first) - first > massMs) end += 1;
    const count = position - end + 1;
    if (count > largest.count) largest = { count, first };
  });
  return largest;
}
