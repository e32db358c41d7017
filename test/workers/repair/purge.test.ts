/** What is purged is not in any file any more: looked for byte by byte, in the form in which it was there before. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import Database from 'better-sqlite3';
import type { PurgeReport, PurgeScope } from '#src/base/ipc.js';
import { cleanUpDeleted } from '#src/reconcile/cleanup.js';
import { sha256 } from '#src/base/hash.js';
import { backup, olderCopies } from '#src/store/backups.js';
import { canGiveBack } from '#src/store/compaction.js';
import { hasContent, renderContent, sourceOf, treeOf } from '#src/store/contents.js';
import { derivedPath } from '#src/store/derived/derived-database.js';
import { stateAt, statesOf, versionId } from '#src/store/history.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { checkContents, checkStructure } from '#src/store/maintenance.js';
import { packPast } from '#src/store/packing.js';
import { replacedPath } from '#src/store/replace-index.js';
import { countDamaged, noteDamaged } from '#src/store/scrub.js';
import { planPurgeOf, purge } from '#src/workers/repair/purge.js';
import { filesWith } from '../../harness/bytes.js';
import { waitFor } from '../../harness/waiting.js';
import { copies, snapshot, TestProject } from '../../reconcile/project-fixture.js';
import { addFile, addProject } from '../../store/index-fixture.js';
import { writeOlderIndex } from '../../store/release-fixture.js';

const call = {
  signal: new AbortController().signal,
  progress: () => undefined,
  longStep: <T>(_longestMs: number, work: () => T): T => work(),
};
const secret = 'password = "correct-horse-battery-staple-7f3a9c1e5d"\n';
const hash = sha256(Buffer.from(secret));

const scopeOf = (project: TestProject, given: Partial<PurgeScope>): PurgeScope => ({
  project_id: project.projectId,
  paths: null,
  version_ids: null,
  sha256: null,
  backups: 'rewrite',
  ...given,
});

/** As a worker does it, which has the index to itself. */
async function purged(project: TestProject, given: Partial<PurgeScope>): Promise<PurgeReport> {
  project.close();
  const report = await purge(join(project.stateDir, 'index.db'), scopeOf(project, given), call);
  project.reopen();
  return report;
}

async function planned(project: TestProject, given: Partial<PurgeScope>): Promise<PurgeReport> {
  return await planPurgeOf(project.index.path, scopeOf(project, given), call);
}

/** A project in which a secret was in a file that is there, in one that is deleted, and is in a backup. */
async function leaky(t: TestContext): Promise<TestProject> {
  const project = new TestProject(t);
  let at = Date.now();
  project.now = () => (at += 5_000);
  project.write('edited.py', secret);
  project.write('lib/gone.py', `gone = 1\n`);
  project.write('other.py', 'other = 1\n');
  await project.reconcile();
  project.write('lib/gone.py', secret);
  await project.reconcile();
  await backup(project.index, 1);
  project.write('edited.py', 'password = ask()\n');
  project.remove('lib');
  await project.reconcile();
  return project;
}

/** In which forms it may be in a file: as it is, as it is stored, as it is compressed by itself, and by its hash. */
function needlesOf(project: TestProject): (Buffer | string)[] {
  const stored = treeOf(project.index, hash) ?? assert.fail('it is not stored');
  return [secret.slice(0, -1), stored, deflateRawSync(secret), hash, Buffer.from(hash, 'hex')];
}

function left(project: TestProject, needles: readonly (Buffer | string)[]): string[] {
  const { path } = project.index;
  for (const db of [path, derivedPath(path, project.projectId)])
    if (existsSync(db)) new Database(db).pragma('wal_checkpoint(PASSIVE)');
  return filesWith(project.stateDir, needles);
}

