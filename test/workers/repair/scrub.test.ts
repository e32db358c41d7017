import assert from 'node:assert/strict';
import { existsSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { scrubCount } from '#src/workers/repair/scrub.js';
import type { Daemon } from '../../harness/daemon.js';
import { Sandbox } from '../../harness/sandbox.js';
import { waitFor } from '../../harness/waiting.js';

test('a pass takes its period, whatever the pauses between its steps are', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2_000_000 }),
      fc.integer({ min: 1_000, max: 60_000 }),
      fc.integer({ min: 3_600_000, max: 31_536_000_000 }),
      (total, pauseMs, periodMs) => {
        const step = scrubCount(total, pauseMs, periodMs);
        assert.ok(step >= 1 && step <= 1_000);
        const passMs = Math.ceil(total / step) * pauseMs;
        // In time, as far as a step may take so many; and not in a tenth of it, but where there are few.
        if (step < 1_000) assert.ok(passMs <= periodMs + pauseMs, `${passMs}`);
        if (step > 10) assert.ok(passMs >= periodMs * 0.9 - pauseMs, `${passMs}`);
      },
    ),
  );
});

/** A daemon that makes no backup by itself. */
async function indexed(
  t: TestContext,
  files: Readonly<Record<string, string>>,
): Promise<{ daemon: Daemon; root: string; project_id: string }> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [], backup_interval: 0 } });
  daemon.mayLogErrors = true;
  const { project_id } = await daemon.addProject(root);
  return { daemon, root, project_id };
}

async function status(daemon: Daemon): Promise<{ mended: number; damaged: number; ended: string | null }> {
  const { scrub } = await daemon.call('repair_worker_status');
  return {
    mended: scrub?.mended ?? 0,
    damaged: scrub?.damaged ?? 0,
    ended: scrub?.last_pass_ended_at ?? null,
  };
}

/** Flips a bit in the stored tree of a file. */
function damage(daemon: Daemon, path: string): void {
  daemon.sql((db) => {
    const row = db
      .prepare('SELECT sha256, tree FROM contents WHERE sha256 = (SELECT sha256 FROM files WHERE path = ?)')
      .get(path) as { sha256: string; tree: Buffer };
    const tree = Buffer.from(row.tree);
    tree.writeUInt8(tree.readUInt8(tree.length - 3) ^ 4, tree.length - 3);
    db.prepare('UPDATE contents SET tree = ? WHERE sha256 = ?').run(tree, row.sha256);
  });
}

test('damaged contents are found and mended from the disk, the versions or a backup, and what nothing has is said', async (t) => {
  const sandbox = await Sandbox.create(t);
  const names = ['disk.py', 'version.py', 'backup.py', 'lost.py', 'sound.py'];
  const root = await sandbox.project(Object.fromEntries(names.map((name) => [name, `name = '${name}'\n`])));
  const daemon = await sandbox.startDaemon({
    config: { autostart: [], scrub_period: 1, backup_interval: 0 },
  });
  daemon.mayLogErrors = true;
  const { project_id } = await daemon.addProject(root);
  for (const path of ['version.py', 'backup.py', 'lost.py'])
    await daemon.call('delete_file', { project_id, path });
  for (const path of ['backup.py', 'lost.py'])
    unlinkSync(join(daemon.stateDir, 'versions', project_id, path));
  // The backup is whole but for what it never had.
  const lost = daemon.sql((db) =>
    db.prepare('SELECT sha256 FROM files WHERE path = ?').pluck().get('lost.py'),
  );
  damage(daemon, 'lost.py');
  await daemon.call('backup_database');
  for (const path of ['disk.py', 'version.py', 'backup.py']) damage(daemon, path);
  await daemon.call('start_repair_worker', { poll_interval: 1 });
  await waitFor('what can be mended is', async () => {
    const { ok, problems } = await daemon.call('check_database', { deep: true });
    return !ok && problems.length === 1 && problems[0]?.includes(`${String(lost)} (lost.py)`) === true;
  });
  await waitFor('the pass has ended', async () => (await status(daemon)).ended !== null);
  for (const path of ['version.py', 'backup.py']) {
    const { content } = await daemon.call('get_file', { project_id, path });
    assert.equal(content, `name = '${path}'\n`);
  }
  await daemon.call('update_indexes', { project_id });
  const { not_parsed } = await daemon.call('get_ast', { project_id, path: 'disk.py' });
  assert.equal(not_parsed, null, 'it has its syntax tree again');
  await waitFor('health says what is damaged', async () =>
    (await daemon.call('health')).problems.some(({ reason }) =>
      reason.startsWith('1 content of the index is damaged'),
    ),
  );
  const { files } = await daemon.call('list_deleted_files', { project_id });
  assert.deepEqual(Object.fromEntries(files.map(({ path, restorable }) => [path, restorable])), {
    'backup.py': true,
    'lost.py': false,
    'version.py': true,
  });
  assert.equal((await daemon.call('get_project_status', { project_id })).files.not_restorable, 1);
  // It is back: somebody had it elsewhere.
  writeFileSync(join(root, 'lost.py'), "name = 'lost.py'\n");
  await waitFor('it is mended', async () => (await status(daemon)).damaged === 0);
  assert.equal((await daemon.call('check_database', { deep: true })).ok, true);
});

