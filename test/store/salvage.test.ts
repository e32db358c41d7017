import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { insertCheckpoint } from '#src/store/checkpoints.js';
import { markDeleted } from '#src/store/file-states.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { type Salvaged, salvage } from '#src/store/salvage/salvage.js';
import { temporaryFolder } from '../harness/folder.js';
import { addContent, addFile, addProject } from './index-fixture.js';

const work = { signal: new AbortController().signal, progress: () => undefined };
const pageBytes = 4_096;
/** `npm run test:faults` damages every page, one after the other. */
const pageShare = process.env['CODEKEEP_FAULTS'] === 'all' ? 1 : 6;
/** One page of so many, in no order that the pages of a table may have, too (Knuth's multiplicative hash). */
const isTried = (page: number): boolean => (Math.imul(page, 2_654_435_761) >>> 8) % pageShare === 0;

/** Tables whose rows nothing else could give back. */
const kept = [
  'projects',
  'files',
  'contents',
  'folders',
  'version_dirs',
  'repair_runs',
  'repair_actions',
  'revisions',
  'checkpoints',
] as const;
type Rows = Record<(typeof kept)[number], string[]>;

function rowsOf(path: string): Rows {
  const index = IndexDatabase.openReadOnly(path);
  try {
    const of = (table: string): string[] =>
      index
        .sql<[], Record<string, unknown>>(`SELECT * FROM ${table}`)
        .all()
        .map((row) => JSON.stringify(row))
        .sort();
    return Object.fromEntries(kept.map((table) => [table, of(table)])) as Rows;
  } finally {
    index.close();
  }
}

/** An index with files of all sizes, in a few hundred pages. */
function makeIndex(path: string): void {
  const index = IndexDatabase.open(path);
  index.db.transaction(() => {
    for (const root of ['/one', '/two']) {
      const project = addProject(index, root);
      index.sql('INSERT INTO version_dirs VALUES (?, 1)').run(`${root}/data/versions`);
      index
        .sql(
          `INSERT INTO repair_runs (run_id, project_id, origin, state, root_dir, version_dir, started_at, finished_at)
           VALUES (?, ?, ?, ?, ?, ?, 1, 2)`,
        )
        .run(project, project, 'command', 'done', root, `${root}/data/versions`);
      for (let number = 0; number < 60; number += 1) {
        const bytes = Buffer.concat([Buffer.from(`file ${root} ${number}\n`), randomBytes(number * 90)]);
        const hash = addContent(index, bytes);
        const id = addFile(index, project, `src/part${number % 7}/file-${number}.py`, {
          sha256: hash,
          size: bytes.length,
          mtimeNs: '1764380000123456789',
          xattrs: number % 10 === 0 ? '{"user.a":"Yg=="}' : null,
        });
        index
          .sql(
            `INSERT INTO repair_actions (run_id, project_id, file_id, path, verdict, state, targets) VALUES (?, ?, ?, ?, ?, ?, ?)`,
          )
          .run(project, project, id, `file-${number}.py`, 'set_deleted', 'done', '');
        index.sql('INSERT OR IGNORE INTO folders VALUES (?, ?, 493, 0, 0)').run(project, `src/part${number}`);
        // What it was before is kept, too.
        addFile(
          index,
          project,
          `src/part${number % 7}/file-${number}.py`,
          { sha256: hash, mode: 0o755 },
          100_000,
        );
        if (number % 3 === 0) markDeleted(index, id, 'seen', 200_000);
      }
      insertCheckpoint(index, project, {
        checkpointId: root === '/one' ? 'c0a1b2c3d' : 'c1234abcd',
        label: 'kept',
        at: 150_000,
      });
    }
  })();
  index.close();
}

async function salvaged(
  t: Pick<TestContext, 'after'>,
  path: string,
): Promise<{ rows: Rows; report: Salvaged }> {
  const target = join(temporaryFolder(t), 'new.db');
  const report = await salvage(path, target, work);
  const rows = rowsOf(target);
  unlinkSync(target);
  return { rows, report };
}

function overwrite(path: string, offset: number, bytes: Buffer): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

test('of a sound index every row is carried over, exactly, and nothing is said to be lost', async (t) => {
  const path = join(temporaryFolder(t), 'index.db');
  makeIndex(path);
  const before = readFileSync(path);
  const { rows, report } = await salvaged(t, path);
  assert.deepEqual(rows, rowsOf(path));
  assert.deepEqual(report, {
    unreadable: {},
    named: [],
    namedContents: [],
    traces: [],
    isBlind: { files: false, contents: false },
    missingChanges: 0,
  });
  assert.ok(readFileSync(path).equals(before));
});

const damages: Record<string, (path: string, page: number) => void> = {
  wiped: (path, page) => overwrite(path, (page - 1) * pageBytes, Buffer.alloc(pageBytes)),
  'filled with garbage': (path, page) => overwrite(path, (page - 1) * pageBytes, randomBytes(pageBytes)),
  'hit in its first byte': (path, page) =>
    overwrite(path, (page - 1) * pageBytes + (page === 1 ? 100 : 0), Buffer.from([0xff])),
};

