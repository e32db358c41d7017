import type { Statement } from '../connection.js';

/** What the inverted index needs of a connection to the database that it lives in. */
export interface DerivedConnection {
  /** The prepared statement for `text`, prepared once. */
  sql<P extends unknown[] = unknown[], R = unknown>(text: string): Statement<P, R>;
}

/** The tables of the inverted index: words to the chunks that have them. */
export const postingsSchema = `
  -- An immutable part of the index: all words of the chunks of a range of ids. Ranges of live segments do not meet.
  CREATE TABLE posting_segments (
    id          INTEGER PRIMARY KEY,
    -- building: being merged from others, not to be read; replaced: merged into another, not to be read, its blocks
    -- are being deleted
    state       TEXT NOT NULL CHECK (state IN ('building', 'live', 'replaced')),
    first_chunk INTEGER NOT NULL,               -- chunk ids, both inclusive
    last_chunk  INTEGER NOT NULL,
    chunks      INTEGER NOT NULL,               -- chunks in it when it was begun
    dead        INTEGER NOT NULL DEFAULT 0,     -- of these, dropped since
    bytes       INTEGER NOT NULL,               -- size of its blocks
    merged_into INTEGER,                        -- of a live one: the building segment that is to replace it
    through     BLOB                            -- of a building one: the last word that is merged; NULL before the first
  ) STRICT;

  -- Neighbouring words of a segment, some hundred of rare ones. Words are CESU-8, which sorts as UTF-16 does. No
  -- WITHOUT ROWID table: SQLite reads the whole of a row that overflows to compare its key.
  CREATE TABLE posting_blocks (
    id        INTEGER PRIMARY KEY,
    segment   INTEGER NOT NULL,                 -- posting_segments.id
    word      BLOB NOT NULL,                    -- its first word
    checksum  INTEGER NOT NULL,                 -- CRC-32 of word, directory and entries: SQLite does not see a damaged value
    -- for each word in order: bytes shared with the word before (0 for the first, which is not repeated), length of
    -- the rest, the rest, number of entries, bytes of entries; all numbers LEB128
    directory BLOB NOT NULL,
    -- one word's after the other's: distance of the chunk id from the one before (LEB128, the first from -1), level (1 byte)
    entries   BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX posting_blocks_by_word ON posting_blocks(segment, word);
`;
