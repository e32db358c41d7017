import { postingsSchema } from './postings-schema.js';

/**
 * Raised when anything here, or what is put here, changes its meaning: a database of another number is thrown away and made
 * again. There are no migrations, since nothing in it is anybody's only copy.
 */
export const derivedVersion = 2;

/** The schema of derived/<project_id>.db: what is made of a project's contents so that they can be searched. */
export const derivedSchema = `
  -- What the database says of itself.
  CREATE TABLE facts (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    token      TEXT NOT NULL,                   -- which one it is: projects.derived in index.db says which one its rows rely on
    boot       TEXT NOT NULL,                   -- boot of the machine in which it was last written without a sync at the end; '': none
    number     INTEGER NOT NULL,                -- transactions that added documents: projects.derived_number in index.db is never larger
    next_chunk INTEGER NOT NULL,                -- the chunk id that is given next; none is given twice
    chunks     INTEGER NOT NULL                 -- of all documents
  ) STRICT;

  -- A content of a language, made searchable. It is never changed, and does not know which files have it.
  CREATE TABLE documents (
    first_chunk  INTEGER PRIMARY KEY,           -- its chunks are first_chunk, first_chunk + 1 and so on, in the order of the text
    sha256       BLOB NOT NULL,                 -- of the raw bytes
    language     TEXT NOT NULL,                 -- '': none
    extractor    TEXT NOT NULL,                 -- what made it, see src/syntax/extractor.ts
    chunks       INTEGER NOT NULL,
    kinds        INTEGER NOT NULL,              -- of its entities: a bit each, by its place in entityKinds
    unused_since INTEGER,                       -- when no file was found to have it (ms since 1970); NULL: one has
    UNIQUE (sha256, language)
  ) STRICT;
  -- Entities and chunks of a document, see layout-codec.ts.
  CREATE TABLE layouts (
    first_chunk INTEGER PRIMARY KEY,
    layout      BLOB NOT NULL
  ) STRICT;

  -- Paths that files had, searched by their words. An id is a chunk id, so that words of paths are postings as any.
  CREATE TABLE paths (
    id           INTEGER PRIMARY KEY,
    path         TEXT NOT NULL UNIQUE,          -- relative to the project's root
    unused_since INTEGER                        -- as documents.unused_since
  ) STRICT;

  -- What an embedding provider learned from the project, and needs to embed its queries. Two at
  -- most: while the vectors of the next one are being made, those of the current one are used.
  CREATE TABLE models (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: what a dropped one has left is no other one's
    provider   TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    trained_on INTEGER NOT NULL,                -- chunks that the project had when it learned
    done_below INTEGER NOT NULL,                -- every document whose chunks are below this id has its vectors, or can have none
    chunks     INTEGER NOT NULL,                -- that have one
    is_current INTEGER NOT NULL                 -- 1 for one of them
  ) STRICT;
  -- Some MB each, which a change of a model's row is not to write again.
  CREATE TABLE model_states (
    model_id INTEGER PRIMARY KEY,
    state    BLOB NOT NULL
  ) STRICT;
  -- Rows by one number, and not WITHOUT ROWID: those take a fifth more for such rows. One for each chunk, since chunks are
  -- looked at here and there.
  CREATE TABLE vectors (
    id     INTEGER PRIMARY KEY,                 -- models.id * 2^32 + the chunk's id
    levels BLOB NOT NULL                        -- four bits a dimension, see vector-codec.ts
  ) STRICT;
  -- Of the chunks of a document, read for all documents before the first question.
  CREATE TABLE signatures (
    id   INTEGER PRIMARY KEY,                   -- models.id * 2^32 + documents.first_chunk
    bits BLOB NOT NULL                          -- 256 for each chunk, see vector-codec.ts
  ) STRICT;

  CREATE TRIGGER document_added AFTER INSERT ON documents BEGIN
    UPDATE facts SET chunks = chunks + new.chunks, next_chunk = max(next_chunk, new.first_chunk + max(new.chunks, 1));
  END;
  CREATE TRIGGER document_dropped AFTER DELETE ON documents BEGIN
    DELETE FROM layouts WHERE first_chunk = old.first_chunk;
    UPDATE models SET chunks = chunks - old.chunks
      WHERE EXISTS (SELECT 1 FROM signatures s WHERE s.id = models.id * 4294967296 + old.first_chunk);
    DELETE FROM vectors WHERE id IN (
      SELECT v.id FROM models m CROSS JOIN vectors v ON v.id >= m.id * 4294967296 + old.first_chunk
        AND v.id < m.id * 4294967296 + old.first_chunk + old.chunks);
    DELETE FROM signatures WHERE id IN (SELECT m.id * 4294967296 + old.first_chunk FROM models m);
    UPDATE facts SET chunks = chunks - old.chunks;
  END;
  CREATE TRIGGER model_dropped AFTER DELETE ON models BEGIN
    DELETE FROM model_states WHERE model_id = old.id;
  END;
  CREATE TRIGGER path_added AFTER INSERT ON paths BEGIN
    UPDATE facts SET next_chunk = max(next_chunk, new.id + 1);
  END;
  ${postingsSchema}
`;