test('by its paths it goes from the index, its log, the backups, versions and what search knows', async (t) => {
  const project = await leaky(t);
  const needles = needlesOf(project);
  const [copy = ''] = olderCopies(project.index.path);
  const before = left(project, needles);
  const versionsFile = `versions/${project.projectId}/lib/gone.py`;
  const derivedFile = `derived/${project.projectId}.db`;
  for (const path of ['index.db', versionsFile, derivedFile, copy.slice(project.stateDir.length + 1)])
    assert.ok(before.includes(path), `${path} has it: ${before.join(' ')}`);

  const files = snapshot(project.root);
  const paths = ['edited.py', 'lib'];
  const everything = snapshot(project.stateDir);
  const plan = await planned(project, { paths });
  assert.deepEqual(snapshot(project.stateDir), everything, 'a dry run is pure');
  const { purged: done } = await purged(project, { paths });
  assert.deepEqual(done, plan.purged);
  assert.deepEqual(
    { ...done.removed, vectors: 0 },
    { rows: 4, versions: 1, contents: 2, vectors: 0, backups: 1 },
  );
  assert.deepEqual(done.backups, [{ path: copy, held: true, done: 'rewritten' }]);
  assert.deepEqual(
    done.kept.map(({ path, reason }) => [path, reason.split(':')[0]]),
    [['edited.py', 'it is still in the project']],
  );

  assert.deepEqual(left(project, needles), []);
  assert.deepEqual(snapshot(project.root), files, 'nothing in the project is touched');
  assert.deepEqual(copies(project), {});
  assert.equal(existsSync(project.versions.pathOf('lib')), false, 'nor an empty folder is left');
  assert.deepEqual(checkStructure(project.index, true), []);
  assert.ok(canGiveBack(project.index));
  assert.ok(hasContent(project.index, project.row('other.py').sha256 ?? ''));
  const again = await purged(project, { paths });
  assert.equal(again.purged.removed.rows, 0);
});

test('the path is known to have been something; a deleted one is not there any more, and no repair misses it', async (t) => {
  const project = await leaky(t);
  const { id } = project.project;
  const whenIn = stateOfSecret(project, 'edited.py');
  await purged(project, { paths: ['edited.py', 'lib/gone.py'] });
  assert.equal(stateAt(project.index, id, 'edited.py', whenIn)?.state, 'purged');
  assert.equal(stateAt(project.index, id, 'edited.py', Date.now() + 1e9)?.state, 'file');
  const states = statesOf(project.index, id, 'lib/gone.py', Number.MAX_SAFE_INTEGER, 10);
  assert.deepEqual(
    states.map(({ state, size, sha256: content }) => [state, size, content]),
    [
      ['deleted', 0, null],
      ['purged', 0, null],
      ['purged', 0, null],
    ],
  );
  assert.equal(project.rows().has('lib/gone.py'), false);
  const { plan } = await project.repair();
  assert.deepEqual([plan.actions, plan.unrestorable, plan.unknown], [[], [], []]);
  // What comes there later is new.
  project.write('lib/gone.py', 'new = 1\n');
  await project.reconcile();
  assert.equal(stateAt(project.index, id, 'lib/gone.py', Date.now() + 1e9)?.size, 8);
});

function stateOfSecret(project: TestProject, path: string): number {
  const states = statesOf(project.index, project.projectId, path, Number.MAX_SAFE_INTEGER, 10);
  return states.find(({ sha256: content }) => content === hash)?.seenAt ?? assert.fail('no such state');
}

test('of versions only those go that are named, and a deleted file is what it was before', async (t) => {
  const project = await leaky(t);
  const needles = needlesOf(project);
  const version = (path: string): string => versionId(project.row(path).id, stateOfSecret(project, path));
  const only = await planned(project, { version_ids: [version('lib/gone.py')] });
  assert.deepEqual(only.purged.removed, { rows: 2, versions: 1, contents: 0, vectors: 0, backups: 1 });
  assert.deepEqual(
    only.purged.kept.map(({ path, version_id, reason }) => [path, version_id, reason]),
    [['edited.py', version('edited.py'), 'it has the same content, and was not chosen']],
  );
  await purged(project, { version_ids: [version('lib/gone.py'), version('edited.py')] });
  assert.deepEqual(left(project, needles), []);
  const row = project.row('lib/gone.py');
  assert.deepEqual([row.deleted, row.size, row.copyProblem === null], [1, 9, false]);
  await project.reconcile();
  assert.equal(readFileSync(project.versions.pathOf('lib/gone.py'), 'utf8'), 'gone = 1\n');
  await assert.rejects(planned(project, { version_ids: ['v999-1', 'nonsense'] }), /has no version v999-1/u);
});

test('by its hash it goes from whatever had it, also where a backup alone knows it', async (t) => {
  const project = await leaky(t);
  const needles = needlesOf(project);
  project.index.sql('DELETE FROM revisions WHERE sha256 = ?').run(hash);
  project.index.sql('DELETE FROM files WHERE sha256 = ?').run(hash);
  project.index.sql('DELETE FROM contents WHERE sha256 = ?').run(hash);
  const { purged: done } = await purged(project, { sha256: hash });
  assert.deepEqual(
    { ...done.removed, vectors: 0 },
    { rows: 0, versions: 1, contents: 0, vectors: 0, backups: 1 },
  );
  assert.deepEqual(left(project, needles), []);
  assert.match((await purged(project, { sha256: hash })).purged.message, /^nothing is known of it/u);
});

