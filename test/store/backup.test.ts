import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { IndexDatabase } from '#src/store/index-database.js';
import { backup, checkStructure, lastMaintenance, recordMaintenance } from '#src/store/maintenance.js';
import { startScript } from '../harness/folder.js';
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

test('only the newest three backups are kept', async (t) => {
  const index = openIndex(t);
  const made: string[] = [];
  for (let day = 1; day <= 5; day += 1) made.push((await backup(index, day * 86_400_000)).path);
  const folder = join(dirname(index.path), 'backups');
  assert.deepEqual(
    readdirSync(folder)
      .sort()
      .map((name) => join(folder, name)),
    made.slice(2),
  );
});

test('a backup that cannot be made is an error, and leaves the older ones', async (t) => {
  const index = openIndex(t);
  const older = (await backup(index, 1)).path;
  const folder = join(dirname(index.path), 'backups');
  // A folder in the way of the new one cannot be replaced.
  mkdirSync(join(folder, 'index-1970-01-01T00-00-00-002Z.db'));
  await assert.rejects(backup(index, 2));
  assert.deepEqual(readdirSync(folder).sort(), [basename(older), 'index-1970-01-01T00-00-00-002Z.db']);
});

test('what was last done to the database is remembered', async (t) => {
  const index = openIndex(t);
  assert.equal(lastMaintenance(index, 'check'), undefined);
  await index.write(() => recordMaintenance(index, 'check', 'damaged', 7));
  await index.write(() => recordMaintenance(index, 'check', 'ok', 8));
  assert.deepEqual(lastMaintenance(index, 'check'), { at: 8, outcome: 'ok' });
  assert.equal(lastMaintenance(index, 'backup'), undefined);
});