test('contents that are not in the index any more are found and mended, and until then not called restorable', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'disk.py': 'disk = 1\n', 'lost.py': 'lost = 1\n' });
  const daemon = await sandbox.startDaemon({
    config: { autostart: [], scrub_period: 1, backup_interval: 0 },
  });
  daemon.mayLogErrors = true;
  const { project_id } = await daemon.addProject(root);
  await daemon.call('delete_file', { project_id, path: 'lost.py' });
  unlinkSync(join(daemon.stateDir, 'versions', project_id, 'lost.py'));
  daemon.sql((db) => db.prepare('DELETE FROM contents').run());
  const { ok, problems } = await daemon.call('check_database', { deep: true });
  assert.equal(ok, false);
  assert.equal(problems.filter((problem) => problem.endsWith('its content is not in the index')).length, 2);
  assert.equal((await daemon.call('get_project_status', { project_id })).files.not_restorable, 2);
  assert.equal((await daemon.call('list_deleted_files', { project_id })).files[0]?.restorable, false);
  await daemon.call('start_repair_worker', { poll_interval: 1 });
  await waitFor(
    'what the disk has is mended',
    async () => (await daemon.call('get_project_status', { project_id })).files.not_restorable === 1,
  );
  const { content } = await daemon.call('get_file', { project_id, path: 'disk.py' });
  assert.equal(content, 'disk = 1\n');
});

test('health calls the index damaged for as long as one of its contents is', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [], scrub_period: 1 } });
  daemon.mayLogErrors = true;
  await daemon.addProject(root);
  damage(daemon, 'a.py');
  assert.equal((await daemon.call('check_database', { deep: true })).ok, false);
  const isSaid = async (): Promise<boolean> =>
    (await daemon.call('health')).problems.some(({ reason }) => reason.includes('damaged'));
  await waitFor('health says it', isSaid);
  assert.equal((await daemon.call('get_database_status')).integrity, 'damaged');
  await daemon.call('start_repair_worker', { poll_interval: 1 });
  await waitFor('it is mended', async () => !(await isSaid()));
  assert.equal((await daemon.call('get_database_status')).integrity, 'ok');
});

test('what only a backup has whole comes back by a repair, whose dry run says so, and by a restore', async (t) => {
  const { daemon, root, project_id } = await indexed(t, {
    'asked.py': 'asked = 1\n',
    'lost.py': 'lost = 1\n',
  });
  await daemon.call('delete_file', { project_id, path: 'asked.py' });
  unlinkSync(join(daemon.stateDir, 'versions', project_id, 'asked.py'));
  await daemon.call('backup_database');
  unlinkSync(join(root, 'lost.py'));
  damage(daemon, 'lost.py');
  damage(daemon, 'asked.py');
  assert.equal((await daemon.call('check_database', { deep: true })).ok, false);
  const dry = await daemon.call('repair_database', { project_id, dry_run: true });
  const run = await daemon.call('repair_database', { project_id });
  for (const report of [dry, run]) {
    assert.ok('totals' in report);
    assert.equal(report.totals['restore_from_cst'], 2, JSON.stringify(report.totals));
    assert.equal(report.totals['unrestorable'], 0);
  }
  assert.equal(readFileSync(join(root, 'lost.py'), 'utf8'), 'lost = 1\n');
  assert.equal((await daemon.call('list_deleted_files', { project_id })).files[0]?.restorable, true);
  await daemon.call('restore_deleted_files', { project_id, paths: ['asked.py'] });
  assert.equal(readFileSync(join(root, 'asked.py'), 'utf8'), 'asked = 1\n');
});

