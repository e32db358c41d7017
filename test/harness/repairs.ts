import assert from 'node:assert/strict';
import type { Daemon, Project, RepairReport } from './daemon.js';

/** The lists of a report that say what is done, by paths. */
export function actionsOf(report: RepairReport): Record<string, unknown[]> {
  return {
    unmarked: report.files_in_project_restored,
    marked: report.files_in_versions_marked_deleted,
    restored: report.files_restored_from_cst,
  };
}

export function pathsOf(list: readonly { path: string }[]): string[] {
  return list.map(({ path }) => path).sort();
}

/** The mark as only a hand in the database sets it. */
export function markDeleted(daemon: Daemon, project: Project, paths: readonly string[]): void {
  daemon.sql((db) => {
    const mark = db.prepare('UPDATE files SET deleted = 1, deleted_at = 1 WHERE project_id = ? AND path = ?');
    db.transaction(() => {
      for (const path of paths) assert.equal(mark.run(project.project_id, path).changes, 1, path);
    })();
  });
}
