import { statSync } from 'node:fs';
import { assertBackupPlace, backup } from '../../store/backups.js';
import { checkFile } from '../../store/check-thread.js';
import type { Result } from '../../contract/index.js';
import { actionsOfRun, listRuns, requireRuns, type RunRow, undoOf } from '../../store/journal.js';
import { countAll, knownDamage, lastMaintenance, recordMaintenance } from '../../store/maintenance.js';
import { type IndexDatabase } from '../../store/index-database.js';
import { causeInWords } from '../../store/sqlite-errors.js';
import { requireProject } from '../../store/projects.js';
import { countDamaged, replaceDamaged } from '../../store/scrub.js';
import { cursorAt, placeIn } from './cursors.js';
import { type IndexContext, type IndexMethods, isoOrNull } from './types.js';
import type { Upkeep } from './upkeep.js';

type DatabaseMethods = Pick<
  IndexMethods,
  'check_database' | 'backup_database' | 'get_database_status' | 'list_repairs' | 'get_repair'
>;

const bytesPerMb = 1024 * 1024;

export function databaseMethods(
  { index, host }: IndexContext,
  upkeep: Pick<Upkeep, 'noteSound'>,
): DatabaseMethods {
  return {
    async check_database({ deep }, call) {
      const startedAt = performance.now();
      if (index.placeProblem !== null) throw index.placeProblem;
      const { problems, damaged, isSound, contentsChecked } = await checkFile(index.path, deep, call.signal);
      if (isSound) upkeep.noteSound();
      await index.write(() => {
        recordMaintenance(index, 'check', isSound ? 'ok' : 'damaged', Date.now());
        if (deep && isSound) replaceDamaged(index, damaged, Date.now());
      });
      // What is known of contents has not to be found out again.
      if (!deep && isSound) problems.push(...knownDamage(index));
      const ok = problems.length === 0;
      const duration_ms = Math.round(performance.now() - startedAt);
      return { ok, problems, contents_checked: contentsChecked, duration_ms };
    },
    async backup_database({ path }, call) {
      if (path !== undefined) assertBackupPlace(index, path);
      const made = await backup(index, Date.now(), { to: path, signal: call.signal });
      // It is made, also where the disk of the index is full.
      await index
        .write(() => recordMaintenance(index, 'backup', made.path, Date.now()))
        .catch((error: unknown) => host.log('warn', `a backup could not be noted: ${causeInWords(error)}`));
      return made;
    },
    get_database_status() {
      const check = lastMaintenance(index, 'check');
      return {
        db_path: index.path,
        exists: statSync(index.path, { throwIfNoEntry: false }) !== undefined,
        file_size_mb: sizeInMb(index.path),
        wal_size_mb: sizeInMb(`${index.path}-wal`),
        ...countAll(index),
        last_backup_at: isoOrNull(lastMaintenance(index, 'backup')?.at ?? null),
        integrity:
          check?.outcome === 'damaged' || countDamaged(index) > 0
            ? 'damaged'
            : check === undefined
              ? 'unchecked'
              : 'ok',
      };
    },
    list_repairs({ limit, ...reference }) {
      const isOne = reference.root_dir !== undefined || reference.project_id !== undefined;
      const projectId = isOne ? requireProject(index, reference).id : null;
      return { runs: listRuns(index, projectId, limit).map((run) => wireRun(index, run)) };
    },
    get_repair({ run_id, limit, cursor }) {
      const runs = requireRuns(index, run_id);
      const after = Number(placeIn('action', cursor) ?? 0);
      const rows = actionsOfRun(index, run_id, after, limit);
      const actions = rows.map((row) => ({
        project_id: row.projectId,
        id: row.fileId,
        path: row.path,
        verdict: row.verdict,
        state: row.state,
        targets: row.targets === '' ? [] : row.targets.split(','),
        sha256: row.sha256,
        detail: row.detail,
      }));
      const last = rows.at(-1);
      return {
        runs: runs.map((run) => wireRun(index, run)),
        actions,
        next_cursor: last === undefined || rows.length < limit ? null : cursorAt('action', String(last.id)),
      };
    },
  };
}

/** stat only: opening SQLite's own files in the process that has them open would drop its locks. */
function sizeInMb(path: string): number {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return Math.round((size / bytesPerMb) * 100) / 100;
}

function wireRun(index: IndexDatabase, run: RunRow): Result<'list_repairs'>['runs'][number] {
  return {
    run_id: run.runId,
    project_id: run.projectId,
    state: run.state,
    origin: run.origin,
    undoes: run.undoes,
    rewind_to: isoOrNull(run.rewindTo),
    undone_by: undoOf(index, run),
    started_at: new Date(run.startedAt).toISOString(),
    finished_at: isoOrNull(run.finishedAt),
    actions: run.actions,
    message: run.message,
  };
}
