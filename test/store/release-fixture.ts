/** The index of an earlier release, as that release made it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import Database from 'better-sqlite3';

/** Schema version 10, with a project of nine files, one deleted, one ignored, a repair in the journal, and vectors. */
const release = fileURLToPath(new URL('../../test/store/release-10.db.gz', import.meta.url));

export function writeOlderIndex(path: string): void {
  writeFileSync(path, gunzipSync(readFileSync(release)));
}

/** Where a later version has more. */
const olderColumns: Readonly<Record<string, string>> = {
  repair_runs:
    'run_id, project_id, origin, undoes, state, root_dir, version_dir, message, started_at, finished_at',
  contents: 'sha256, size, tree, added_at, extractor',
};

/** All that nothing else could give back, as that release has it. */
export function preciousIn(path: string): Record<string, unknown[]> {
  const db = new Database(path, { readonly: true });
  try {
    const tables = [
      'contents',
      'devices',
      'folders',
      'repair_runs',
      'repair_actions',
      'repositories',
      'version_dirs',
    ];
    const rows = tables.map((table) => {
      const columns = olderColumns[table] ?? '*';
      return [table, db.prepare(`SELECT ${columns} FROM ${table} ORDER BY 1, 2`).all()];
    });
    const files = db
      .prepare(
        `SELECT id, path, kind, deleted, deleted_at, cause, ignored, tracked, size, mtime_ns, ctime_ns, ino, device_id, nlink,
           mode, uid, gid, xattrs, language, sha256, skip_reason, revived, copy_problem, moved_sha256, updated_at
         FROM files ORDER BY id`,
      )
      .safeIntegers()
      .all();
    return { ...(Object.fromEntries(rows) as Record<string, unknown[]>), files };
  } finally {
    db.close();
  }
}
