import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { IndexDatabase } from '#src/store/index-database.js';
import { holdStateLock } from '#src/store/lock.js';
import { migrations } from '#src/store/schema.js';
import { asNobody, startScript, temporaryFolder } from '../harness/folder.js';
import { addFile, addProject, countRows, openIndex } from './index-fixture.js';

const versionOf = (index: IndexDatabase): unknown => index.db.pragma('user_version', { simple: true });

test('a new index gets the whole schema, and opening it again changes nothing', (t) => {
  const path = join(temporaryFolder(t), 'index.db');
  const first = IndexDatabase.open(path);
  assert.equal(versionOf(first), migrations.length);
  const schema = first.sql('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all();
  first.close();
  const second = IndexDatabase.open(path);
  t.after(() => second.close());
  assert.deepEqual(second.sql('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all(), schema);
  assert.equal(second.db.pragma('journal_mode', { simple: true }), 'wal');
  assert.equal(second.db.pragma('synchronous', { simple: true }), 2);
  assert.equal(second.db.pragma('foreign_keys', { simple: true }), 1);
});

test('every table is strict', (t) => {
  const index = openIndex(t);
  const loose = index
    .sql<[], { name: string }>(
      `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0
       AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'chunk_words%'`,
    )
    .all();
  assert.deepEqual(loose, []);
});

test('a schema of a newer version is refused, and left as it is', (t) => {
  const path = join(temporaryFolder(t), 'index.db');
  const index = IndexDatabase.open(path);
  index.db.pragma(`user_version = ${migrations.length + 1}`);
  index.close();
  const refused = { code: 'INDEX_UNAVAILABLE', message: new RegExp(`version ${migrations.length + 1}`, 'u') };
  assert.throws(() => IndexDatabase.open(path), refused);
  assert.throws(() => IndexDatabase.openReadOnly(path), refused);
});

test('what is no database is called damaged, and left as it is', (t) => {
  const path = join(temporaryFolder(t), 'index.db');
  writeFileSync(path, 'this is no database, and long enough not to be taken for an empty one'.repeat(20));
  assert.throws(() => IndexDatabase.open(path), { code: 'DATABASE_CORRUPT' });
});

test('a connection for looking cannot write', (t) => {
  const index = openIndex(t);
  const readOnly = IndexDatabase.openReadOnly(index.path);
  t.after(() => readOnly.close());
  assert.throws(() => addProject(readOnly), { code: 'SQLITE_READONLY' });
});

const lockHolder = `
  import Database from 'better-sqlite3';
  const db = new Database(process.argv[1]);
  db.exec('BEGIN IMMEDIATE');
  console.log('locked');
  process.stdin.once('data', () => { db.exec('COMMIT'); console.log('released'); });
`;

test('a write waits for the lock of another process, and meanwhile the loop turns', async (t) => {
  const index = openIndex(t);
  const holder = await startScript(t, lockHolder, index.path);
  let isWritten = false;
  const writing = index.write(() => addProject(index)).then(() => (isWritten = true));
  const gaps: number[] = [];
  let last = performance.now();
  for (let turn = 0; turn < 60; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    gaps.push(performance.now() - last);
    last = performance.now();
  }
  assert.equal(isWritten, false);
  gaps.sort((a, b) => a - b);
  assert.ok((gaps[Math.floor(gaps.length / 2)] ?? 999) < 50, `the loop stood for ${gaps.at(-1)} ms`);
  holder.stdin?.write('go\n');
  await writing;
  assert.equal(countRows(index, 'projects'), 1);
});

test('a write that waits ends when it is aborted', async (t) => {
  const index = openIndex(t);
  await startScript(t, lockHolder, index.path);
  const stop = new AbortController();
  const writing = index.write(() => addProject(index), stop.signal);
  setTimeout(() => stop.abort(new Error('stopped')), 30);
  await assert.rejects(writing, /stopped/);
});

test('the lock of a killed writer is free, and nothing of it is left', async (t) => {
  const index = openIndex(t);
  const writer = await startScript(
    t,
    `import Database from 'better-sqlite3';
     const db = new Database(process.argv[1]);
     db.exec("BEGIN IMMEDIATE; INSERT INTO maintenance VALUES ('check', 1, 'half')");
     console.log('locked');
     setInterval(() => {}, 1000);`,
    index.path,
  );
  writer.kill('SIGKILL');
  await once(writer, 'exit');
  await index.write(() => addProject(index));
  assert.equal(countRows(index, 'maintenance'), 0);
});

test('a transaction that throws leaves nothing', async (t) => {
  const index = openIndex(t);
  const failing = index.write(() => {
    addFile(index, addProject(index), 'a');
    throw new Error('no');
  });
  await assert.rejects(failing, /no/);
  assert.deepEqual([countRows(index, 'projects'), countRows(index, 'files')], [0, 0]);
});

const stateLockHolder = `
  import { holdStateLock } from '#src/store/lock.js';
  await holdStateLock(process.argv[1]);
  console.log('held');
  setInterval(() => {}, 1000);
`;

test('a state directory has one holder; SIGKILL of it frees the lock', async (t) => {
  const path = join(temporaryFolder(t), 'lock');
  const holder = await startScript(t, stateLockHolder, path);
  const startedAt = performance.now();
  await assert.rejects(holdStateLock(path), { code: 'INDEX_UNAVAILABLE' });
  assert.ok(performance.now() - startedAt < 1_000, 'it must not wait');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const lock = await holdStateLock(path);
  await assert.rejects(holdStateLock(path), { code: 'INDEX_UNAVAILABLE' });
  lock.release();
  (await holdStateLock(path)).release();
});

test('a state directory of another user is refused in words', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'state'), { mode: 0o700 });
  await asNobody(async () => {
    await assert.rejects(holdStateLock(join(folder, 'state', 'lock.db')), {
      code: 'INDEX_UNAVAILABLE',
      message: /or not this user's/u,
    });
  });
});
