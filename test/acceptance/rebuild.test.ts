import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import Database from 'better-sqlite3';
import { codekeep } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { childrenOf } from '../harness/processes.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

const pageBytes = 4_096;

function fileText(number: number): string {
  return `def function_${number}():\n    """Number ${number}."""\n    return ${number}\n`.repeat(
    1 + (number % 40),
  );
}

interface Kept {
  sandbox: Sandbox;
  root: string;
  projectId: string;
  stateDir: string;
  indexPath: string;
}

/** A project of which some files are deleted, so that only the index and versions have them; the daemon has ended. */
async function kept(t: TestContext, { hasBackup = false, count = 60 } = {}): Promise<Kept> {
  const sandbox = await Sandbox.create(t);
  const files = Object.fromEntries(
    Array.from({ length: count }, (_, number) => [`src/file-${number}.py`, fileText(number)]),
  );
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  const { project_id: projectId } = await daemon.addProject(root);
  for (let number = 0; number < 10; number += 1)
    await daemon.call('delete_file', { project_id: projectId, path: `src/file-${number}.py` });
  if (hasBackup) await daemon.call('backup_database');
  await daemon.stop();
  const { stateDir } = daemon;
  return { sandbox, root, projectId, stateDir, indexPath: join(stateDir, 'index.db') };
}

async function started({ sandbox, stateDir }: Kept): Promise<Daemon> {
  const daemon = await sandbox.startDaemon({ stateDir, config: { autostart: [] } });
  daemon.mayLogErrors = true;
  return daemon;
}

/** Another daemon that has just indexed the same project: all that its index has is in its log. */
async function youngBeside({ sandbox, root }: Kept): Promise<Daemon> {
  const young = await sandbox.startDaemon({ stateDir: sandbox.path('young'), config: { autostart: [] } });
  young.mayLogErrors = true;
  await young.addProject(root);
  return young;
}

/** Nobody has a moment to close the index: a worker that hears of the end of its supervisor first puts its log away. */
async function crash(daemon: Daemon): Promise<void> {
  for (const { pid } of childrenOf(daemon.pid)) process.kill(pid, 'SIGKILL');
  await daemon.stop('SIGKILL');
}

/** Every file can be had with its bytes: those in the project, and those that are deleted. */
async function assertWhole(daemon: Daemon, { projectId }: Kept, count = 60): Promise<void> {
  const paths = await daemon.paths(projectId);
  const deleted = await daemon.paths(projectId, true);
  assert.deepEqual([paths.length, deleted.length], [count - 10, 10]);
  for (const path of [...paths, ...deleted]) {
    const number = Number(/\d+/.exec(path)?.[0]);
    const { content } = await daemon.call('get_file', { project_id: projectId, path });
    assert.equal(content, fileText(number), path);
  }
}

function overwrite(path: string, page: number, bytes: Buffer): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, (page - 1) * pageBytes);
  closeSync(fd);
}

const damages: Record<string, (path: string) => void> = {
  'its first page is wiped': (path) => overwrite(path, 1, Buffer.alloc(pageBytes)),
  'it is cut off in the middle': (path) => truncateSync(path, Math.floor(statSync(path).size / 2)),
  'it is another program’s file': (path) => writeFileSync(path, 'garbage '.repeat(10_000)),
  'it is emptied': (path) => truncateSync(path, 0),
  'every fourth page is garbage': (path) => {
    for (let page = 2; page <= statSync(path).size / pageBytes; page += 4)
      overwrite(path, page, Buffer.alloc(pageBytes, 0x5a));
  },
};

/** Nothing at all is left that could name what there was. */
const unnamed: ReadonlySet<string> = new Set(['it is another program’s file', 'it is emptied']);

