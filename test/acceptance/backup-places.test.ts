import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import Database from 'better-sqlite3';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

const quiet = { config: { autostart: [], backup_interval: 0, check_interval: 0 } };
const files = { 'a.py': 'a = 1\n' };

async function indexed(t: TestContext): Promise<{ sandbox: Sandbox; daemon: Daemon; project_id: string }> {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon(quiet);
  const { project_id } = await daemon.addProject(await sandbox.project(files));
  return { sandbox, daemon, project_id };
}

test('a backup touches nothing that is beside its place, and leaves nothing there', async (t) => {
  const { sandbox, daemon } = await indexed(t);
  const folder = sandbox.path('mine');
  mkdirSync(folder);
  const names = ['n.db.partial', 'n.db.partial-wal', 'n.db-wal', 'n.db-journal', 'n.db.tmp'];
  for (const name of names) writeFileSync(join(folder, name), name);
  await daemon.call('backup_database', { path: join(folder, 'n.db') });
  assert.deepEqual(readdirSync(folder).sort(), ['n.db', ...names].sort());
  for (const name of names) assert.equal(readFileSync(join(folder, name), 'utf8'), name);
  assert.deepEqual((await daemon.call('health')).problems, []);
});

test('what appears at the place while a backup is made stays', async (t) => {
  const { sandbox, daemon } = await indexed(t);
  const folder = sandbox.path('mine');
  mkdirSync(folder);
  const path = join(folder, 'n.db');
  const backing = daemon.failure('backup_database', { path });
  // It is being made from the moment on at which its folder is there.
  await waitFor('it is being made', () => readdirSync(folder).length > 0 || undefined).catch(() => undefined);
  writeFileSync(path, 'precious', { flag: 'wx' });
  assert.match(String(await backing), /There is already something/u);
  assert.equal(readFileSync(path, 'utf8'), 'precious');
  symlinkSync(sandbox.path('nowhere'), join(folder, 'link.db'));
  const refused = await daemon.refusal('backup_database', { path: join(folder, 'link.db') });
  assert.equal(refused.code, 'TARGET_FILE_EXISTS');
  assert.deepEqual(readdirSync(folder).sort(), ['link.db', 'n.db']);
});

test('no backup is put where codekeep or SQLite would take it for something else', async (t) => {
  const { sandbox, daemon } = await indexed(t);
  const places = [
    ...['index.db-journal', 'index.db.ready', 'index.db.incoming', 'mine.db'].map((name) =>
      join(daemon.stateDir, name),
    ),
    sandbox.path('other.db-journal'),
    sandbox.path('other.db-wal'),
    sandbox.path('nul\0.db'),
  ];
  for (const path of places)
    assert.equal((await daemon.refusal('backup_database', { path })).code, 'INVALID_PARAMS', path);
  assert.equal((await daemon.refusal('restore_backup', { path: '/nul\0' })).code, 'INVALID_PARAMS');
  assert.equal((await daemon.call('check_database')).ok, true);
  assert.deepEqual((await daemon.call('health')).problems, []);
});

test('backups that are made at once are all made, or refused because the place is taken', async (t) => {
  const { sandbox, daemon } = await indexed(t);
  const made = await Promise.all([1, 2, 3, 4].map(async () => await daemon.call('backup_database')));
  assert.equal(new Set(made.map(({ path }) => path)).size, 4);
  const path = sandbox.path('one.db');
  const tries = await Promise.all(
    [1, 2, 3].map(
      async () =>
        await daemon.client.call('backup_database', { path }).catch((error: unknown) => String(error)),
    ),
  );
  assert.equal(tries.filter((result) => typeof result !== 'string').length, 1);
  for (const result of tries) if (typeof result === 'string') assert.match(result, /already something at/u);
});

test('a backup on a disk that is read-only can be restored, and nothing is made beside it', async (t) => {
  const sandbox = await Sandbox.create(t);
  const disk = sandbox.path('disk');
  if (!sandbox.mount(disk, '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs'))
    return t.skip('no tmpfs can be mounted here');
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon(quiet);
  const { project_id } = await daemon.addProject(root);
  const path = join(disk, 'good.db');
  await daemon.call('backup_database', { path });
  execFileSync('mount', ['-o', 'remount,ro', disk]);
  writeFileSync(join(root, 'b.py'), 'b = 1\n');
  await daemon.call('restore_backup', { path });
  assert.deepEqual(await daemon.paths(project_id), ['a.py', 'b.py']);
  assert.deepEqual(readdirSync(disk), ['good.db']);
});

test('another program’s database is not put in the place of the index, and pushes out no backup', async (t) => {
  const { sandbox, daemon, project_id } = await indexed(t);
  const { path: good } = await daemon.call('backup_database');
  const cms = sandbox.path('cms.db');
  const db = new Database(cms);
  db.exec('CREATE TABLE contents (id INTEGER PRIMARY KEY, title TEXT); PRAGMA user_version = 1');
  db.close();
  const { message, hint } = await daemon.refusal('restore_backup', { path: cms });
  assert.match(`${message} ${hint}`, /is no index of codekeep\..*Nothing was changed/u);
  assert.deepEqual(await daemon.paths(project_id), ['a.py']);
  daemon.mayLogErrors = true;
  // By hand it can be put there all the same.
  await daemon.stop();
  copyFileSync(cms, join(daemon.stateDir, 'index.db'));
  const again = await sandbox.startDaemon({ ...quiet, stateDir: daemon.stateDir });
  again.mayLogErrors = true;
  for (let turn = 0; turn < 3; turn += 1)
    assert.equal((await again.refusal('list_projects')).code, 'DATABASE_CORRUPT');
  assert.deepEqual(readdirSync(join(daemon.stateDir, 'backups')), [good.slice(good.lastIndexOf('/') + 1)]);
  await again.call('rebuild_database');
  assert.deepEqual(await again.paths(project_id), ['a.py']);
});

test('a place that takes no files is named as one, and is no defect', async (t) => {
  const { daemon } = await indexed(t);
  const { code, message } = await daemon.refusal('backup_database', { path: '/proc/copy.db' });
  assert.deepEqual(
    [code, message.startsWith('/proc/copy.db cannot be written: ')],
    ['INDEX_UNAVAILABLE', true],
  );
});
