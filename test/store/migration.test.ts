/** The index of an earlier release, as that release made it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import Database from 'better-sqlite3';
import { CodekeepError } from '#src/base/errors.js';
import { canGiveBack, compactWhole, hasSurplusPages } from '#src/store/compaction.js';
import { renderContent } from '#src/store/contents.js';
import { countFiles, pageOfFiles } from '#src/store/files.js';
import { IndexDatabase, isOlder } from '#src/store/index-database.js';
import { listRuns } from '#src/store/journal.js';
import { checkStructure } from '#src/store/maintenance.js';
import { listProjects } from '#src/store/projects.js';
import { salvage } from '#src/store/salvage/salvage.js';
import { migrations } from '#src/store/schema.js';
import { temporaryFolder } from '../harness/folder.js';
import { preciousIn, writeOlderIndex } from './release-fixture.js';

function olderIndex(t: Pick<TestContext, 'after'>): string {
  const path = join(temporaryFolder(t), 'index.db');
  writeOlderIndex(path);
  return path;
}

test('an index of the release before is brought up to date with every row that is precious', (t) => {
  const path = olderIndex(t);
  assert.ok(isOlder(path));
  const before = preciousIn(path);
  const index = IndexDatabase.open(path);
  t.after(() => index.close());
  assert.deepEqual(preciousIn(path), before);
  const [project] = listProjects(index);
  assert.ok(project !== undefined);
  const { total, active, deleted, ignored, notRestorable, chunks } = countFiles(index, project.id);
  assert.deepEqual([total, active, deleted, ignored, notRestorable, chunks], [11, 9, 1, 1, 0, 0]);
  const rows = pageOfFiles(index, project.id, { filter: 'all', prefix: '', after: '', limit: 100 });
  for (const row of rows) assert.ok('bytes' in renderContent(index, row.sha256), row.path);
  assert.deepEqual(
    rows.filter(({ kind, extractor }) => kind === 'file' && extractor !== null),
    [],
  );
  assert.equal(listRuns(index, project.id, 10).length, 1);
  assert.deepEqual(checkStructure(index, true), []);
  assert.equal(isOlder(path), false);
});

test('what was in it of search leaves the file, which gives pages back in steps from then on', (t) => {
  const path = olderIndex(t);
  const index = IndexDatabase.open(path);
  t.after(() => index.close());
  assert.equal(canGiveBack(index), false);
  compactWhole(index);
  assert.equal(canGiveBack(index), true);
  assert.equal(hasSurplusPages(index), false);
  assert.equal(index.db.pragma('freelist_count', { simple: true }), 0);
  assert.deepEqual(checkStructure(index, true), []);
});

test('an index of the release before that is damaged is salvaged as it is, and brought up to date then', async (t) => {
  const path = olderIndex(t);
  const before = preciousIn(path);
  const target = join(temporaryFolder(t), 'new.db');
  const work = { signal: new AbortController().signal, progress: () => undefined };
  const report = await salvage(path, target, work);
  assert.deepEqual(report.unreadable, {});
  const index = IndexDatabase.open(target);
  t.after(() => index.close());
  assert.deepEqual(preciousIn(target), before);
  assert.deepEqual(checkStructure(index, true), []);
});

test('an index of a later release is refused, and says what to do', (t) => {
  const path = olderIndex(t);
  const db = new Database(path);
  db.pragma(`user_version = ${migrations.length + 1}`);
  db.close();
  const bytes = readFileSync(path);
  assert.throws(
    () => IndexDatabase.open(path),
    (error) =>
      error instanceof CodekeepError && /Start the version of codekeep that wrote it/u.test(error.hint),
  );
  assert.ok(readFileSync(path).equals(bytes));
});