for (const [how, damage] of Object.entries(damages))
  test(`an index is made anew from what is left, a backup, the disk and the versions where ${how}`, async (t) => {
    const state = await kept(t, { hasBackup: true });
    damage(state.indexPath);
    const damaged = readFileSync(state.indexPath);
    const daemon = await started(state);
    const { status, stdout, stderr } = await codekeep(state.sandbox, 'rebuild', '--socket', daemon.socket);
    const isNamed = /^nothing is lost$/m.test(stdout);
    assert.equal(status, isNamed ? 0 : 4, stdout + stderr);
    // Everything is there, as it turns out; where what named files cannot be read, nobody can know that.
    if (!isNamed)
      assert.match(
        stdout,
        /^lost: 1\n +pages that may have (?:named files cannot be read: what came after index-\S+\.db and|held contents)/mu,
      );
    if (unnamed.has(how)) assert.equal(isNamed, false);
    if (how.startsWith('its first page')) assert.equal(isNamed, true);
    const original = /the one that was there is kept: (\S+)/.exec(stdout)?.[1] ?? '';
    assert.ok(readFileSync(original).equals(damaged), 'what was there is kept as it was');
    await assertWhole(daemon, state);
    const { ok } = await daemon.call('check_database', { deep: true });
    assert.equal(ok, true);
    await waitFor('all is well', async () => (await daemon.call('health')).status === 'ok');
    const { results } = await daemon.call('search', { query: 'function_42', project_id: state.projectId });
    assert.equal(results[0]?.path, 'src/file-42.py');
    assert.deepEqual(
      readdirSync(state.stateDir).filter((name) => /incoming|ready/u.test(name)),
      [],
    );
  });

test('without a backup, what was deleted comes from the versions and what is there from the disk', async (t) => {
  const state = await kept(t);
  for (let page = 2; page <= statSync(state.indexPath).size / pageBytes; page += 3)
    overwrite(state.indexPath, page, Buffer.alloc(pageBytes));
  const daemon = await started(state);
  const rebuilt = await daemon.call('rebuild_database');
  assert.ok('lost' in rebuilt);
  assert.deepEqual(
    rebuilt.lost.filter(({ path }) => path !== ''),
    [],
  );
  await assertWhole(daemon, state);
});

test('what nothing has any more is named by its path, and the rest is kept', async (t) => {
  const state = await kept(t);
  rmSync(join(state.stateDir, 'versions'), { recursive: true });
  const daemon = await started(state);
  const { files } = await daemon.call('list_deleted_files', { project_id: state.projectId });
  await daemon.stop();
  // Every page that knows the content of one of them: its row, and the content itself.
  const bytes = readFileSync(state.indexPath);
  const hash = createHash('sha256').update(fileText(3)).digest('hex');
  for (let page = 2; page <= bytes.length / pageBytes; page += 1)
    if (bytes.subarray((page - 1) * pageBytes, page * pageBytes).includes(hash))
      overwrite(state.indexPath, page, Buffer.alloc(pageBytes));
  const again = await started(state);
  const tried = await again.call('rebuild_database', { dry_run: true });
  const { status, stdout } = await codekeep(state.sandbox, 'rebuild', '--json', '--socket', again.socket);
  assert.equal(status, 4);
  const { lost, kept: rows } = JSON.parse(stdout) as {
    lost: { path: string; reason: string }[];
    kept: Record<string, number>;
  };
  assert.ok('lost' in tried);
  assert.deepEqual(tried.lost, lost, 'the dry run said the same');
  assert.equal(tried.original_path, null);
  const named = lost.map(({ path }) => path).filter((path) => path !== '');
  assert.ok(
    named.includes('src/file-3.py') && named.every((path) => files.some((file) => file.path === path)),
    JSON.stringify(lost),
  );
  assert.ok((rows['files'] ?? 0) > 0);
  for (const { path } of files) {
    const isLost = named.includes(path);
    const got = again.call('get_file', { project_id: state.projectId, path });
    if (isLost) await assert.rejects(got, { code: 'FILE_NOT_FOUND' });
    else assert.equal((await got).path, path);
  }
  assert.equal((await again.paths(state.projectId)).length, 50);
});

