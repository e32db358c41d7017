import { CodekeepError } from '../../base/errors.js';
import { findCheckpoint, isCheckpoint } from '../../store/checkpoints.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { knownSince, type Project } from '../../store/projects.js';
import { iso } from './types.js';

/**
 * A moment of a project as people name it, in milliseconds since 1970: a time, a duration that counts back from now, or a
 * checkpoint by its id or label. A label that looks like a time is none here.
 * @param mayLieAhead of a time that only bounds what is listed
 * @throws CodekeepError INVALID_PARAMS that names the param, for any other text, and for a time that lies ahead
 */
export async function momentNamed(
  index: IndexDatabase,
  project: Project,
  param: string,
  text: string,
  mayLieAhead = false,
): Promise<number> {
  // Only here are the contract's schemas needed: not every start has to load them.
  const { pointInTime } = await import('../../contract/fields.js');
  const now = Date.now();
  const time = pointInTime(text, now);
  if (time !== null && time > now && !mayLieAhead)
    throw new CodekeepError(
      'INVALID_PARAMS',
      `${text} lies ahead: it is ${iso(now)} now, and nobody knows yet what will be there.`,
      'Give a time that has been; one that names no zone is UTC.',
      { issues: [{ param, message: 'lies ahead' }] },
    );
  const at = time ?? findCheckpoint(index, project.id, text)?.at ?? null;
  if (at !== null) return at;
  throw new CodekeepError(
    'INVALID_PARAMS',
    `${JSON.stringify(text)} is neither a time nor a checkpoint of this project.`,
    'Give ISO-8601, such as 2026-11-30T14:03:00Z, a duration such as 10m, or a checkpoint_id or label from list_checkpoints.',
    { issues: [{ param, message: 'is neither a time, a duration nor a checkpoint' }] },
  );
}

/** @throws CodekeepError NOT_FOUND where nothing is known of that time, or not any more; a checkpoint can always be come back to */
export function assertRecorded(index: IndexDatabase, project: Project, at: number): void {
  const { id, rootDir, recordedAt, forgottenAt } = project;
  const since = knownSince(project);
  if (since !== null && (at >= since || isCheckpoint(index, id, at))) return;
  const why =
    recordedAt === null || since === null
      ? `the first comparison of ${rootDir} has not ended`
      : forgottenAt !== null && at >= recordedAt
        ? `what files of ${rootDir} were is kept since ${iso(since)}`
        : `${rootDir} is known since ${iso(since)}`;
  throw new CodekeepError(
    'NOT_FOUND',
    `Nothing is known of ${iso(at)}: ${why}.`,
    'Give a later time, or a checkpoint; list_file_versions has what is known of a file.',
  );
}