test('what retention or somebody let go before is in no free page, either', async (t) => {
  const project = await leaky(t);
  const needles = needlesOf(project);
  rmSync(join(project.stateDir, 'backups'), { recursive: true });
  project.remove('edited.py');
  await project.reconcile();
  const cleanup = { prefix: '', before: project.now() + 1, isDryRun: false, now: project.now(), ...call };
  assert.deepEqual((await cleanUpDeleted(project.index, project.project, cleanup)).kept, []);
  assert.equal(hasContent(project.index, hash), false);
  project.close();
  project.reopen();
  assert.deepEqual(left(project, [needles[1] ?? '']), ['index.db'], 'it has left bytes');
  await purged(project, { sha256: hash });
  assert.deepEqual(left(project, needles), []);
});

test('what was done with it is remembered without its hash, from which what is short can be guessed', async (t) => {
  const project = await leaky(t);
  const needles = needlesOf(project);
  project.remove('other.py');
  project.write('lost.py', secret);
  await project.reconcile();
  project.remove('lost.py');
  await project.repair();
  await backup(project.index, 2);
  project.remove('lost.py');
  await project.reconcile();
  const hashes = (): unknown[] => project.index.sql('SELECT sha256 FROM repair_actions').pluck().all();
  assert.ok(hashes().includes(hash));
  await purged(project, { sha256: hash });
  assert.deepEqual([hashes().includes(hash), hashes().length > 0], [false, true]);
  assert.deepEqual(left(project, needles), []);
});

test('a content that is in the project stays, and that is said; what is only past of it goes', async (t) => {
  const project = await leaky(t);
  project.write('again.py', secret);
  await project.reconcile();
  const { purged: done } = await purged(project, { sha256: hash });
  assert.deepEqual([done.removed.rows, done.removed.contents], [3, 0]);
  assert.deepEqual(
    done.kept.map(({ path }) => path),
    ['again.py'],
  );
  assert.ok('bytes' in renderContent(project.index, hash));
  project.remove('again.py');
  await project.reconcile();
  const needles = needlesOf(project);
  const rest = await purged(project, { sha256: hash });
  assert.deepEqual(rest.purged.kept, []);
  assert.deepEqual(left(project, needles), []);
});

test('a copy in versions that the index does not know is named and stays, whatever older name it has', async (t) => {
  const project = await leaky(t);
  const stamped = project.versions.pathOf('lib/gone.20260101T000000.000Z.py');
  const unknown = project.versions.pathOf('lib/gone.20260102T000000.000Z.py');
  writeFileSync(stamped, secret);
  writeFileSync(unknown, 'nobody knows it\n');
  const { purged: done } = await purged(project, { paths: ['lib/gone.py', 'edited.py'] });
  assert.deepEqual([done.removed.versions, existsSync(stamped), existsSync(unknown)], [2, false, true]);
  assert.ok(done.kept.some(({ path }) => path === unknown));
});

test('a backup of an earlier release, one that is set aside with its log, and one that is damaged are dealt with', async (t) => {
  const project = await leaky(t);
  const needles = needlesOf(project);
  const { path } = project.index;
  const folder = join(project.stateDir, 'backups');
  const older = join(folder, 'index-2025-01-01T00-00-00-000Z.db');
  writeOlderIndex(older);
  const broken = join(folder, 'index-2025-01-02T00-00-00-000Z.db');
  writeFileSync(broken, `${'garbage '.repeat(1_000)}${secret}`);
  const aside = replacedPath(path, 1);
  mkdirSync(join(project.stateDir, 'replaced'));
  // As a crash left it: all that came last is in its log.
  copyFileSync(path, aside);
  copyFileSync(`${path}-wal`, `${aside}-wal`);
  const before = new Database(older, { readonly: true });
  const count = before.prepare('SELECT count(*) FROM contents').pluck().get();
  before.close();

  const { purged: done } = await purged(project, { paths: ['edited.py', 'lib'] });
  const fates = new Map(done.backups.map((one) => [one.path, [one.held, one.done]]));
  assert.deepEqual(fates.get(older), [false, 'rewritten']);
  assert.deepEqual(fates.get(aside), [true, 'rewritten']);
  assert.deepEqual(fates.get(broken), [null, 'kept']);
  assert.equal(existsSync(`${aside}-wal`), false);
  assert.deepEqual(
    done.kept.filter(({ path: kept }) => kept === broken).map(({ reason }) => /cannot be read/u.test(reason)),
    [true],
  );
  assert.deepEqual(left(project, needles), [broken.slice(project.stateDir.length + 1)]);
  for (const copy of [older, aside]) {
    const index = IndexDatabase.openReadOnly(copy);
    assert.deepEqual(checkStructure(index), []);
    if (copy === older) assert.equal(index.sql('SELECT count(*) FROM contents').pluck().get(), count);
    index.close();
  }
  const again = await purged(project, { sha256: hash });
  assert.equal(again.purged.kept.length, 1, 'it is named');
  const deleted = await purged(project, { sha256: hash, backups: 'delete' });
  assert.deepEqual([deleted.purged.removed.backups, existsSync(broken), existsSync(older)], [1, false, true]);
});