test('a repair makes a damaged index anew by itself, and then mends the project', async (t) => {
  const state = await kept(t, { hasBackup: true });
  for (let page = 3; page <= statSync(state.indexPath).size / pageBytes; page += 5)
    overwrite(state.indexPath, page, Buffer.alloc(pageBytes, 0xff));
  unlinkSync(join(state.root, 'src/file-33.py'));
  const daemon = await started(state);
  const { status, stdout, stderr } = await codekeep(state.sandbox, 'repair', '--socket', daemon.socket);
  assert.equal(status, /^lost: 1\n +pages that may have/mu.test(stdout) ? 4 : 0, stdout + stderr);
  assert.match(stdout, /^the index was made anew: 1 projects, 60 files/m);
  assert.match(stdout, /restored from the syntax tree: 1/);
  assert.equal(readFileSync(join(state.root, 'src/file-33.py'), 'utf8'), fileText(33));
  await assertWhole(daemon, state);
  const second = await daemon.call('repair_database');
  assert.ok('rebuilt' in second);
  assert.equal(second.rebuilt, null);
});

test('beside a watcher, too, and what somebody deleted stays deleted', async (t) => {
  const state = await kept(t, { hasBackup: true });
  const bytes = readFileSync(state.indexPath);
  for (let page = 1; page < bytes.length / pageBytes; page += 1)
    if (
      bytes[page * pageBytes] === 13 &&
      bytes.subarray(page * pageBytes, (page + 1) * pageBytes).includes('src/file-2')
    )
      overwrite(state.indexPath, page + 1, Buffer.alloc(pageBytes));
  const daemon = await state.sandbox.startDaemon({ stateDir: state.stateDir });
  daemon.mayLogErrors = true;
  unlinkSync(join(state.root, 'src/file-44.py'));
  assert.equal((await daemon.refusal('repair_database', { dry_run: true })).code, 'DATABASE_CORRUPT');
  const repaired = await daemon.repair({});
  assert.equal(repaired.rebuilt?.lost_count, 0);
  assert.deepEqual(repaired.files_restored_from_cst, []);
  assert.equal(existsSync(join(state.root, 'src/file-44.py')), false);
  assert.equal((await daemon.paths(state.projectId)).length, 49);
  assert.equal((await daemon.paths(state.projectId, true)).length, 11);
  await waitFor('all is well', async () => (await daemon.call('health')).status === 'ok');
});

test('the log of another index beside it is noticed by the check, and no file is lost by it', async (t) => {
  const state = await kept(t, { hasBackup: true });
  const other = await kept(t, { count: 90 });
  // As after a crash: a log that was not written back.
  const live = await other.sandbox.startDaemon({ stateDir: other.stateDir, config: { autostart: [] } });
  live.mayLogErrors = true;
  for (let number = 0; number < 30; number += 1)
    writeFileSync(join(other.root, `new-${number}.py`), fileText(number));
  await live.call('update_indexes', { project_id: other.projectId });
  copyFileSync(`${other.indexPath}-wal`, `${state.indexPath}-wal`);
  await live.stop();
  const daemon = await started(state);
  await waitFor('health says so', async () =>
    (await daemon.call('health')).problems.some(({ reason }) => /damaged/u.test(reason)),
  );
  await daemon.call('rebuild_database');
  const paths = [...(await daemon.paths(state.projectId)), ...(await daemon.paths(state.projectId, true))];
  assert.equal(paths.length, 60);
  for (const path of paths) {
    const { content } = await daemon.call('get_file', { project_id: state.projectId, path });
    assert.equal(content, fileText(Number(/\d+/.exec(path)?.[0])), path);
  }
});

test('an index that was removed from beside its log is made anew from the log and the versions', async (t) => {
  const state = await kept(t);
  const live = await state.sandbox.startDaemon({ stateDir: state.stateDir, config: { autostart: [] } });
  live.mayLogErrors = true;
  writeFileSync(join(state.root, 'late.py'), 'late = 1\n');
  await live.call('update_indexes', { project_id: state.projectId });
  const log = readFileSync(`${state.indexPath}-wal`);
  await live.stop();
  writeFileSync(`${state.indexPath}-wal`, log);
  unlinkSync(state.indexPath);
  const daemon = await started(state);
  const rebuilt = await daemon.call('rebuild_database');
  assert.ok('original_path' in rebuilt && rebuilt.original_path !== null);
  assert.ok(existsSync(rebuilt.original_path));
});

