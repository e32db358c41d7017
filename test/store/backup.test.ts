import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { closeSync, copyFileSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import * as fc from 'fast-check';
import { IndexDatabase, isOlder } from '#src/store/index-database.js';
import { backup, backupBeforeMigration, surplusOf } from '#src/store/backups.js';
import { checkStructure, lastMaintenance, recordMaintenance } from '#src/store/maintenance.js';
import { migrations } from '#src/store/schema.js';
import { startScript, temporaryFolder } from '../harness/folder.js';
import { within } from '../harness/waiting.js';
import { addContent, countRows, openIndex } from './index-fixture.js';

/** Together more than a backup copies in one step: it is at work while the other process commits. */
const contentCount = 120;
const contentBytes = 200_000;

/** Each transaction adds one project and one file of it: in a consistent copy there are as many of both. */
const writer = `
  import { addFile, addProject } from './../store/index-fixture.js';
  import { IndexDatabase } from '#src/store/index-database.js';
  const index = IndexDatabase.open(process.argv[1]);
  console.log('writing');
  for (;;) await index.write(() => addFile(index, addProject(index), 'x'.repeat(500)));
`;

test('a backup is whole and consistent although another process writes all the time', async (t) => {
  const index = openIndex(t);
  const incompressible = (): Buffer => randomBytes(contentBytes);
  await index.write(() => {
    for (let number = 0; number < contentCount; number += 1) addContent(index, incompressible());
  });
  const child = await startScript(t, writer, index.path);
  // Each write of another process makes SQLite begin its copy anew: without an end to that it would take for ever.
  const { path, bytes } = await within('the backup', backup(index, 1_000), 60_000);
  assert.equal(child.exitCode, null);
  const copy = IndexDatabase.open(path);
  t.after(() => copy.close());
  assert.deepEqual(checkStructure(copy), []);
  assert.equal(countRows(copy, 'files'), countRows(copy, 'projects'));
  assert.equal(countRows(copy, 'contents'), contentCount);
  assert.ok(bytes > 0);
});

test('seven backups are kept: of each day the newest, as far as that goes', async (t) => {
  const index = openIndex(t);
  const made: string[] = [];
  for (let day = 1; day <= 9; day += 1) made.push((await backup(index, day * 86_400_000)).path);
  // A day on which much is repaired costs no other day its backup, but for the oldest.
  for (let hour = 1; hour <= 5; hour += 1)
    made.push((await backup(index, 9 * 86_400_000 + hour * 3_600_000)).path);
  const folder = join(dirname(index.path), 'backups');
  assert.deepEqual(
    readdirSync(folder)
      .sort()
      .map((name) => join(folder, name)),
    [...made.slice(2, 8), made.at(-1)],
  );
});

test('what goes is always surplus, never the newest, and days are kept before hours', () => {
  const time = fc
    .integer({ min: 0, max: 20 * 24 })
    .map((hour) => `index-${new Date(hour * 3_600_000).toISOString().replaceAll(/[:.]/g, '-')}.db`);
  const days = (names: readonly string[]): number => new Set(names.map((name) => name.slice(0, 16))).size;
  fc.assert(
    fc.property(fc.uniqueArray(time, { maxLength: 30 }), fc.integer({ min: 1, max: 9 }), (names, kept) => {
      const surplus = surplusOf(names, kept);
      const left = names.filter((name) => !surplus.includes(name)).sort();
      assert.equal(left.length, Math.min(names.length, kept));
      assert.equal(left.at(-1), [...names].sort().at(-1));
      assert.equal(days(left), Math.min(days(names), kept));
    }),
  );
});

test('a copy goes where somebody wants it, onto nothing, and only while it is whole', async (t) => {
  const index = openIndex(t);
  await index.write(() => addContent(index, Buffer.from('content')));
  const folder = temporaryFolder(t);
  const to = join(folder, 'copy.db');
  const { path, bytes, problems } = await backup(index, 1, { to });
  assert.deepEqual([path, problems, readdirSync(folder)], [to, [], ['copy.db']]);
  assert.ok(bytes > 0);
  await assert.rejects(backup(index, 2, { to }), { code: 'TARGET_FILE_EXISTS' });
  await assert.rejects(backup(index, 2, { to: join(folder, 'no/such/folder.db') }));
  assert.deepEqual(readdirSync(folder), ['copy.db']);
});

test('a copy of what is damaged says so, and pushes out none that is sound', async (t) => {
  const index = openIndex(t);
  await index.write(() => {
    for (let number = 0; number < 20; number += 1) addContent(index, randomBytes(20_000));
  });
  const sound: string[] = [];
  for (let day = 1; day <= 7; day += 1) sound.push(basename((await backup(index, day * 86_400_000)).path));
  index.db.pragma('wal_checkpoint(TRUNCATE)');
  const pages = Number(index.db.pragma('page_count', { simple: true }));
  // A page in the middle, as a disk would lose it.
  const fd = openSync(index.path, 'r+');
  writeSync(fd, Buffer.alloc(4_096, 0xff), 0, 4_096, Math.floor(pages / 2) * 4_096);
  closeSync(fd);
  const { problems, path } = await backup(index, 8 * 86_400_000);
  assert.ok(problems.length > 0);
  const names = readdirSync(join(dirname(index.path), 'backups')).sort();
  assert.deepEqual(names, [...sound, basename(path)]);
});

test('a backup that cannot be made is an error, and leaves the older ones', async (t) => {
  const index = openIndex(t);
  const older = (await backup(index, 1)).path;
  const folder = join(dirname(index.path), 'backups');
  await assert.rejects(backup(index, 2, { signal: AbortSignal.abort(new Error('enough')) }), {
    message: 'enough',
  });
  assert.deepEqual(readdirSync(folder), [basename(older)]);
});

test('what was last done to the database is remembered', async (t) => {
  const index = openIndex(t);
  assert.equal(lastMaintenance(index, 'check'), undefined);
  await index.write(() => recordMaintenance(index, 'check', 'damaged', 7));
  await index.write(() => recordMaintenance(index, 'check', 'ok', 8));
  assert.deepEqual(lastMaintenance(index, 'check'), { at: 8, outcome: 'ok' });
  assert.equal(lastMaintenance(index, 'backup'), undefined);
});

test('before its schema is changed, an index of an older version is backed up; where that fails, it stays as it is', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'index.db');
  const older = new Database(path);
  for (const migration of migrations.slice(0, 3)) older.exec(migration);
  older.pragma('user_version = 3');
  older.pragma('journal_mode = WAL');
  older.close();
  assert.equal(isOlder(path), true);
  const made = await backupBeforeMigration(path, 1, (work) => work());
  assert.ok(made !== null);
  assert.equal(await backupBeforeMigration(path, 2, (work) => work()), null, 'once is enough');
  assert.equal(isOlder(made), true, 'the copy is of the older version');
  IndexDatabase.open(path).close();
  assert.equal(isOlder(path), false);
  const names = readdirSync(join(folder, 'backups')).filter((name) => name.endsWith('.db'));
  assert.deepEqual(names, [basename(made)]);
  const other = join(temporaryFolder(t), 'index.db');
  copyFileSync(made, other);
  writeFileSync(join(dirname(other), 'backups'), 'in the way');
  await assert.rejects(
    backupBeforeMigration(other, 2, (work) => work()),
    { code: 'INDEX_UNAVAILABLE' },
  );
  assert.equal(isOlder(other), true);
});
