import { assertRelativePath } from '../../base/paths.js';
import type { Result } from '../../contract/index.js';
import { findContent } from '../../reconcile/heal.js';
import { deleteFile } from '../../reconcile/delete-file.js';
import { chooseDeleted, ignoreAgain, rehearseRestore, restoreDeleted } from '../../reconcile/restore.js';
import { checkVersion, restoreVersion } from '../../reconcile/restore-version.js';
import { VersionStore } from '../../reconcile/version-store.js';
import { hasContent } from '../../store/contents.js';
import { type FileKind, type FileRow, pageOfFiles, requireFile } from '../../store/files.js';
import { type PathState, versionId } from '../../store/history.js';
import { IndexDatabase } from '../../store/index-database.js';
import { requireProject } from '../../store/projects.js';
import { isKnownDamaged } from '../../store/scrub.js';
import {
  iso,
  type IndexContext,
  indexingContext,
  type IndexMethods,
  isoOrNull,
  modeText,
  type Parsing,
} from './types.js';
import { renderKept } from './code-methods.js';
import { momentNamed } from './moments.js';
import { assertContent, requireKnown, stateFor } from './states.js';
import { afterPaths, placeIn } from './cursors.js';

type FileMethods = Pick<
  IndexMethods,
  | 'list_files'
  | 'get_file'
  | 'delete_file'
  | 'list_deleted_files'
  | 'restore_deleted_files'
  | 'restore_file_version'
>;

export function fileMethods(context: IndexContext, parsing: Parsing): FileMethods {
  const { index } = context;
  return {
    list_files({ deleted, path_prefix, limit, cursor, ...reference }) {
      const project = requireProject(index, reference);
      const filter = deleted ? 'deleted' : 'active';
      const rows = pageOfFiles(index, project.id, {
        filter,
        prefix: path_prefix ?? '',
        after: placeIn('path', cursor) ?? '',
        limit,
      });
      return { files: rows.map(wireFile), next_cursor: afterPaths(rows, limit) };
    },
    async get_file({ path, version_id, at, ...reference }) {
      assertRelativePath(path);
      const project = requireProject(index, reference);
      const moment = at === undefined ? null : await momentNamed(index, project, 'at', at);
      const { id, language } = requireKnown(index, project, path, moment);
      const state = stateFor(index, project, path, id, version_id ?? moment);
      assertContent(state);
      const { tree, bytes, sha256 } = renderKept(index, path, state.sha256);
      const isText = tree.encoding === 'utf8';
      return {
        path,
        sha256,
        size: bytes.length,
        mode: modeText(state.mode),
        version_id: versionId(id, state.seenAt),
        seen_at: iso(state.seenAt),
        language,
        encoding: isText ? 'utf8' : 'base64',
        content: bytes.toString(isText ? 'utf8' : 'base64'),
      };
    },
    async delete_file({ path, ...reference }, call) {
      assertRelativePath(path);
      const project = requireProject(index, reference);
      return {
        path,
        version_path: await deleteFile(indexingContext(context, parsing, project, call.signal), path),
      };
    },
    list_deleted_files({ path_prefix, limit, cursor, ...reference }) {
      const project = requireProject(index, reference);
      const versions = new VersionStore(index, project);
      const page = {
        filter: 'deleted',
        prefix: path_prefix ?? '',
        after: placeIn('path', cursor) ?? '',
        limit,
      } as const;
      const rows = pageOfFiles(index, project.id, page);
      const files = rows.map((row) => ({
        path: row.path,
        version_path: versions.pathOf(row.path),
        deleted_at: isoOrNull(row.deletedAt),
        cause: row.cause,
        size: row.size,
        restorable: isRestorable(index, row),
      }));
      return { files, next_cursor: afterPaths(rows, limit) };
    },
    async restore_deleted_files({ paths, path_prefix, deleted_after, cause, dry_run, ...reference }, call) {
      const project = requireProject(index, reference);
      const deletedAfter = deleted_after === undefined ? undefined : await timeOf(deleted_after);
      const rows = chooseDeleted(index, project, { paths, pathPrefix: path_prefix, deletedAfter, cause });
      if (dry_run) await looking(index, (over) => rehearseRestore(over, project, rows, call.signal));
      else {
        await restoreDeleted(index, project, rows, Date.now);
        await ignoreAgain(indexingContext(context, parsing, project, call.signal), rows);
      }
      return { restored: rows.map(({ path }) => ({ path })), dry_run };
    },
    async restore_file_version({ path, version_id, at, as: to = path, dry_run, ...reference }, call) {
      for (const one of [path, to]) assertRelativePath(one);
      const project = requireProject(index, reference);
      const moment = at === undefined ? null : await momentNamed(index, project, 'at', at);
      const { id } = requireKnown(index, project, path, moment);
      const state = stateFor(index, project, path, id, version_id ?? moment);
      const place = { state, to };
      if (dry_run) await looking(index, (over) => Promise.resolve(checkVersion(over, project, place)));
      else {
        await restoreVersion(index, project, place, Date.now);
        const rows = [requireFile(index, project.id, to)];
        await ignoreAgain(indexingContext(context, parsing, project, call.signal), rows);
      }
      return { ...wireVersion(id, state), path: to, from_path: path, dry_run };
    },
  };
}

/** Over a connection that cannot write: what it finds damaged is noted by whoever does more than look. */
async function looking(index: IndexDatabase, look: (over: IndexDatabase) => Promise<unknown>): Promise<void> {
  const over = IndexDatabase.openReadOnly(index.path);
  try {
    await look(over);
  } finally {
    over.close();
  }
}

function isRestorable(index: IndexDatabase, row: FileRow): boolean {
  const { sha256, kind, movedSha256 } = row;
  if (sha256 === null) return movedSha256 !== null || kind === 'folder';
  // To render each one would take long: only what is known to be damaged is tried.
  return (
    (hasContent(index, sha256) && !isKnownDamaged(index, sha256)) ||
    !('problem' in findContent(index, sha256))
  );
}

function wireVersion(
  fileId: number,
  { state, sha256, size, mode, seenAt }: PathState & { state: FileKind },
): Pick<Result<'restore_file_version'>, 'version_id' | 'seen_at' | 'kind' | 'sha256' | 'size' | 'mode'> {
  return {
    version_id: versionId(fileId, seenAt),
    seen_at: iso(seenAt),
    kind: state,
    sha256: state === 'folder' ? null : sha256,
    size,
    mode: modeText(mode),
  };
}

function wireFile(row: FileRow): Result<'list_files'>['files'][number] {
  return {
    path: row.path,
    kind: row.kind,
    size: row.size,
    mode: modeText(row.mode),
    language: row.language,
    sha256: row.sha256,
    deleted: row.deleted === 1,
    ignored: row.ignored === 1,
    updated_at: iso(row.updatedAt),
  };
}

/** Only here are the contract's schemas needed: not every start has to load them. */
async function timeOf(text: string): Promise<number | undefined> {
  const { pointInTime } = await import('../../contract/fields.js');
  return pointInTime(text, Date.now()) ?? undefined;
}