test('an index that was removed under the daemon is made anew from what is still open of it', async (t) => {
  const state = await kept(t, { hasBackup: true });
  const daemon = await started(state);
  await daemon.call('list_projects');
  writeFileSync(join(state.root, 'late.py'), 'late = "precious"\n');
  await daemon.call('update_indexes', { project_id: state.projectId });
  unlinkSync(join(state.root, 'late.py'));
  for (const end of ['', '-wal', '-shm']) unlinkSync(`${state.indexPath}${end}`);
  const rebuilt = await daemon.call('rebuild_database');
  assert.ok('lost' in rebuilt);
  assert.deepEqual(rebuilt.lost, []);
  const { content } = await daemon.call('get_file', { project_id: state.projectId, path: 'late.py' });
  assert.equal(content, 'late = "precious"\n');
});

test('a project that was removed does not come back with a backup', async (t) => {
  const state = await kept(t);
  const first = await started(state);
  const other = await state.sandbox.project({ 'other.py': 'o = 1\n' });
  const { project_id } = await first.addProject(other);
  await first.call('backup_database');
  await first.call('remove_project', { project_id });
  await first.stop();
  const bytes = readFileSync(state.indexPath);
  // A page of files, and of nothing else.
  const page = Array.from({ length: bytes.length / pageBytes }, (_, at) => at).find(
    (at) =>
      at > 2 &&
      bytes[at * pageBytes] === 13 &&
      bytes.subarray(at * pageBytes, (at + 1) * pageBytes).includes('src/file-20.py'),
  );
  overwrite(state.indexPath, (page ?? 0) + 1, Buffer.alloc(pageBytes));
  const daemon = await started(state);
  await daemon.call('rebuild_database');
  const { projects } = await daemon.call('list_projects');
  assert.deepEqual(
    projects.map(({ root_dir }) => root_dir),
    [state.root],
  );
  await assertWhole(daemon, state);
});

for (const hasBackup of [true, false])
  test(`an index that is gone ${hasBackup ? 'from beside its backups' : 'with its backups, and another database in its place,'} is not called empty`, async (t) => {
    const state = await kept(t, { hasBackup });
    unlinkSync(state.indexPath);
    if (!hasBackup) {
      const db = new Database(state.indexPath);
      db.exec('CREATE TABLE notes (text TEXT)');
      db.close();
    }
    const daemon = await started(state);
    await waitFor('health says so', async () =>
      (await daemon.call('health')).problems.some(({ reason }) => /damaged/u.test(reason)),
    );
    await daemon.call('rebuild_database');
    await assertWhole(daemon, state);
  });

test('a file whose row is lost comes back as the versions have it, and not as an older backup', async (t) => {
  const state = await kept(t, { hasBackup: true });
  const first = await started(state);
  const path = 'src/file-25.py';
  writeFileSync(join(state.root, path), 'edited = 25\n');
  await first.call('delete_file', { project_id: state.projectId, path });
  await first.stop();
  const bytes = readFileSync(state.indexPath);
  for (let page = 1; page < bytes.length / pageBytes; page += 1)
    if (
      bytes[page * pageBytes] === 13 &&
      bytes.subarray(page * pageBytes, (page + 1) * pageBytes).includes('src/file-2')
    )
      overwrite(state.indexPath, page + 1, Buffer.alloc(pageBytes));
  const daemon = await started(state);
  await daemon.call('rebuild_database');
  const { content } = await daemon.call('get_file', { project_id: state.projectId, path });
  assert.equal(content, 'edited = 25\n');
});

