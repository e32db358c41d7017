import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { codekeep } from '../harness/command.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

test('the index is backed up and checked by itself, and a backup is a whole index', async (t) => {
  const sandbox = await Sandbox.create(t);
  const config = { autostart: [], backup_interval: 1, check_interval: 1 };
  const daemon = await sandbox.startDaemon({ config });
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const { project_id } = await daemon.addProject(root);
  const status = await waitFor('both are done', async () => {
    const now = await daemon.call('get_database_status');
    return now.last_backup_at !== null && now.integrity === 'ok' && now;
  });
  assert.ok(Date.now() - Date.parse(status.last_backup_at ?? '') < 60_000);
  const folder = join(daemon.stateDir, 'backups');
  await waitFor('seven are kept', () => readdirSync(folder).length === 7, 60_000);
  await daemon.stop();
  assert.ok(
    readdirSync(folder).every((name) => /^index-[\dTZ-]+\.db$/.test(name)),
    String(readdirSync(folder)),
  );
  const [newest = ''] = readdirSync(folder).sort().reverse();
  mkdirSync(sandbox.path('other'));
  copyFileSync(join(folder, newest), sandbox.path('other', 'index.db'));
  const restored = await sandbox.startDaemon({ stateDir: sandbox.path('other'), config: { autostart: [] } });
  assert.deepEqual(await restored.paths(project_id), ['a.py']);
});

test('without an interval nothing is done by itself, and a copy goes where somebody wants it', async (t) => {
  const sandbox = await Sandbox.create(t);
  const config = { autostart: [], backup_interval: 0, check_interval: 0 };
  const daemon = await sandbox.startDaemon({ config });
  await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n' }));
  const to = sandbox.path('copy.db');
  const done = await codekeep(sandbox, 'backup', to, '--socket', daemon.socket);
  assert.deepEqual([done.status, done.stdout.startsWith(`${to} (`), existsSync(to)], [0, true, true]);
  const refused = await codekeep(sandbox, 'backup', to, '--socket', daemon.socket);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /There is already something at/u);
  assert.equal((await daemon.refusal('backup_database', { path: 'relative.db' })).code, 'INVALID_PARAMS');
  assert.equal(existsSync(join(daemon.stateDir, 'backups')), false);
});

test('a backup that cannot be made is a problem of health', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({
    config: { autostart: [], backup_interval: 1, check_interval: 0 },
  });
  // A file in the place of the folder.
  writeFileSync(join(daemon.stateDir, 'backups'), '');
  await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n' }));
  await waitFor('health says so', async () => {
    const { problems } = await daemon.call('health');
    return problems.some(({ reason }) => reason.includes('the backup of the index that was due failed'));
  });
});

test('a backup goes to another disk also while the one of the index is full', async (t) => {
  const sandbox = await Sandbox.create(t);
  const disk = sandbox.path('disk');
  if (!sandbox.mount(disk, '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs'))
    return t.skip('no tmpfs can be mounted here');
  const daemon = await sandbox.startDaemon({ stateDir: join(disk, 'state'), config: { autostart: [] } });
  daemon.mayLogErrors = true;
  await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n' }));
  assert.throws(() => writeFileSync(join(disk, 'filler'), Buffer.alloc(16 * 1024 ** 2)), { code: 'ENOSPC' });
  const path = sandbox.path('copy.db');
  assert.deepEqual((await daemon.call('backup_database', { path })).problems, []);
  assert.ok(existsSync(path));
});

test('a backup into a folder that is not there is refused in words', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  for (const path of [sandbox.path('no/copy.db'), join(daemon.stateDir, 'index.db', 'copy.db')]) {
    const { code, message } = await daemon.refusal('backup_database', { path });
    assert.deepEqual([code, message.includes('there is no folder /')], ['INVALID_PARAMS', true], message);
  }
});

/** Overwrites the root page of a table, while nobody has the index open. */
function destroy(stateDir: string, table: string): void {
  const path = join(stateDir, 'index.db');
  const db = new Database(path);
  const page = db.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').pluck().get(table) as number;
  const size = Number(db.pragma('page_size', { simple: true }));
  db.close();
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(size), 0, size, (page - 1) * size);
  closeSync(file);
}

for (const asked of [true, false]) {
  const who = asked ? 'whoever meets it first' : 'the check after the start';
  test(`damage that came while the daemon was down is said in health: found by ${who}`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const config = { autostart: [], check_interval: asked ? 0 : 86_400 };
    const daemon = await sandbox.startDaemon({ config });
    const root = await sandbox.project({ 'a.py': 'a = 1\n' });
    const { project_id } = await daemon.addProject(root);
    daemon.mayLogErrors = true;
    unlinkSync(join(root, 'a.py'));
    await daemon.stop();
    destroy(daemon.stateDir, 'contents');
    const next = await sandbox.startDaemon({ config });
    next.mayLogErrors = true;
    if (asked) await next.refusal('get_file', { project_id, path: 'a.py' });
    await waitFor(
      'health says so',
      async () => {
        const { problems } = await next.call('health');
        return problems.some(({ reason }) => reason.includes('the index is damaged'));
      },
      30_000,
    );
    if (!asked) assert.equal((await next.call('get_database_status')).integrity, 'damaged');
  });
}
