import { fileCounts } from './file-counts-schema.js';

/**
 * The index's schema, one migration an entry; `PRAGMA user_version` counts those that were applied.
 * Never edit an entry that was released: add one.
 *
 * Times are milliseconds since 1970 (UTC) in columns that end in `_at`; sizes are bytes. 64-bit numbers that
 * JavaScript cannot hold (mtime_ns, ino, dev) are read with CAST(... AS TEXT) and compared as text.
 */
export const migrations: readonly string[] = [
  `
  -- A folder whose files are indexed.
  CREATE TABLE projects (
    id               TEXT PRIMARY KEY,          -- UUID
    root_dir         TEXT NOT NULL UNIQUE,      -- real path, no trailing slash
    version_dir      TEXT NOT NULL,             -- absolute; files live in <version_dir>/<id>/<path>
    name             TEXT NOT NULL,             -- for people
    root_dev         INTEGER NOT NULL,          -- identity of the root folder when it was last known good
    root_ino         INTEGER NOT NULL,
    generation       INTEGER NOT NULL DEFAULT 0,-- counts the comparisons of the whole tree
    skipped          INTEGER NOT NULL DEFAULT 0,-- entries that the last comparison could not index
    last_verified_at INTEGER,                   -- end of the last whole comparison; NULL: never
    added_at         INTEGER NOT NULL
  ) STRICT;

  -- One row per path that is or was in a project. A row outlives its file: it is what can be restored.
  CREATE TABLE files (
    id          INTEGER PRIMARY KEY,
    project_id  TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    path        TEXT NOT NULL,                  -- relative to root_dir, '/'-separated, canonical
    deleted     INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    deleted_at  INTEGER,                        -- when the mark was set
    size        INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    ino         INTEGER NOT NULL,
    mode        INTEGER NOT NULL,               -- permission bits (st_mode & 07777)
    language    TEXT,
    sha256      TEXT,                           -- of the bytes last indexed; NULL: tracked without content
    skip_reason TEXT,                           -- why there is no content
    generation  INTEGER NOT NULL,               -- the comparison that last wrote the row
    updated_at  INTEGER NOT NULL,
    UNIQUE (project_id, path)
  ) STRICT;

  -- What files are made of. Nothing cascades into this table: only an explicit purge removes content.
  CREATE TABLE contents (
    sha256   TEXT PRIMARY KEY,                  -- of the raw bytes
    size     INTEGER NOT NULL,                  -- raw bytes
    tree     BLOB NOT NULL,                     -- lossless syntax tree, see src/syntax/tree-codec.ts
    added_at INTEGER NOT NULL
  ) STRICT;

  -- Below: derived from contents, rebuildable at any time.
  CREATE TABLE entities (
    id             INTEGER PRIMARY KEY,
    file_id        INTEGER NOT NULL REFERENCES files(id) ON DELETE CASCADE,
    kind           TEXT NOT NULL,
    name           TEXT NOT NULL,
    qualified_name TEXT NOT NULL,
    start_line     INTEGER NOT NULL,            -- from 1
    end_line       INTEGER NOT NULL             -- inclusive
  ) STRICT;
  CREATE INDEX entities_by_file ON entities(file_id);
  CREATE INDEX entities_by_name ON entities(name);

  -- A piece of a file that search can answer with.
  CREATE TABLE chunks (
    id         INTEGER PRIMARY KEY,
    file_id    INTEGER NOT NULL REFERENCES files(id) ON DELETE CASCADE,
    entity_id  INTEGER,                         -- the entity it belongs to, if any
    start_line INTEGER NOT NULL,
    end_line   INTEGER NOT NULL,
    text       TEXT NOT NULL
  ) STRICT;
  CREATE INDEX chunks_by_file ON chunks(file_id);

  -- Words of a chunk; rowid is chunks.id. Text is split by base/search-words.ts before it comes here.
  CREATE VIRTUAL TABLE chunk_words USING fts5(
    name, path, body, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2'
  );
  CREATE TRIGGER chunk_words_follow AFTER DELETE ON chunks BEGIN
    DELETE FROM chunk_words WHERE rowid = old.id;
  END;

  -- What an embedding provider learned from a project, and needs to embed its queries.
  CREATE TABLE embedding_models (
    id         INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    provider   TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    trained_on INTEGER NOT NULL,                -- chunks that the project had when it learned
    state      BLOB NOT NULL,
    added_at   INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX embedding_models_by_project ON embedding_models(project_id);

  CREATE TABLE vectors (
    chunk_id INTEGER PRIMARY KEY REFERENCES chunks(id) ON DELETE CASCADE,
    model_id INTEGER NOT NULL REFERENCES embedding_models(id) ON DELETE CASCADE,
    vector   BLOB NOT NULL                      -- float32 little-endian, unit length
  ) STRICT;
  CREATE INDEX vectors_by_model ON vectors(model_id);

  -- The repair journal: one row per run and project, kept when the project is forgotten.
  CREATE TABLE repair_runs (
    run_id      TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    origin      TEXT NOT NULL CHECK (origin IN ('command', 'worker', 'recovery')),
    state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'interrupted', 'cancelled')),
    root_dir    TEXT NOT NULL,
    version_dir TEXT NOT NULL,
    message     TEXT,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (run_id, project_id)
  ) STRICT;

  -- intent is written before an action, done after it; an intent without an outcome was cut off.
  CREATE TABLE repair_actions (
    id         INTEGER PRIMARY KEY,
    run_id     TEXT NOT NULL,
    project_id TEXT NOT NULL,
    file_id    INTEGER NOT NULL,
    path       TEXT NOT NULL,
    verdict    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('intent', 'done', 'conflict', 'failed')),
    targets    TEXT NOT NULL,                   -- where files were placed: '', 'versions', 'versions,project'
    sha256     TEXT,
    detail     TEXT
  ) STRICT;
  CREATE INDEX repair_actions_by_run ON repair_actions(run_id, project_id, state);

  -- When something was last done to the database as a whole, and how it went.
  CREATE TABLE maintenance (
    kind    TEXT PRIMARY KEY CHECK (kind IN ('check', 'backup')),
    at      INTEGER NOT NULL,
    outcome TEXT NOT NULL
  ) STRICT;
  `,
  // Reconciles were counted, and nothing was ever decided by it.
  `
  ALTER TABLE projects DROP COLUMN generation;
  ALTER TABLE files DROP COLUMN generation;
  `,
  // What a row is, why it is marked, and how it is told from another file under its name.
  `
  ALTER TABLE projects ADD COLUMN root_identity TEXT;   -- of the root's file system, see base/mounts.ts; NULL: not yet known
  ALTER TABLE projects ADD COLUMN head TEXT;            -- what git's HEAD was at the last comparison; NULL: no repository

  -- A file system that rows of a project lie on. Device numbers change with a restart; this does not.
  CREATE TABLE devices (
    id         INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    identity   TEXT NOT NULL,                           -- see base/mounts.ts
    folder     TEXT NOT NULL,                           -- where it was seen, relative to root_dir; '' for the root
    UNIQUE (project_id, identity)
  ) STRICT;

  ALTER TABLE files ADD COLUMN kind TEXT NOT NULL DEFAULT 'file'
    CHECK (kind IN ('file', 'symlink', 'folder'));      -- folder: one with nothing in it; others follow from their files
  ALTER TABLE files ADD COLUMN ignored INTEGER NOT NULL DEFAULT 0
    CHECK (ignored IN (0, 1));                          -- rules ignore it by now: not searched, still restorable
  ALTER TABLE files ADD COLUMN cause TEXT
    CHECK (cause IN ('seen', 'unseen', 'git', 'asked', 'repair')); -- why deleted was set; NULL: not deleted, or older
  ALTER TABLE files ADD COLUMN tracked INTEGER NOT NULL DEFAULT 0; -- by git, at the last comparison
  ALTER TABLE files ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE files ADD COLUMN nlink INTEGER NOT NULL DEFAULT 1;
  ALTER TABLE files ADD COLUMN device_id INTEGER;       -- devices.id; NULL: not known
  ALTER TABLE files ADD COLUMN uid INTEGER;
  ALTER TABLE files ADD COLUMN gid INTEGER;
  ALTER TABLE files ADD COLUMN xattrs TEXT;             -- JSON object of name → base64; NULL: it has none
  ALTER TABLE files ADD COLUMN extractor TEXT;          -- what made what is derived, see syntax/extractor.ts
  ALTER TABLE contents ADD COLUMN extractor TEXT;       -- what made the tree
  -- It was deleted or lost, and came back: a copy in versions from then is no sign of another deletion.
  ALTER TABLE files ADD COLUMN revived INTEGER NOT NULL DEFAULT 0 CHECK (revived IN (0, 1));
  ALTER TABLE files ADD COLUMN copy_problem TEXT;       -- why a deleted file has no copy in versions yet
  ALTER TABLE files ADD COLUMN moved_sha256 TEXT;       -- of a file without content that lies in versions
  ALTER TABLE repair_actions ADD COLUMN cause TEXT;     -- of the mark that set_deleted sets
  CREATE INDEX repair_actions_by_file ON repair_actions(project_id, file_id);
  CREATE INDEX files_deleted ON files(project_id, deleted_at) WHERE deleted = 1;
  CREATE INDEX files_linked ON files(project_id) WHERE nlink > 1 AND deleted = 0 AND kind = 'file';

  -- Folders that hold something: how they are made again with what is restored into them.
  CREATE TABLE folders (
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    path       TEXT NOT NULL,                           -- relative to root_dir
    mode       INTEGER NOT NULL,
    uid        INTEGER NOT NULL,
    gid        INTEGER NOT NULL,
    PRIMARY KEY (project_id, path)
  ) STRICT, WITHOUT ROWID;

  -- Every versions directory that was ever used: ours, and never content.
  CREATE TABLE version_dirs (
    path TEXT PRIMARY KEY                               -- absolute, real
  ) STRICT, WITHOUT ROWID;
  INSERT INTO version_dirs SELECT DISTINCT version_dir FROM projects;

  -- What the last comparison found and could not keep, with the reason.
  CREATE TABLE unprotected (
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    path       TEXT NOT NULL,                           -- for people: a name that is not UTF-8 has U+FFFD in it
    reason     TEXT NOT NULL,
    PRIMARY KEY (project_id, path)
  ) STRICT, WITHOUT ROWID;
  `,
  // Contents that processes died with while they parsed them; gone once one was parsed in peace.
  `
  CREATE TABLE suspects (
    sha256  TEXT PRIMARY KEY,                             -- of the raw bytes
    deaths  INTEGER NOT NULL,                             -- processes that died with it in hand
    last_at INTEGER NOT NULL                              -- when the last of them was counted
  ) STRICT;
  `,
  `
  ALTER TABLE projects ADD COLUMN head_log TEXT;          -- newest entry of HEAD's log then; NULL: none, or older
  `,
  `
  ALTER TABLE version_dirs ADD COLUMN furnished INTEGER NOT NULL DEFAULT 0; -- its marker was put there
  `,
  // Where HEAD was is kept for each repository of a project: there are more below the root.
  `
  CREATE TABLE repositories (
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    folder     TEXT NOT NULL,                             -- that it begins with, relative to root_dir; '' for the one that root_dir is in
    head       TEXT,                                      -- what its HEAD was at the last comparison; NULL: not known
    head_log   TEXT,                                      -- newest entry of HEAD's log then; NULL: none
    PRIMARY KEY (project_id, folder)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO repositories SELECT id, '', head, head_log FROM projects WHERE head IS NOT NULL;
  ALTER TABLE projects DROP COLUMN head;
  ALTER TABLE projects DROP COLUMN head_log;
  `,
  // What a run changed is kept, so that it can be undone; what an undo did is a run, too.
  `
  CREATE TABLE repair_runs_new (
    run_id      TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    origin      TEXT NOT NULL CHECK (origin IN ('command', 'worker', 'recovery', 'undo')),
    undoes      TEXT,                                     -- run_id of what an undo takes back
    state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'interrupted', 'cancelled')),
    root_dir    TEXT NOT NULL,
    version_dir TEXT NOT NULL,
    message     TEXT,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (run_id, project_id)
  ) STRICT;
  INSERT INTO repair_runs_new SELECT run_id, project_id, origin, NULL, state, root_dir, version_dir, message, started_at, finished_at
    FROM repair_runs;
  DROP TABLE repair_runs;
  ALTER TABLE repair_runs_new RENAME TO repair_runs;
  CREATE INDEX repair_runs_of_undos ON repair_runs(undoes) WHERE undoes IS NOT NULL;
  -- Folders that a run made in the project for what it placed there.
  CREATE TABLE repair_folders (
    run_id     TEXT NOT NULL,
    project_id TEXT NOT NULL,
    path       TEXT NOT NULL,                             -- relative to root_dir
    PRIMARY KEY (run_id, project_id, path)
  ) STRICT, WITHOUT ROWID;
  ALTER TABLE repair_actions ADD COLUMN inverse_of INTEGER; -- repair_actions.id that it takes back
  ALTER TABLE repair_actions ADD COLUMN done_at INTEGER;
  ALTER TABLE repair_actions ADD COLUMN marks TEXT;         -- JSON of the row's marks before it (Marks of store/files.ts)
  ALTER TABLE repair_actions ADD COLUMN placed TEXT;        -- JSON of the stamp of what it placed in the project
  `,
  // The pass over all contents that proves them, and what it found.
  `
  CREATE TABLE scrub (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    after    TEXT NOT NULL,                               -- contents.sha256 of the last one that was looked at
    checked  INTEGER NOT NULL,                            -- in this pass
    mended   INTEGER NOT NULL,                            -- in this pass
    begun_at INTEGER NOT NULL,
    ended_at INTEGER                                      -- when the last whole pass ended; NULL: none has
  ) STRICT;
  -- What is damaged, and what neither disk nor versions nor a backup has.
  CREATE TABLE damaged_contents (
    sha256   TEXT PRIMARY KEY,
    problem  TEXT NOT NULL,
    found_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  // By which it is known that the last changes are missing, see store/index-identity.ts.
  `
  CREATE TABLE commits (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL                               -- transactions that changed something, since the index was made
  ) STRICT;
  INSERT INTO commits VALUES (1, 0);
  `,
  // What is made of contents is in a database of its own for each project (store/derived/), and nothing is counted row by row.
  `
  DROP TABLE chunk_words;
  DROP TABLE vectors;
  DROP TABLE embedding_models;
  DROP TABLE chunks;
  DROP TABLE entities;
  ALTER TABLE projects ADD COLUMN derived TEXT;           -- facts.token of the derived database that its files rely on; NULL: none
  ALTER TABLE projects ADD COLUMN derived_number INTEGER NOT NULL DEFAULT 0; -- facts.number of it that rows rely on: with a smaller one it is an older copy
  ALTER TABLE files ADD COLUMN chunks INTEGER NOT NULL DEFAULT 0; -- of its content, in the derived database
  UPDATE files SET extractor = NULL WHERE kind = 'file';  -- from now on: what made what the derived database has of it; NULL: it may have nothing
  CREATE INDEX files_by_content ON files(sha256) WHERE sha256 IS NOT NULL;

  ${fileCounts}
  `,
  // What files were before they became what they are: from now on every state of a path can be had again.
  `
  ALTER TABLE projects ADD COLUMN recorded_at INTEGER;    -- end of the first whole comparison: of before nothing is known; NULL: it has not ended
  ALTER TABLE projects ADD COLUMN forgotten_at INTEGER;   -- of before, states were let go: only checkpoints can be come back to; NULL: none were
  ALTER TABLE files ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0; -- when it was first seen to be what it is: kind, content, mode, marks
  ALTER TABLE files ADD COLUMN came_by TEXT NOT NULL DEFAULT 'found'
    CHECK (came_by IN ('found', 'edit', 'rename', 'repair', 'rewind', 'restore', 'deletion', 'rules')); -- how it became that; found: it was there when the project was first looked at
  ALTER TABLE files ADD COLUMN from_path TEXT;            -- what a renamed file was called before
  ALTER TABLE files ADD COLUMN burst_at INTEGER NOT NULL DEFAULT 0; -- when the burst of saves began of which only the last is kept
  UPDATE files SET seen_at = CASE deleted WHEN 1 THEN coalesce(deleted_at, updated_at) ELSE updated_at END,
    came_by = CASE deleted WHEN 1 THEN 'deletion' ELSE 'found' END;
  UPDATE projects SET recorded_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE last_verified_at IS NOT NULL;
  CREATE INDEX files_changed ON files(project_id, seen_at) WHERE came_by <> 'found';
  CREATE INDEX files_renamed ON files(project_id, from_path) WHERE from_path IS NOT NULL;

  -- A state that a path was in, and is not any more. What it is now is in files.
  CREATE TABLE revisions (
    id         INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    path       TEXT NOT NULL,                             -- relative to root_dir
    state      TEXT NOT NULL CHECK (state IN ('file', 'symlink', 'folder', 'deleted', 'ignored')),
    seen_at    INTEGER NOT NULL,                          -- when it was first seen to be so
    gone_at    INTEGER NOT NULL,                          -- when it was seen to be so no longer; states between that and the next were not kept
    came_by    TEXT NOT NULL,                             -- as files.came_by, and of a deletion as files.cause
    from_path  TEXT,                                      -- as files.from_path
    size       INTEGER NOT NULL,
    mode       INTEGER NOT NULL,
    mtime_ns   INTEGER NOT NULL,
    uid        INTEGER,
    gid        INTEGER,
    xattrs     TEXT,
    sha256     TEXT,                                      -- NULL: it had no content, or none that was kept
    UNIQUE (project_id, path, seen_at)
  ) STRICT;
  CREATE INDEX revisions_by_time ON revisions(project_id, seen_at);
  CREATE INDEX revisions_by_content ON revisions(sha256) WHERE sha256 IS NOT NULL;
  CREATE INDEX revisions_outgrown ON revisions(project_id, gone_at) WHERE state = 'folder';
  CREATE INDEX revisions_renamed ON revisions(project_id, from_path) WHERE from_path IS NOT NULL;
  -- What files were that are deleted; since when is not known any more.
  INSERT INTO revisions (project_id, path, state, seen_at, gone_at, came_by, size, mode, mtime_ns, uid, gid, xattrs, sha256)
    SELECT project_id, path, kind, seen_at - 1, seen_at, 'found', size, mode, mtime_ns, uid, gid, xattrs, sha256
    FROM files WHERE deleted = 1;

  -- A moment of a project that somebody wants to come back to.
  CREATE TABLE checkpoints (
    checkpoint_id TEXT PRIMARY KEY,                       -- c and eight hex digits
    project_id    TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    label         TEXT,
    at            INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX checkpoints_by_time ON checkpoints(project_id, at);
  ALTER TABLE repair_runs ADD COLUMN rewind_to INTEGER;   -- of a rewind, and of what takes one back: the moment it goes to; NULL: a repair
  `,
  // Contents that no file has any more take as much as what differs from an earlier one, see store/packing.ts.
  `
  ALTER TABLE contents ADD COLUMN base TEXT;              -- sha256 of the content that tree is the difference to (syntax/source-delta.ts), which is stored whole; NULL: tree is a tree
  CREATE INDEX contents_by_base ON contents(base) WHERE base IS NOT NULL;
  `,
  // What somebody had purged leaves a state that says nothing but that there was something.
  `
  ALTER TABLE revisions ADD COLUMN purged_at INTEGER;     -- when its content was removed from everywhere; NULL: it was not
  `,
  // A path has one row, and what a deleted file was is worth more than that there is an empty folder in its place.
  `
  ALTER TABLE files ADD COLUMN folder TEXT CHECK (folder IS NULL OR deleted = 1 AND kind <> 'folder'); -- of a deleted row: JSON {size, mode, mtimeNs, uid, gid} of the empty folder in its place, which is what the path is; NULL: none is there
  `,
];