test('a file that only a backup still has is named: it may be as it was before its last change', async (t) => {
  const state = await kept(t, { hasBackup: true });
  const first = await started(state);
  const path = 'src/file-25.py';
  await first.stop();
  unlinkSync(join(state.root, path));
  for (const end of ['', '-wal', '-shm']) rmSync(`${state.indexPath}${end}`, { force: true });
  const daemon = await started(state);
  const rebuilt = await daemon.call('rebuild_database');
  assert.ok('lost' in rebuilt);
  assert.deepEqual(
    rebuilt.lost.map((loss) => loss.path),
    [path, ''],
  );
  assert.match(
    rebuilt.lost[0]?.reason ?? '',
    /it is kept as index-\S+\.db has it, and what it became after that is lost/u,
  );
  assert.equal((await daemon.call('get_file', { project_id: state.projectId, path })).content, fileText(25));
});

test('the whole log of another index does not take the place of the index', async (t) => {
  const state = await kept(t, { hasBackup: true });
  const other = await kept(t, { count: 30 });
  // All that the other has is in its log, as with a young index that was killed.
  const young = await youngBeside(other);
  copyFileSync(join(young.stateDir, 'index.db-wal'), `${state.indexPath}-wal`);
  await young.stop();
  const before = readFileSync(state.indexPath);
  const daemon = await started(state);
  await waitFor('health says so', async () =>
    (await daemon.call('health')).problems.some(({ reason }) => /that of another index/u.test(reason)),
  );
  assert.ok(readFileSync(state.indexPath).equals(before), 'nothing was written over it');
  const { status, stdout } = await codekeep(state.sandbox, 'rebuild', '--socket', daemon.socket);
  assert.equal(status, 0, stdout);
  const { projects } = await daemon.call('list_projects');
  assert.deepEqual(
    projects.map(({ root_dir }) => root_dir),
    [state.root],
  );
  await assertWhole(daemon, state);
});

test('what another index’s log has does not come to an index whose own changes were all in its log', async (t) => {
  const other = await kept(t, { count: 30 });
  const young = await youngBeside(other);
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'lost.py': 'l = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  await daemon.addProject(root);
  await crash(daemon);
  const { stateDir } = daemon;
  assert.equal(statSync(join(stateDir, 'index.db')).size, pageBytes);
  copyFileSync(join(young.stateDir, 'index.db-wal'), join(stateDir, 'index.db-wal'));
  unlinkSync(join(root, 'lost.py'));
  const again = await sandbox.startDaemon({ config: { autostart: [] } });
  again.mayLogErrors = true;
  const { status, stdout } = await codekeep(sandbox, 'repair', '--socket', again.socket);
  assert.equal(status, 4, stdout);
  assert.match(stdout, /cannot be named/u);
  assert.deepEqual((await again.call('list_projects')).projects, []);
});

/** Where the tables and indexes begin: in a small index nearly all of its structure. */
function rootPages(indexPath: string): number[] {
  const db = new Database(indexPath, { readonly: true });
  try {
    return db
      .prepare('SELECT rootpage FROM sqlite_schema WHERE rootpage > 1 ORDER BY rootpage')
      .pluck()
      .all() as number[];
  } finally {
    db.close();
  }
}

const cuts: Record<string, (state: Kept) => void> = {
  'cut off after two pages': ({ indexPath }) => truncateSync(indexPath, 2 * pageBytes),
  'cut off after its first page': ({ indexPath }) => truncateSync(indexPath, pageBytes),
  'zero behind its first five pages': ({ indexPath }) => {
    const { size } = statSync(indexPath);
    truncateSync(indexPath, 5 * pageBytes);
    truncateSync(indexPath, size);
  },
};

for (const [how, cut] of Object.entries(cuts))
  for (const hasBackup of [false, true])
    test(`of an index that is ${how}, ${hasBackup ? 'with a backup' : 'without one'}, it is said that what is lost cannot be named`, async (t) => {
      const state = await kept(t, { hasBackup });
      if (hasBackup) {
        const daemon = await started(state);
        writeFileSync(join(state.root, 'late.py'), 'late = 1\n');
        await daemon.call('update_indexes', { project_id: state.projectId });
        await daemon.stop();
        unlinkSync(join(state.root, 'late.py'));
      }
      unlinkSync(join(state.root, 'src/file-20.py'));
      cut(state);
      const daemon = await started(state);
      const { status, stdout } = await codekeep(state.sandbox, 'rebuild', '--socket', daemon.socket);
      assert.equal(status, 4, stdout);
      assert.match(stdout, /cannot be named/u);
    });

