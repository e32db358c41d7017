import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Daemon, type Project } from '../harness/daemon.js';
import { bindMount, cannotMount, mountTmpfs, sandboxWithMounts, unmount } from '../harness/mounting.js';
import { pathsOf } from '../harness/repairs.js';
import { manyFiles, type Sandbox, writeFiles } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

interface Mounted {
  sandbox: Sandbox;
  daemon: Daemon;
  project: Project;
  root: string;
  /** Of all files that it has. */
  paths: string[];
}

/** A project on a tmpfs below a bare mount point; null where mounting is not allowed. */
async function onTmpfs(t: TestContext, count: number): Promise<Mounted | null> {
  const sandbox = await sandboxWithMounts(t);
  const root = sandbox.path('disk');
  mkdirSync(root);
  if (!mountTmpfs(root)) return null;
  await writeFiles(root, manyFiles(count));
  const daemon = await sandbox.startDaemon();
  const paths = Object.keys(manyFiles(count)).sort();
  return { sandbox, daemon, project: await daemon.addProject(root), root, paths };
}

/** Binds a folder to another place, too, so that what is in it outlives its unmounting. */
function keepElsewhere(sandbox: Sandbox, folder: string): string {
  const elsewhere = sandbox.path('elsewhere');
  mkdirSync(elsewhere);
  assert.equal(bindMount(folder, elsewhere), true);
  return elsewhere;
}

async function untilFresh(daemon: Daemon, project_id: string): Promise<void> {
  await waitFor('fresh', async () => {
    const { freshness } = await daemon.call('get_project_status', { project_id });
    return freshness === 'fresh';
  });
}

/** Before the watcher has looked, another reason is told. */
async function untilDoubted(daemon: Daemon, project_id: string, words: RegExp): Promise<void> {
  await waitFor(`the doubt is told: ${String(words)}`, async () => {
    const { freshness, reason } = await daemon.call('get_project_status', { project_id });
    return freshness === 'unknown' && words.test(reason ?? '');
  });
}

/** Watcher, dry run and run say that nothing is known, and why; nothing is marked or written. */
async function assertNothingConcluded(
  { daemon, project, root, paths }: Mounted,
  reason: RegExp,
): Promise<void> {
  const { project_id } = project;
  const earlier = [...filesOf(root)];
  await untilDoubted(daemon, project_id, reason);
  assert.equal((await daemon.call('health')).status, 'degraded');
  for (const dry_run of [true, false]) {
    const report = await daemon.repair({ project_id, dry_run });
    assert.deepEqual(pathsOf(report.unknown), paths);
    assert.match(report.unknown[0]?.reason ?? '', reason);
    assert.deepEqual([report.totals['restore_from_cst'], report.totals['set_deleted']], [0, 0]);
  }
  assert.deepEqual([...filesOf(root)], earlier, 'nothing was written there');
  assert.deepEqual(await daemon.paths(project_id, true), [], 'nothing was marked');
}

/** Without a watcher, the background worker would bring back what is lost. */
async function assertWorkerHalts({ daemon, root }: Mounted, reason: RegExp): Promise<void> {
  const earlier = [...filesOf(root)];
  await daemon.stopWorkers('file_watcher');
  await daemon.call('start_repair_worker', { poll_interval: 0.05 });
  await waitFor('two rounds of the background worker', async () => {
    const { rounds, halted_reason } = await daemon.call('repair_worker_status');
    return rounds >= 2 && reason.test(halted_reason ?? '');
  });
  assert.equal((await daemon.call('health')).status, 'degraded');
  await daemon.call('stop_repair_worker', {});
  await daemon.call('start_worker', { worker_type: 'file_watcher' });
  assert.deepEqual([...filesOf(root)], earlier, 'nothing was written there');
}

test('a disk that is away: its bare mount point is not filled, and all is well when it is back', async (t) => {
  const place = await onTmpfs(t, 60);
  if (place === null) return t.skip(cannotMount);
  const { sandbox, daemon, project, root } = place;
  const { project_id } = project;
  const original = filesOf(root);
  const disk = keepElsewhere(sandbox, root);
  unmount(root);
  const atOnce = await daemon.repair({ project_id });
  assert.equal(atOnce.unknown.length, 60, 'also before any watcher could tell');
  await assertNothingConcluded(place, /not the one that was registered/);
  await assertWorkerHalts(place, /not the one that was registered/);
  assert.equal(bindMount(disk, root), true);
  await untilFresh(daemon, project_id);
  assert.equal((await daemon.call('health')).status, 'ok');
  const { totals, unknown } = await daemon.repair({ project_id });
  assert.deepEqual([totals['ok'], unknown], [60, []]);
  assert.deepEqual(filesOf(root), original);
});

