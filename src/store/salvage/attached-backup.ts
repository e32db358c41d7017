import { messageOf } from '../../base/errors.js';
import { contentInBackup, putContent, type StoredContent } from '../contents.js';
import type { IndexDatabase } from '../index-database.js';

/** Other tables whose rows are added as they are. */
const rowsOfProjects = [
  'folders',
  'version_dirs',
  'repositories',
  'repair_runs',
  'repair_folders',
  'checkpoints',
] as const;

/** What a damaged index cannot give any more is taken from a backup, which stays as it is. */
export class AttachedBackup {
  readonly #index: IndexDatabase;

  private constructor(index: IndexDatabase) {
    this.#index = index;
  }

  /**
   * Runs `work` with the backup at hand.
   * @throws SQLite's own error where it cannot be read
   */
  static use<T>(index: IndexDatabase, path: string, work: (backup: AttachedBackup) => T): T {
    index.db.prepare('ATTACH ? AS backup').run(path);
    try {
      return work(new AttachedBackup(index));
    } finally {
      index.db.exec('DETACH backup');
    }
  }

  /** As `use`; null where it cannot be read, which is told. */
  static tryUse<T>(
    index: IndexDatabase,
    path: string,
    work: (backup: AttachedBackup) => T,
    log: (message: string) => void,
  ): T | null {
    try {
      return AttachedBackup.use(index, path, work);
    } catch (error) {
      log(`${path} could not be used: ${messageOf(error)}`);
      return null;
    }
  }

  /**
   * Files of projects that are there.
   * @param withProjects adds those that are missing, too: one that was removed since must not come back for nothing
   * @returns the files that were added, as they were when the backup was made
   */
  addRows(withProjects: boolean): { projectId: string; path: string }[] {
    const { db } = this.#index;
    const last = db.prepare('SELECT coalesce(max(id), 0) FROM files').pluck().get();
    const add = (table: string, given: Readonly<Record<string, string>> = {}): void => {
      const columns = this.#sharedColumns(table).filter((name) => given[name] !== '');
      const values = columns.map((name) => given[name] ?? `b.${name}`);
      db.exec(
        `INSERT OR IGNORE INTO main.${table} (${columns.join(', ')}) SELECT ${values.join(', ')} FROM backup.${table} b
         ${columns.includes('project_id') ? 'WHERE b.project_id IN (SELECT id FROM main.projects)' : ''}`,
      );
    };
    db.transaction(() => {
      if (withProjects) add('projects');
      // Their ids may be others' by now.
      if (this.#sharedColumns('devices').length > 0) add('devices', { id: '' });
      const device = `(SELECT d.id FROM main.devices d JOIN backup.devices o USING (project_id, identity)
        WHERE o.id = b.device_id)`;
      add('files', { id: '', device_id: device });
      for (const table of rowsOfProjects) if (this.#sharedColumns(table).length > 0) add(table);
      if (this.#sharedColumns('revisions').length > 0) add('revisions', { id: '' });
      // Of a version that did not keep it.
      db.exec('UPDATE main.files SET seen_at = updated_at WHERE seen_at = 0');
    }).immediate();
    return db
      .prepare('SELECT project_id AS projectId, path FROM main.files WHERE id > ? ORDER BY projectId, path')
      .all(last) as { projectId: string; path: string }[];
  }

  /** Columns that the backup's table has, too; none where it has no such table. */
  #sharedColumns(table: string): string[] {
    return this.#index.db
      .prepare(
        `SELECT name FROM pragma_table_info(@table, 'main') INTERSECT
         SELECT name FROM pragma_table_info(@table, 'backup') ORDER BY name`,
      )
      .pluck()
      .all({ table }) as string[];
  }

  /** Those of some contents that the backup has, damaged or not. */
  hashesAmong(hashes: readonly string[]): string[] {
    return this.#index.db
      .prepare('SELECT sha256 FROM backup.contents WHERE sha256 IN (SELECT value FROM json_each(?))')
      .pluck()
      .all(JSON.stringify(hashes)) as string[];
  }

  /** A content that the backup can give. */
  contentOf(hash: string): StoredContent | null {
    const hasBases = this.#sharedColumns('contents').includes('base');
    return contentInBackup(this.#index, hash, hasBases);
  }

  /** Adds a content that the backup can give. */
  addContent(hash: string, now: number): void {
    const content = this.contentOf(hash);
    if (content !== null) putContent(this.#index, content, now);
  }
}