for (const [how, damage] of Object.entries(damages))
  test(`wherever a page is ${how}, all others are carried over, and what is gone is named`, async (t) => {
    const folder = temporaryFolder(t);
    const sound = join(folder, 'sound.db');
    makeIndex(sound);
    const before = rowsOf(sound);
    const paths = new Map(
      before.files.map((text) => {
        const { path, project_id } = JSON.parse(text) as { path: string; project_id: string };
        return [text, `${project_id} ${path}`];
      }),
    );
    const pages = statSync(sound).size / pageBytes;
    const path = join(folder, 'index.db');
    let lost = 0;
    for (let page = 1; page <= pages; page += 1) {
      if (!isTried(page)) continue;
      copyFileSync(sound, path);
      damage(path, page);
      const { rows, report } = await salvaged(t, path);
      for (const table of kept) {
        const gone = before[table].filter((row) => !rows[table].includes(row));
        const invented = rows[table].filter((row) => !before[table].includes(row));
        assert.deepEqual(invented, [], `page ${page} of ${table}`);
        // What lies on one page; a content that goes on over several is gone with one of them.
        assert.ok(gone.length <= 100, `page ${page} costs ${gone.length} rows of ${table}`);
        lost += gone.length;
        if (table === 'files') {
          const named = new Set(report.named.map((one) => `${one.projectId} ${one.path}`));
          const unnamed = gone.filter((row) => !named.has(paths.get(row) ?? ''));
          assert.deepEqual(unnamed, [], `page ${page}`);
        }
        if (table === 'projects' && gone.length > 0) {
          const known = report.traces.map(({ rootDir }) => rootDir).sort();
          assert.deepEqual(known, ['/one', '/two'], `page ${page}`);
        }
        if (table === 'contents') {
          const unnamed = gone.filter((row) => !report.namedContents.some((hash) => row.includes(hash)));
          assert.deepEqual(unnamed, [], `page ${page}`);
        } else if (gone.length > 0) assert.notDeepEqual(report.unreadable, {}, `page ${page} of ${table}`);
      }
    }
    // A page whose first byte alone is wrong can mostly be read; of all pages some cannot.
    assert.ok(lost > 0 || (how === 'hit in its first byte' && pageShare > 1));
  });

test('of a file that was cut off anywhere, what is left is carried over', async (t) => {
  const folder = temporaryFolder(t);
  const sound = join(folder, 'sound.db');
  makeIndex(sound);
  const before = rowsOf(sound);
  const path = join(folder, 'index.db');
  for (let size = 0; size < statSync(sound).size; size += 5 * pageBytes + 100) {
    copyFileSync(sound, path);
    truncateSync(path, size);
    const { rows, report } = await salvaged(t, path);
    for (const table of kept)
      assert.deepEqual(
        rows[table].filter((row) => !before[table].includes(row)),
        [],
      );
    assert.notDeepEqual(report.unreadable, {}, String(size));
  }
});

/** Makes an index whose last changes are in its log only. */
function makeLogged(folder: string): { path: string; rows: Rows } {
  const live = join(folder, 'live.db');
  makeIndex(live);
  const index = IndexDatabase.open(live);
  const project = index.sql<[], { id: string }>('SELECT id FROM projects LIMIT 1').get()?.id ?? '';
  for (let number = 0; number < 30; number += 1)
    index.db.transaction(() => {
      const sha256 = addContent(index, `late ${number}\n`.repeat(500));
      addFile(index, project, `late-${number}.py`, { sha256 });
    })();
  const path = join(folder, 'index.db');
  // As a crash leaves them.
  copyFileSync(live, path);
  copyFileSync(`${live}-wal`, `${path}-wal`);
  const rows = rowsOf(live);
  index.close();
  return { path, rows };
}

test('what is only in the log is carried over, also around a frame that is damaged', async (t) => {
  const { path, rows: before } = makeLogged(temporaryFolder(t));
  const log = readFileSync(`${path}-wal`);
  const { rows } = await salvaged(t, path);
  assert.deepEqual(rows, before);
  for (const frame of [0, 7, 50]) {
    writeFileSync(`${path}-wal`, log);
    overwrite(`${path}-wal`, 32 + frame * (24 + pageBytes) + 24 + 10, randomBytes(100));
    const after = await salvaged(t, path);
    const gone = before.files.filter((row) => !after.rows.files.includes(row));
    assert.ok(gone.length <= 10, `${gone.length}`);
    assert.notDeepEqual(after.report.unreadable, {});
  }
  // Its header is damaged: the frames still prove one another.
  writeFileSync(`${path}-wal`, log);
  overwrite(`${path}-wal`, 0, Buffer.alloc(32, 0xff));
  const after = await salvaged(t, path);
  assert.deepEqual(after.rows.files, before.files);
});

test('under the log of another index, what the file itself has is carried over', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'index.db');
  makeIndex(path);
  const before = rowsOf(path);
  const other = makeLogged(temporaryFolder(t));
  copyFileSync(`${other.path}-wal`, `${path}-wal`);
  const { rows } = await salvaged(t, path);
  // A file of the other index may have come to have its id.
  const withoutId = (row: string): string => row.replace(/"id":\d+,/u, '');
  for (const table of ['projects', 'files', 'contents'] as const) {
    const found = new Set(rows[table].map(withoutId));
    assert.deepEqual(
      before[table].filter((row) => !found.has(withoutId(row))),
      [],
      table,
    );
  }
  assert.ok(existsSync(`${path}-wal`));
});