test('another disk on the same place, with nothing in it and with other files: nothing is concluded', async (t) => {
  const place = await onTmpfs(t, 60);
  if (place === null) return t.skip(cannotMount);
  const { root } = place;
  unmount(root);
  assert.equal(mountTmpfs(root), true);
  await assertNothingConcluded(place, /not the one that was registered/);
  await writeFiles(root, { 'other.py': 'other = 1\n', 'more/x.py': 'x = 1\n' });
  await assertNothingConcluded(place, /not the one that was registered/);
});

test('another disk under a project of few files: each of them is unknown, and accepting what is there ends it', async (t) => {
  const place = await onTmpfs(t, 3);
  if (place === null) return t.skip(cannotMount);
  const { sandbox, daemon, project, root, paths } = place;
  const { project_id } = project;
  const original = filesOf(root);
  const disk = keepElsewhere(sandbox, root);
  unmount(root);
  assert.equal(mountTmpfs(root), true);
  await writeFiles(root, { 'other.py': 'other = 1\n' });
  await untilDoubted(daemon, project_id, /3 (?:of|files)/);
  for (const dry_run of [true, false]) {
    const report = await daemon.repair({ project_id, dry_run });
    assert.deepEqual(pathsOf(report.unknown), paths);
  }
  assert.deepEqual([[...filesOf(root).keys()], await daemon.paths(project_id, true)], [['other.py'], []]);

  unmount(root);
  assert.equal(bindMount(disk, root), true);
  await waitFor('its files are known again', async () => {
    const { freshness, reason } = await daemon.call('get_project_status', { project_id });
    return freshness === 'fresh' || /1 files are missing/.test(reason ?? '');
  });
  await daemon.call('accept_deletions', { project_id });
  await untilFresh(daemon, project_id);
  assert.deepEqual(await daemon.paths(project_id), paths);
  assert.deepEqual(filesOf(root), original);
});