test('what is stored as the difference to it stays, whole', async (t) => {
  const project = new TestProject(t);
  let at = Date.now();
  project.now = () => (at += 5_000);
  const lines = Array.from({ length: 300 }, (_, number) => `value_${number} = ${number * 7_919}\n`).join('');
  const texts = [`${lines}${secret}`, `${lines}token = 1\n`, `${lines}token = 2\n`, 'short = 1\n'];
  for (const text of texts) {
    project.write('settings.py', text);
    await project.reconcile();
  }
  await backup(project.index, 1);
  const hashes = texts.map((text) => sha256(Buffer.from(text)));
  const [base = '', ...later] = hashes;
  await packPast(project.index, { lastId: 0 }, call.signal);
  const { index } = project;
  assert.equal(index.sql('SELECT count(*) FROM contents WHERE base = ?').pluck().get(base), 2);
  await backup(index, 2);
  const stored = treeOf(index, base) ?? assert.fail('it is not whole');
  assert.ok(left(project, [stored.subarray(-200)]).includes('index.db'));
  const first = statesOf(index, project.projectId, 'settings.py', 1e15, 9).at(-1) ?? assert.fail('no state');
  const { purged: done } = await purged(project, {
    version_ids: [versionId(project.row('settings.py').id, first.seenAt)],
  });
  assert.deepEqual(
    [done.removed.rows, done.removed.contents, done.removed.backups, done.kept],
    [1, 1, 2, []],
  );
  assert.deepEqual(left(project, [secret.trim(), stored.subarray(-200), base]), []);
  for (const [number, content] of later.entries())
    assert.equal(sourceOf(project.index, content)?.toString(), texts[number + 1]);
  assert.deepEqual((await checkContents(project.index)).problems, []);
  for (const path of olderCopies(project.index.path)) {
    const copy = IndexDatabase.openReadOnly(path);
    assert.deepEqual((await checkContents(copy)).problems, []);
    copy.close();
  }
});

test('from an index that is damaged nothing goes before that is mended', async (t) => {
  const project = await leaky(t);
  const { path } = project.index;
  const root = project.index
    .sql("SELECT rootpage FROM sqlite_schema WHERE name = 'checkpoints_by_time'")
    .pluck()
    .get();
  project.index.db.pragma('wal_checkpoint(TRUNCATE)');
  project.close();
  const bytes = readFileSync(path);
  bytes.fill(0x5a, (Number(root) - 1) * 4_096, Number(root) * 4_096);
  writeFileSync(path, bytes);
  const before = snapshot(project.stateDir);
  await assert.rejects(purge(path, scopeOf(project, { paths: ['lib'] }), call), /is damaged/u);
  const after = snapshot(project.stateDir);
  for (const name of Object.keys(before)) assert.equal(after[name], before[name], name);
  project.reopen();
});

test('backups are deleted or kept on request, and one that is kept is named', async (t) => {
  const project = await leaky(t);
  const needles = needlesOf(project);
  const [copy = ''] = olderCopies(project.index.path);
  const kept = await purged(project, { sha256: hash, backups: 'keep' });
  assert.deepEqual(kept.purged.removed.backups, 0);
  assert.deepEqual(
    kept.purged.kept.map(({ path }) => path),
    [copy],
  );
  assert.deepEqual(left(project, needles), [copy.slice(project.stateDir.length + 1)]);
  const deleted = await purged(project, { sha256: hash, backups: 'delete' });
  assert.deepEqual([deleted.purged.removed.backups, existsSync(copy)], [1, false]);
});

