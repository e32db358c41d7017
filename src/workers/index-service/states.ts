import { CodekeepError } from '../../base/errors.js';
import { fileByPath, type FileKind, type FileRow, requireFile } from '../../store/files.js';
import { isSomething, type PathState, stateAt, statesOf, versionNamed } from '../../store/history.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';
import { assertRecorded } from './moments.js';
import { iso } from './types.js';

type Something = PathState & { state: FileKind };

/**
 * What a path was: by a version's id, at a time (milliseconds since 1970), or, with null, what it is, or was last.
 * @throws CodekeepError NOT_FOUND where there is no such version, or nothing is known of that time; FILE_NOT_FOUND where the
 * path was nothing then
 */
export function stateFor(
  index: IndexDatabase,
  project: Project,
  path: string,
  fileId: number,
  which: string | number | null,
): Something {
  if (which === null) return latestOf(index, project, path);
  return typeof which === 'string'
    ? versionOf(index, project, path, fileId, which)
    : thenOf(index, project, path, which);
}

/**
 * The row of a file of which anything is known.
 * @param at of what was removed for good, the moment that is asked for; null: none is
 * @throws CodekeepError FILE_NOT_FOUND, which says where it may have been let go; as stateFor
 */
export function requireKnown(
  index: IndexDatabase,
  project: Project,
  path: string,
  at: number | null = null,
): FileRow {
  const { id, forgottenAt } = project;
  if (fileByPath(index, id, path) === undefined) {
    const states = statesOf(index, id, path, Number.MAX_SAFE_INTEGER, 2);
    if (at !== null && states.length > 0) assertContent(thenOf(index, project, path, at));
    const last = states.find(({ state }) => state === 'purged');
    const hint = 'It cannot be had again; list_changes has when it was deleted.';
    if (last !== undefined)
      throw new CodekeepError(
        'FILE_NOT_FOUND',
        `All that ${path} was, at ${iso(last.seenAt)} for the last time, was removed for good.`,
        hint,
      );
  }
  if (forgottenAt === null || fileByPath(index, id, path) !== undefined) return requireFile(index, id, path);
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `The index has no file ${JSON.stringify(path)} in this project, or none any more: of what was deleted until ${iso(forgottenAt)} retention let files go.`,
    'Call list_files and list_deleted_files to see what there is; the path is relative to root_dir.',
    { path },
  );
}

/** @throws CodekeepError FILE_NOT_FOUND for a folder: it was empty, and has nothing to be shown */
export function assertContent({ path, state }: PathState): void {
  if (state !== 'folder') return;
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `${path} is, or was, an empty folder: it has no content.`,
    'Call list_files to see the files.',
    { path },
  );
}

function latestOf(index: IndexDatabase, { id }: Project, path: string): Something {
  const state = statesOf(index, id, path, Number.MAX_SAFE_INTEGER, 3).find(isSomething);
  if (state === undefined) throw nothingKnown(path);
  return state;
}

function versionOf(
  index: IndexDatabase,
  { id }: Project,
  path: string,
  fileId: number,
  version: string,
): Something {
  const named = versionNamed(version);
  const [state] = named?.fileId === fileId ? statesOf(index, id, path, named.seenAt + 1, 1) : [];
  if (named !== null && state?.seenAt === named.seenAt) {
    if (isSomething(state)) return state;
    if (state.state === 'purged') throw purged(path, state.seenAt);
  }
  const hint = 'Call list_file_versions to see those that are kept.';
  if (named?.fileId !== fileId || named.seenAt > Date.now())
    throw new CodekeepError('NOT_FOUND', `${path} has no version ${version}.`, hint);
  const seenAt = iso(named.seenAt);
  throw new CodekeepError(
    'NOT_FOUND',
    `Version ${version} of ${path}, of ${seenAt}, is not kept any more: retention let it go.`,
    hint,
    { path, version_id: version, seen_at: seenAt },
  );
}

function thenOf(index: IndexDatabase, project: Project, path: string, at: number): Something {
  assertRecorded(index, project, at);
  const state = stateAt(index, project.id, path, at);
  if (state !== undefined && isSomething(state)) return state;
  if (state?.state === 'purged') throw purged(path, at);
  const what = state?.state === 'ignored' ? 'ignored by rules' : 'not there';
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `${path} was ${what} at ${iso(at)}.`,
    'Call list_file_versions to see from when to when it was there.',
    { path },
  );
}

function purged(path: string, at: number): CodekeepError {
  return new CodekeepError(
    'NOT_FOUND',
    `What ${path} was at ${iso(at)} was removed for good.`,
    'It cannot be had again; list_file_versions has what is left.',
  );
}

function nothingKnown(path: string): CodekeepError {
  return new CodekeepError(
    'FILE_NOT_FOUND',
    `The index has nothing of ${path} that could be given.`,
    'Call list_file_versions to see what is known of it.',
  );
}