test('a nested disk that is away: its files are unknown, the rest is followed and repaired', async (t) => {
  const sandbox = await sandboxWithMounts(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const nested = join(root, 'nested');
  const disk = sandbox.path('disk');
  for (const folder of [nested, disk]) mkdirSync(folder);
  if (!mountTmpfs(disk) || !bindMount(disk, nested)) return t.skip(cannotMount);
  await writeFiles(nested, { 'n1.py': 'n = 1\n', 'deep/n2.py': 'n = 2\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  const original = filesOf(root);
  const inNested = ['nested/deep/n2.py', 'nested/n1.py'];
  unmount(nested);
  writeFileSync(join(root, 'c.py'), 'c = 1\n');
  unlinkSync(join(root, 'a.py'));
  await daemon.call('update_indexes', { project_id });
  await untilDoubted(daemon, project_id, /2 files are missing.*another file system/);
  assert.equal((await daemon.call('health')).status, 'degraded');
  const followed = (await daemon.paths(project_id)).filter((path) => path !== 'nested');
  assert.deepEqual(followed, ['b.py', 'c.py', ...inNested], 'the rest is followed');
  assert.deepEqual(await daemon.paths(project_id, true), ['a.py']);

  await daemon.stopWorkers('file_watcher');
  unlinkSync(join(root, 'b.py'));
  for (const dry_run of [true, false]) {
    const report = await daemon.repair({ project_id, dry_run });
    assert.deepEqual(pathsOf(report.files_restored_from_cst), ['b.py']);
    assert.deepEqual(pathsOf(report.unknown), inNested);
    assert.match(report.unknown[0]?.reason ?? '', new RegExp(`mount the one that was at ${nested}`));
  }
  assert.deepEqual([readdirSync(nested), existsSync(join(root, 'b.py'))], [[], true]);
  assert.deepEqual(await daemon.paths(project_id, true), ['a.py']);

  await daemon.call('start_worker', { worker_type: 'file_watcher' });
  await untilDoubted(daemon, project_id, /another file system/);
  assert.equal(bindMount(disk, nested), true);
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
  await daemon.call('restore_deleted_files', { project_id, paths: ['a.py'] });
  unlinkSync(join(root, 'c.py'));
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
  assert.equal((await daemon.call('health')).status, 'ok');
  assert.deepEqual(filesOf(root), original);
});

/** Nothing is compared as a whole unless the watcher finds that it has to be. */
const unasked = { config: { autostart: ['file_watcher'], reconcile_interval: 3_600 } };

async function untilIndexed(daemon: Daemon, project_id: string, expected: readonly string[]): Promise<void> {
  await waitFor('what is there is indexed', async () => {
    assert.deepEqual(await daemon.paths(project_id), expected);
    return true;
  });
}

test('a nested disk goes and comes while nobody asks: the watcher notices, and follows what is there', async (t) => {
  const sandbox = await sandboxWithMounts(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const nested = join(root, 'nested');
  const disk = sandbox.path('disk');
  for (const folder of [nested, disk]) mkdirSync(folder);
  if (!mountTmpfs(disk) || !bindMount(disk, nested)) return t.skip(cannotMount);
  await writeFiles(nested, { 'n.py': 'n = 1\n', 'deep/d.py': 'd = 1\n' });
  const daemon = await sandbox.startDaemon(unasked);
  const { project_id } = await daemon.addProject(root);
  await untilFresh(daemon, project_id);

  unmount(nested);
  await untilDoubted(daemon, project_id, /2 files are missing.*another file system/);
  assert.equal(bindMount(disk, nested), true);
  await untilFresh(daemon, project_id);
  await writeFiles(nested, { 'deep/new.py': 'n = 2\n' });
  await untilIndexed(daemon, project_id, ['a.py', 'nested/deep/d.py', 'nested/deep/new.py', 'nested/n.py']);

  // Another one with the same folders, which have the same inode numbers.
  unmount(nested);
  assert.equal(mountTmpfs(nested), true);
  await writeFiles(nested, { 'n.py': 'n = 3\n', 'deep/d.py': 'd = 3\n', 'deep/new.py': 'n = 3\n' });
  await waitFor('the other one is read', () =>
    [...filesOf(root)].every(([path, { content }]) =>
      daemon.sql(
        (db) =>
          db.prepare('SELECT 1 FROM files WHERE path = ? AND sha256 = ?').get(path, content) !== undefined,
      ),
    ),
  );
  await untilFresh(daemon, project_id);
  await writeFiles(nested, { 'deep/d2.py': 'd = 4\n' });
  const paths = ['a.py', 'nested/deep/d.py', 'nested/deep/d2.py', 'nested/deep/new.py', 'nested/n.py'];
  await untilIndexed(daemon, project_id, paths);
});

test('a disk that is mounted over a folder of a project while nobody asks: what it hides is unknown until it goes', async (t) => {
  const sandbox = await sandboxWithMounts(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'src/b.py': 'b = 1\n' });
  const covered = join(root, 'src');
  const daemon = await sandbox.startDaemon(unasked);
  const { project_id } = await daemon.addProject(root);
  await untilFresh(daemon, project_id);
  if (!mountTmpfs(covered)) return t.skip(cannotMount);
  await writeFiles(covered, { 'over.py': 'o = 1\n' });
  await untilDoubted(daemon, project_id, /1 files are missing.*another file system/);
  await untilIndexed(daemon, project_id, ['a.py', 'src/b.py', 'src/over.py']);

  unmount(covered);
  await untilDoubted(daemon, project_id, /1 files are missing.*another file system/);
  await waitFor('what it hid is there again', async () => {
    const { unknown } = await daemon.repair({ project_id });
    assert.deepEqual(pathsOf(unknown), ['src/over.py']);
    return true;
  });
  await writeFiles(covered, { 'c.py': 'c = 1\n' });
  await untilIndexed(daemon, project_id, ['a.py', 'src/b.py', 'src/c.py', 'src/over.py']);
});

test('a disk that is away keeps nobody from the rest of its project, and what was on it can come back elsewhere', async (t) => {
  const sandbox = await sandboxWithMounts(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const disk = join(root, 'data');
  mkdirSync(disk);
  if (!mountTmpfs(disk)) {
    t.skip(cannotMount);
    return;
  }
  writeFileSync(join(disk, 'd.py'), 'd = 1\n');
  const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'], revision_burst: 0 } });
  const { project_id } = await daemon.addProject(root);
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
  writeFileSync(join(root, 'a.py'), 'a = 2\n');
  writeFileSync(join(disk, 'd.py'), 'd = 2\n');
  await daemon.call('wait_until_fresh', { project_id });
  unmount(disk);
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'unknown');
  await daemon.call('create_checkpoint', { project_id });
  const rewound = await daemon.call('rewind', { project_id, to: checkpoint_id });
  assert.ok('reverted' in rewound);
  assert.deepEqual(rewound.reverted, [{ path: 'a.py' }]);
  assert.deepEqual(
    rewound.unknown.map(({ path }) => path),
    ['data/d.py'],
  );
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'a = 1\n');
  const { accepted } = await daemon.call('accept_deletions', { project_id });
  assert.deepEqual(accepted, [{ path: 'data/d.py' }]);
  await daemon.call('restore_deleted_files', { project_id, paths: ['data/d.py'] });
  assert.equal(readFileSync(join(disk, 'd.py'), 'utf8'), 'd = 2\n');
});