test('files of which nothing says in which folder they were are kept, and have it again by move', async (t) => {
  const sandbox = await Sandbox.create(t);
  const names = Array.from({ length: 120 }, (_, number) => `src/file-${number}.py`);
  const root = await sandbox.project(
    Object.fromEntries(names.map((name, number) => [name, fileText(number)])),
  );
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  const { project_id } = await daemon.addProject(root);
  await daemon.stop();
  const indexPath = join(daemon.stateDir, 'index.db');
  // The rows of the files are further behind, in pages that nothing leads to then.
  for (const page of rootPages(indexPath)) overwrite(indexPath, page, Buffer.alloc(pageBytes));
  unlinkSync(join(root, 'src/file-7.py'));
  const again = await sandbox.startDaemon({ config: { autostart: [] } });
  again.mayLogErrors = true;
  const rebuilt = await again.call('rebuild_database');
  assert.ok('lost' in rebuilt);
  const homeless = rebuilt.lost.find((loss) => loss.project_id === project_id);
  assert.match(homeless?.reason ?? '', /nothing says in which folder it was: its \d+ files are kept/u);
  const { message, hint } = await again.refusal('add_project', { root_dir: root });
  assert.match(`${message} ${hint}`, /codekeep move/u);
  await again.call('move_project', { project_id, new_root_dir: root });
  const { files_restored_from_cst } = await again.repair({ project_id });
  assert.deepEqual(
    files_restored_from_cst.map(({ path }) => path),
    ['src/file-7.py'],
  );
  assert.equal(readFileSync(join(root, 'src/file-7.py'), 'utf8'), fileText(7));
});

const losses: Record<string, (log: string) => void> = {
  gone: unlinkSync,
  emptied: (log) => truncateSync(log, 0),
  'cut off': (log) => truncateSync(log, statSync(log).size - 2 * pageBytes),
  'flipped in the middle': (log) =>
    overwrite(log, Math.floor(statSync(log).size / pageBytes / 2), Buffer.from('flip')),
};

for (const [how, lose] of Object.entries(losses))
  test(`a log that is ${how} after a crash is missed, and what only it had is named or brought from elsewhere`, async (t) => {
    const state = await kept(t, { hasBackup: true });
    const daemon = await started(state);
    // Back to its first state on disk, and then one that is in the log only.
    writeFileSync(join(state.root, 'new.py'), 'new = 1\n');
    await daemon.call('update_indexes', { project_id: state.projectId });
    await daemon.call('delete_file', { project_id: state.projectId, path: 'new.py' });
    await crash(daemon);
    lose(`${state.indexPath}-wal`);
    const again = await started(state);
    await waitFor('health says so', async () =>
      (await again.call('health')).problems.some(({ reason }) =>
        /last \d+ changes are missing/u.test(reason),
      ),
    );
    const { status, stdout } = await codekeep(
      state.sandbox,
      'rebuild',
      '--dry-run',
      '--socket',
      again.socket,
    );
    assert.equal(status, 4, stdout);
    assert.match(stdout, /its last \d+ changes were in its log/u);
    const rebuilt = await again.call('rebuild_database');
    assert.ok('lost' in rebuilt);
    assert.ok(rebuilt.lost.some(({ reason }) => /its last \d+ changes were in its log/u.test(reason)));
    assert.ok(rebuilt.lost.every((loss) => loss.path === ''));
    // Its copy in versions is still there.
    const { content } = await again.call('get_file', { project_id: state.projectId, path: 'new.py' });
    assert.equal(content, 'new = 1\n');
    await again.stop();
    const third = await started(state);
    assert.equal((await third.call('list_projects')).projects.length, 1);
  });