test('bytes of what was dropped earlier are not in the file either, nor what was noted of it', async (t) => {
  const project = await leaky(t);
  const dropped = `dropped = "${'0123456789abcdef'.repeat(4)}-long-ago"\n`;
  project.write('passing.py', dropped);
  await project.reconcile();
  const stored = treeOf(project.index, sha256(Buffer.from(dropped))) ?? assert.fail('not stored');
  project.index.sql('DELETE FROM contents WHERE sha256 = ?').run(sha256(Buffer.from(dropped)));
  project.index.sql("DELETE FROM files WHERE path = 'passing.py'").run();
  await project.index.write(() => noteDamaged(project.index, { sha256: hash, problem: 'none' }, 1));
  project.index.db.pragma('wal_checkpoint(TRUNCATE)');
  assert.ok(left(project, [stored]).includes('index.db'), 'SQLite leaves them');
  project.remove('passing.py');
  await purged(project, { paths: ['edited.py', 'lib'] });
  assert.deepEqual(left(project, [stored]), []);
  assert.equal(countDamaged(project.index), 0);
});

test('a plan that is not what there is to do any more is refused, and nothing is touched', async (t) => {
  const project = await leaky(t);
  const { plan } = await planned(project, { paths: ['lib'] });
  assert.ok(plan !== undefined);
  project.write('lib/late.py', 'late = 1\n');
  await project.reconcile();
  project.write('lib/late.py', 'late = 2\n');
  await project.reconcile();
  await waitFor(
    'its state',
    () => statesOf(project.index, project.projectId, 'lib/late.py', 1e15, 9).length === 2,
  );
  const before = snapshot(project.versions.root);
  await assert.rejects(
    purged(project, { paths: ['lib'], expected: plan }),
    /not what there is to do any more/u,
  );
  project.reopen();
  assert.deepEqual(snapshot(project.versions.root), before);
  assert.ok(hasContent(project.index, hash));
});

test('a path of which nothing is known anywhere is refused', async (t) => {
  const project = await leaky(t);
  await assert.rejects(planned(project, { paths: ['nothing.py'] }), /Nothing is known of "nothing.py"/u);
  await assert.rejects(planned(project, { paths: ['../out'] }), /contains the segment/u);
});

test('where versions cannot be looked at nothing goes, since nobody would find the copy later', async (t) => {
  const project = await leaky(t);
  const marker = join(project.project.versionDir, '.codekeep-versions');
  const text = readFileSync(marker);
  rmSync(marker);
  for (const attempt of [planned, purged])
    await assert.rejects(
      attempt(project, { paths: ['lib'] }),
      /What versions have of it cannot be looked at/u,
    );
  project.reopen();
  writeFileSync(marker, text);
  assert.ok(hasContent(project.index, hash));
  assert.equal((await purged(project, { paths: ['lib'] })).purged.removed.versions, 1);
});

test('what other projects have of it stays with them, and is named with where it is', async (t) => {
  const project = await leaky(t);
  const other = addProject(project.index, '/elsewhere/other');
  addFile(project.index, other, 'copy.py', { sha256: hash });
  const { purged: done } = await purged(project, { paths: ['lib', 'edited.py'] });
  assert.deepEqual([done.removed.rows, done.removed.contents], [4, 1]);
  assert.deepEqual(
    done.kept.filter(({ path }) => path.startsWith('/')).map(({ path, reason }) => [path, reason]),
    [['/elsewhere/other/copy.py', 'it has the same content, and is of another project: /elsewhere/other']],
  );
  assert.ok(hasContent(project.index, hash));
});

test('where a copy in versions cannot be removed the rows that name it stay, and the next purge ends it', async (t) => {
  const project = await leaky(t);
  const needles = needlesOf(project);
  const copy = project.versions.pathOf('lib/gone.py');
  const release = nailed(copy);
  if (release === null) return t.skip('root may do everything to a file, unless chattr works on it');
  try {
    await assert.rejects(
      purged(project, { paths: ['lib', 'edited.py'] }),
      /A copy in versions cannot be removed/u,
    );
  } finally {
    release();
  }
  project.reopen();
  assert.ok(existsSync(copy) && hasContent(project.index, hash));
  await purged(project, { paths: ['lib', 'edited.py'] });
  assert.deepEqual(left(project, needles), []);
});

/** Nobody can take a file out of its folder, until what this gives is called; null where that cannot be done. */
function nailed(path: string): (() => void) | null {
  if (process.getuid?.() === 0) {
    const change = (how: string): boolean => spawnSync('chattr', [how, path]).status === 0;
    return change('+i') ? () => void change('-i') : null;
  }
  chmodSync(dirname(path), 0o500);
  return () => chmodSync(dirname(path), 0o700);
}
