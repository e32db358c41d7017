/** Part of a migration that was released, see schema.ts: how many rows of files there are, kept by triggers. */
export const fileCounts = `
  -- How many rows of files a project has, by what they say. Kept by the triggers below.
  CREATE TABLE file_counts (
    project_id      TEXT PRIMARY KEY,
    total           INTEGER NOT NULL DEFAULT 0,
    active          INTEGER NOT NULL DEFAULT 0,           -- neither deleted nor ignored
    deleted         INTEGER NOT NULL DEFAULT 0,
    ignored         INTEGER NOT NULL DEFAULT 0,
    without_content INTEGER NOT NULL DEFAULT 0,           -- nothing of it could come back
    without_copy    INTEGER NOT NULL DEFAULT 0,           -- deleted, and the copy in versions is due
    linked          INTEGER NOT NULL DEFAULT 0,           -- active files with more names than one
    chunks          INTEGER NOT NULL DEFAULT 0            -- of active files
  ) STRICT, WITHOUT ROWID;
  INSERT INTO file_counts SELECT project_id, count(*), sum(deleted = 0 AND ignored = 0), sum(deleted), sum(ignored),
    sum(sha256 IS NULL AND moved_sha256 IS NULL AND kind <> 'folder'), sum(deleted = 1 AND copy_problem IS NOT NULL),
    sum(nlink > 1 AND deleted = 0 AND ignored = 0 AND kind = 'file'), 0 FROM files GROUP BY project_id;
  CREATE TRIGGER file_added AFTER INSERT ON files BEGIN
    INSERT INTO file_counts (project_id) VALUES (new.project_id) ON CONFLICT DO NOTHING;
    UPDATE file_counts SET ${changeOfCounts('new', null)} WHERE project_id = new.project_id;
  END;
  CREATE TRIGGER file_changed
    AFTER UPDATE OF deleted, ignored, sha256, moved_sha256, kind, copy_problem, nlink, chunks ON files BEGIN
    UPDATE file_counts SET ${changeOfCounts('new', 'old')} WHERE project_id = new.project_id;
  END;
  CREATE TRIGGER file_forgotten AFTER DELETE ON files BEGIN
    UPDATE file_counts SET ${changeOfCounts(null, 'old')} WHERE project_id = old.project_id;
  END;
  CREATE TRIGGER project_forgotten AFTER DELETE ON projects BEGIN
    DELETE FROM file_counts WHERE project_id = old.id;
  END;
`;

/** SQL that adds what a row counts for, and takes away what it counted for before. */
function changeOfCounts(added: 'new' | null, removed: 'old' | null): string {
  const counted: [string, (row: string) => string][] = [
    ['total', () => '1'],
    ['active', (row) => `(${row}.deleted = 0 AND ${row}.ignored = 0)`],
    ['deleted', (row) => `${row}.deleted`],
    ['ignored', (row) => `${row}.ignored`],
    [
      'without_content',
      (row) => `(${row}.sha256 IS NULL AND ${row}.moved_sha256 IS NULL AND ${row}.kind <> 'folder')`,
    ],
    ['without_copy', (row) => `(${row}.deleted = 1 AND ${row}.copy_problem IS NOT NULL)`],
    [
      'linked',
      (row) => `(${row}.nlink > 1 AND ${row}.deleted = 0 AND ${row}.ignored = 0 AND ${row}.kind = 'file')`,
    ],
    [
      'chunks',
      (row) => `(CASE WHEN ${row}.deleted = 0 AND ${row}.ignored = 0 THEN ${row}.chunks ELSE 0 END)`,
    ],
  ];
  return counted
    .map(([column, valueOf]) => {
      const plus = added === null ? '' : ` + ${valueOf(added)}`;
      const minus = removed === null ? '' : ` - ${valueOf(removed)}`;
      return `${column} = ${column}${plus}${minus}`;
    })
    .join(', ');
}