test('a daemon that is killed misses nothing, and an older copy of the index is told from the index', async (t) => {
  const state = await kept(t);
  const daemon = await started(state);
  writeFileSync(join(state.root, 'new.py'), 'new = 1\n');
  await daemon.call('update_indexes', { project_id: state.projectId });
  const older = readFileSync(state.indexPath);
  const paths = await daemon.paths(state.projectId);
  await crash(daemon);
  const again = await started(state);
  assert.deepEqual(await again.paths(state.projectId), paths);
  await again.stop();
  writeFileSync(state.indexPath, older);
  const third = await started(state);
  const { code, message } = await third.refusal('list_projects');
  assert.equal(code, 'DATABASE_CORRUPT');
  assert.match(message, /last \d+ changes are missing/u);
  await third.stop();
  // Somebody who wanted that says so.
  unlinkSync(join(state.stateDir, 'index.id'));
  const fourth = await started(state);
  assert.equal((await fourth.call('list_projects')).projects.length, 1);
});

test('an emptied index beside its whole log keeps the log, and is made anew from it', async (t) => {
  const state = await kept(t);
  const young = await state.sandbox.startDaemon({
    stateDir: state.sandbox.path('young'),
    config: { autostart: [], backup_interval: 0 },
  });
  young.mayLogErrors = true;
  const { project_id } = await young.addProject(state.root);
  unlinkSync(join(state.root, 'src/file-40.py'));
  await crash(young);
  const path = join(young.stateDir, 'index.db');
  truncateSync(path, 0);
  const again = await state.sandbox.startDaemon({ stateDir: young.stateDir, config: { autostart: [] } });
  again.mayLogErrors = true;
  assert.equal((await again.refusal('list_projects')).code, 'DATABASE_CORRUPT');
  assert.ok(statSync(`${path}-wal`).size > 0);
  await again.call('rebuild_database');
  const { content } = await again.call('get_file', { project_id, path: 'src/file-40.py' });
  assert.equal(content, fileText(40));
});

test('where nothing of an index can be read and no backup is there, it is said that what is lost cannot be named', async (t) => {
  const state = await kept(t);
  writeFileSync(state.indexPath, 'garbage '.repeat(10_000));
  const daemon = await started(state);
  const { status, stdout } = await codekeep(state.sandbox, 'rebuild', '--socket', daemon.socket);
  assert.equal(status, 4, stdout);
  assert.match(stdout, /what neither the disk nor the versions have may be lost, and cannot be named/u);
});

/** Of a file only a row that is lost knows its last content; its copy in versions is of an earlier deletion. */
for (const hasBackup of [true, false])
  test(`an old copy in versions is not taken for the last state ${hasBackup ? 'that a backup has' : 'without a word'}`, async (t) => {
    const state = await kept(t);
    const first = await started(state);
    const path = 'src/file-5.py';
    await first.call('restore_deleted_files', { project_id: state.projectId, paths: [path] });
    writeFileSync(join(state.root, path), 'last = 5\n');
    await first.call('update_indexes', { project_id: state.projectId });
    if (hasBackup) await first.call('backup_database');
    unlinkSync(join(state.root, path));
    await first.stop();
    const bytes = readFileSync(state.indexPath);
    for (let page = 1; page < bytes.length / pageBytes; page += 1)
      if (
        bytes[page * pageBytes] === 13 &&
        bytes.subarray(page * pageBytes, (page + 1) * pageBytes).includes(path)
      )
        overwrite(state.indexPath, page + 1, Buffer.alloc(pageBytes));
    const daemon = await started(state);
    const rebuilt = await daemon.call('rebuild_database');
    assert.ok('lost' in rebuilt);
    const { content } = await daemon.call('get_file', { project_id: state.projectId, path });
    if (hasBackup) assert.equal(content, 'last = 5\n');
    else
      assert.match(
        rebuilt.lost.find((loss) => loss.path === path)?.reason ?? '',
        /may not be its last state/u,
      );
  });