test('a deleted file whose content is damaged comes back from its copy in versions', async (t) => {
  const { daemon, root, project_id } = await indexed(t, { 'a.py': 'a = 1\n' });
  await daemon.call('delete_file', { project_id, path: 'a.py' });
  damage(daemon, 'a.py');
  assert.equal((await daemon.call('check_database', { deep: true })).ok, false);
  assert.equal((await daemon.call('list_deleted_files', { project_id })).files[0]?.restorable, true);
  await daemon.call('restore_deleted_files', { project_id, paths: ['a.py'] });
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'a = 1\n');
});

test('a pass goes on where it was when the worker is started again', async (t) => {
  const sandbox = await Sandbox.create(t);
  const files = Object.fromEntries(
    Array.from({ length: 12 }, (_, number) => [`f${number}.txt`, `${number}\n`]),
  );
  const root = await sandbox.project(files);
  // One content a step.
  const daemon = await sandbox.startDaemon({ config: { autostart: [], scrub_period: 31_536_000 } });
  await daemon.addProject(root);
  const checked = async (): Promise<number> =>
    (await daemon.call('repair_worker_status')).scrub?.checked ?? 0;
  await daemon.call('start_repair_worker', { poll_interval: 1 });
  await waitFor('some are looked at', async () => (await checked()) >= 2);
  await daemon.call('stop_repair_worker');
  const before = await checked();
  await daemon.call('start_repair_worker', { poll_interval: 1 });
  await waitFor('it goes on', async () => (await checked()) > before);
  assert.ok((await checked()) >= before);
});

test('a repair mends contents that are known to be damaged, and no backup that has them whole is dropped before', async (t) => {
  const { daemon, root, project_id } = await indexed(t, { 'disk.py': 'disk = 1\n', 'lost.py': 'lost = 1\n' });
  const { path: good } = await daemon.call('backup_database');
  unlinkSync(join(root, 'lost.py'));
  damage(daemon, 'lost.py');
  damage(daemon, 'disk.py');
  assert.equal((await daemon.call('check_database', { deep: true })).ok, false);
  for (let turn = 0; turn < 8; turn += 1) await daemon.call('backup_database');
  assert.ok(existsSync(good));
  const dry = await daemon.call('repair_database', { project_id, dry_run: true });
  const run = await daemon.call('repair_database', { project_id });
  assert.ok('message' in dry && 'message' in run);
  assert.equal(run.message.replace('restored', 'to be restored'), dry.message);
  assert.equal(readFileSync(join(root, 'lost.py'), 'utf8'), 'lost = 1\n');
  assert.equal((await daemon.call('check_database', { deep: true })).ok, true);
});

test('what a repair or somebody else meets damaged is not called restorable from then on', async (t) => {
  const { daemon, root, project_id } = await indexed(t, {
    'met.py': 'm = 1\n',
    'lost.py': 'l = 1\n',
    'gone.py': 'g = 1\n',
  });
  const notRestorable = async (): Promise<number> =>
    (await daemon.call('get_project_status', { project_id })).files.not_restorable;
  await daemon.call('delete_file', { project_id, path: 'gone.py' });
  unlinkSync(join(daemon.stateDir, 'versions', project_id, 'gone.py'));
  for (const path of ['met.py', 'lost.py']) unlinkSync(join(root, path));
  for (const path of ['met.py', 'lost.py', 'gone.py']) damage(daemon, path);
  // A dry run only looks.
  await daemon.refusal('restore_deleted_files', { project_id, paths: ['gone.py'], dry_run: true });
  await daemon.refusal('get_file', { project_id, path: 'met.py' });
  await waitFor('it is noted', async () => (await notRestorable()) === 1);
  const { unrestorable } = await daemon.repair({ project_id });
  assert.deepEqual(unrestorable.map(({ path }) => path).sort(), ['gone.py', 'lost.py', 'met.py']);
  assert.equal(await notRestorable(), 3);
  const { files } = await daemon.call('list_deleted_files', { project_id });
  assert.deepEqual(
    files.map(({ path, restorable }) => [path, restorable]),
    [['gone.py', false]],
  );
  const { entries: unprotected } = await daemon.call('list_unprotected', { project_id });
  assert.deepEqual(
    unprotected.map(({ path }) => path),
    ['gone.py', 'lost.py', 'met.py'],
  );
  await waitFor('health says so', async () => {
    const { problems } = await daemon.call('health');
    return problems.some(({ reason }) => /3 contents of the index are damaged or missing/u.test(reason));
  });
  // A check that looks at no content says what is known of them.
  const checked = await daemon.call('check_database');
  assert.deepEqual([checked.ok, checked.problems.length], [false, 3]);
});
