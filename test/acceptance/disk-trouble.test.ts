import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CodekeepError } from '#src/rpc/client/client.js';
import { codekeep, withoutPrivileges } from '../harness/command.js';
import { type Daemon, type Project, versionPath } from '../harness/daemon.js';
import { pathsOf } from '../harness/repairs.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, treeHash } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

const mebibyte = Buffer.alloc(1024 ** 2);

function fill(path: string): void {
  for (let size = mebibyte.length; size >= 1; size /= 4) {
    try {
      for (;;) writeFileSync(path, mebibyte.subarray(0, size), { flag: 'a' });
    } catch {
      // Full for pieces of this size.
    }
  }
}

test('a full disk is said in words by each worker and call, nothing is lost, and all is well once there is room', async (t) => {
  const sandbox = await Sandbox.create(t);
  const disk = sandbox.path('disk');
  if (!sandbox.mount(disk, '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs'))
    return t.skip('no tmpfs can be mounted here');
  const names = Array.from({ length: 30 }, (_, number) => `f${number}.py`);
  const root = await sandbox.project(Object.fromEntries(names.map((name) => [name, `# ${name}\n`])));
  const stateDir = join(disk, 'state');
  const daemon = await sandbox.startDaemon({ stateDir, config: { autostart: ['file_watcher'] } });
  daemon.mayLogErrors = true;
  const { project_id } = await daemon.addProject(root);
  await daemon.call('wait_until_fresh', { project_id });
  fill(join(disk, 'filler'));
  // It has work that it cannot write.
  await daemon.call('start_worker', { worker_type: 'vectorization' });
  writeFileSync(join(root, 'new.py'), 'n = 1\n'.repeat(10_000));
  rmSync(join(root, 'f0.py'));
  const calls = [
    ['wait_until_fresh', { project_id }],
    ['delete_file', { project_id, path: 'f1.py' }],
    ['add_project', { root_dir: sandbox.path('.') }],
    ['backup_database', {}],
    ['repair_database', { project_id }],
  ] as const;
  for (const [method, params] of calls) {
    const refusal = await daemon.refusal(method, params);
    assert.match(refusal.message, /disk is full/, method);
  }
  await daemon.call('start_worker', { worker_type: 'repair' });
  const { freshness, reason } = await daemon.call('get_project_status', { project_id });
  assert.equal(freshness, 'unknown');
  assert.match(reason ?? '', /disk is full/);
  await waitFor('health says so of both', async () => {
    const { problems } = await daemon.call('health');
    const full = problems.filter(({ reason: why }) => why.includes('disk is full'));
    const saying = new Set(full.map(({ source }) => source));
    return saying.has(root) && saying.has('vectorization');
  });
  assert.ok(existsSync(join(root, 'f1.py')));
  const { stdout } = await codekeep(sandbox, 'status', '--socket', daemon.socket);
  const problem = stdout.split('\n').find((line) => line.startsWith(`problem: ${root}: `)) ?? '';
  assert.match(problem, /disk is full.*Mend that: it is looked at again by itself/);
  assert.doesNotMatch(stdout, /"codekeep status"/, 'it does not name itself as the way on');

  rmSync(join(disk, 'filler'));
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await daemon.paths(project_id, true), ['f0.py']);
  assert.ok((await daemon.paths(project_id)).includes('new.py'));
  await waitFor('all is well', async () => (await daemon.call('health')).status === 'ok', 30_000);
  assert.equal((await daemon.call('check_database', { deep: true })).ok, true);
  return undefined;
});

test('a check that could not be written down is, as soon as there is room', async (t) => {
  const sandbox = await Sandbox.create(t);
  const disk = sandbox.path('disk');
  if (!sandbox.mount(disk, '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs'))
    return t.skip('no tmpfs can be mounted here');
  const config = { autostart: [], check_interval: 1 };
  const daemon = await sandbox.startDaemon({ stateDir: join(disk, 'state'), config });
  await daemon.addProject(await sandbox.project({ 'a.py': 'a = 1\n' }));
  fill(join(disk, 'filler'));
  await waitFor('health says so', async () =>
    (await daemon.call('health')).problems.some(({ reason }) =>
      /the check of the index that was due failed: the disk is full/.test(reason),
    ),
  );
  rmSync(join(disk, 'filler'));
  await waitFor('all is well', async () => (await daemon.call('health')).status === 'ok');
  return undefined;
});

test('a state directory that cannot be written is said in words, with its path and what to do', async (t) => {
  const sandbox = await Sandbox.create(t);
  const disk = sandbox.path('disk');
  if (!sandbox.mount(disk, '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs'))
    return t.skip('no tmpfs can be mounted here');
  const stateDir = join(disk, 'state');
  const serve = ['serve', '--state-dir', stateDir, '--socket', sandbox.path('its.sock')];
  mkdirSync(stateDir);
  fill(join(disk, 'filler'));
  const full = await codekeep(sandbox, ...serve);
  assert.equal(full.status, 3);
  assert.match(full.stderr, /state\/lock\.db cannot be written: the disk is full\.\n.*Free some space/);
  rmSync(join(disk, 'filler'));
  const daemon = await sandbox.startDaemon({ stateDir });
  await daemon.stop();
  execFileSync('mount', ['-o', 'remount,ro', disk]);
  const readOnly = await codekeep(sandbox, ...serve);
  assert.equal(readOnly.status, 3);
  assert.match(readOnly.stderr, /state\/lock\.db cannot be opened for writing: .*read-only/);
  execFileSync('mount', ['-o', 'remount,rw', disk]);
  return undefined;
});

async function withLost(
  sandbox: Sandbox,
  under: string[] = [],
): Promise<{ daemon: Daemon; project: Project; root: string }> {
  const root = await sandbox.project({
    'a.py': 'a = 1\n',
    'folder/b.py': 'b = 1\n',
    'folder/c.py': 'c = 1\n',
  });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] }, under });
  const project = await daemon.addProject(root);
  rmSync(join(root, 'folder/b.py'));
  return { daemon, project, root };
}

/** Run and dry run say the same of what cannot be written, and it comes back once it can. */
async function refusesAlike(
  { daemon, project, root }: Awaited<ReturnType<typeof withLost>>,
  why: RegExp,
): Promise<void> {
  const { project_id } = project;
  const before = filesOf(root);
  const refusal = await daemon.refusal('delete_file', { project_id, path: 'folder/c.py' });
  assert.match(refusal.message, why);
  const planned = await daemon.repair({ project_id, dry_run: true });
  const done = await daemon.repair({ project_id });
  for (const { conflicts } of [planned, done]) {
    assert.deepEqual(pathsOf(conflicts), ['folder/b.py']);
    assert.match(conflicts[0]?.reason ?? '', why);
  }
  assert.deepEqual(filesOf(root), before);
  assert.equal(filesOf(versionPath(project)).size, 0);
}

async function comesBack({ daemon, project }: Awaited<ReturnType<typeof withLost>>): Promise<void> {
  const { files_restored_from_cst: restored } = await daemon.repair({ project_id: project.project_id });
  assert.deepEqual(pathsOf(restored), ['folder/b.py']);
}

test('a read-only file system is said in words by calls, dry run and run, and nothing is lost', async (t) => {
  const sandbox = await Sandbox.create(t);
  const started = await withLost(sandbox);
  const { root } = started;
  if (!sandbox.mount(root, '--bind', root)) return t.skip('a bind mount cannot be made here');
  execFileSync('mount', ['-o', 'remount,bind,ro', root]);
  await refusesAlike(started, /read-only/);
  execFileSync('mount', ['-o', 'remount,bind,rw', root]);
  await comesBack(started);
  return undefined;
});

test('a folder that the daemon may not write is said in words by calls, dry run and run, and nothing is lost', async (t) => {
  const sandbox = await Sandbox.create(t);
  const started = await withLost(sandbox, withoutPrivileges());
  const folder = join(started.root, 'folder');
  chmodSync(folder, 0o555);
  await refusesAlike(started, /permission is denied/);
  chmodSync(folder, 0o755);
  await comesBack(started);
});

test('versions that cannot be written cost a deletion its copy for as long as that lasts, and health says so', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  const { project_id } = project;
  const versions = project.version_dir;
  mkdirSync(versions, { recursive: true });
  if (!sandbox.mount(versions, '--bind', versions)) return t.skip('a bind mount cannot be made here');
  execFileSync('mount', ['-o', 'remount,bind,ro', versions]);
  rmSync(join(root, 'a.py'));
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await daemon.paths(project_id, true), ['a.py']);
  assert.equal((await daemon.call('get_project_status', { project_id })).files.without_copy, 1);
  assert.equal((await daemon.call('health')).status, 'degraded');
  execFileSync('mount', ['-o', 'remount,bind,rw', versions]);
  await daemon.call('update_indexes', { project_id });
  assert.deepEqual([...filesOf(versionPath(project)).keys()], ['a.py']);
  await waitFor('all is well', async () => (await daemon.call('health')).status === 'ok');
  return undefined;
});

test('a state directory that cannot be written is a clear error of the start', async (t) => {
  const sandbox = await Sandbox.create(t);
  const stateDir = sandbox.path('readonly');
  if (!sandbox.mount(stateDir, '-t', 'tmpfs', '-o', 'ro', 'tmpfs'))
    return t.skip('no tmpfs can be mounted here');
  const { status, stderr } = await codekeep(sandbox, 'serve', '--state-dir', stateDir);
  assert.notEqual(status, 0);
  assert.match(stderr, /read-only/);
  assert.doesNotMatch(stderr, /defect|^\s+at /m);
  return undefined;
});

test('an index that is removed while it is open is missed, saved by a backup, and not replaced by an empty one', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon();
  daemon.mayLogErrors = true;
  const { project_id } = await daemon.addProject(root);
  await daemon.call('wait_until_fresh', { project_id });
  const index = join(daemon.stateDir, 'index.db');
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${index}${suffix}`, { force: true });
  const { problems } = await waitFor('health says so', async () => {
    const health = await daemon.call('health');
    return health.status === 'degraded' && health;
  });
  assert.match(
    problems[0]?.reason ?? '',
    /index\.db or its log was removed, emptied or replaced .*"codekeep backup" saves/,
  );
  for (const dry_run of [true, false]) {
    const { code } = await daemon.refusal('repair_database', { project_id, dry_run });
    assert.equal(code, 'INDEX_UNAVAILABLE');
  }
  const { freshness, reason } = await daemon.call('get_project_status', { project_id });
  assert.deepEqual([freshness, /index\.db or its log was removed/.test(reason ?? '')], ['unknown', true]);
  for (const [method, params] of Object.entries({
    delete_file: { path: 'a.py' },
    restore_deleted_files: { paths: ['a.py'] },
    remove_project: {},
    accept_deletions: {},
    update_indexes: {},
    wait_until_fresh: {},
  })) {
    const refused = await daemon.failure(method, { project_id, ...params });
    assert.ok(refused instanceof CodekeepError && refused.code === 'INDEX_UNAVAILABLE', method);
    assert.match(refused.hint, /"codekeep backup" saves/);
  }
  assert.ok(existsSync(join(root, 'a.py')));
  assert.ok(!existsSync(index), 'nothing was put in its place');
  const { path } = await daemon.call('backup_database');
  assert.equal((await daemon.stop())?.code, 1);
  assert.match(daemon.stderr, /index\.db or its log was removed/);
  daemon.expectedStderr = daemon.stderr;
  renameSync(path, index);
  const next = await sandbox.startDaemon();
  // Both write the same logs.
  next.mayLogErrors = true;
  assert.deepEqual(
    (await next.call('list_projects')).projects.map((project) => project.project_id),
    [project_id],
  );
  const { content } = await next.call('get_file', { project_id, path: 'a.py' });
  assert.equal(content, 'a = 1\n');
});

test('a repair says which disk is full, loses nothing, and brings all back once there is room', async (t) => {
  const sandbox = await Sandbox.create(t);
  const version_dir = sandbox.path('versions');
  if (!sandbox.mount(version_dir, '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs'))
    return t.skip('no tmpfs can be mounted here');
  const names = ['f0.txt', 'f1.txt', 'f2.txt', 'f3.txt'];
  const root = await sandbox.project(
    Object.fromEntries(names.map((name) => [name, randomBytes(24_000).toString('base64')])),
  );
  const before = treeHash(root);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.call('add_project', { root_dir: root, version_dir });
  await daemon.call('update_indexes', { project_id });
  for (const name of names) rmSync(join(root, name));
  const { errors } = await daemon.repair({ project_id });
  assert.ok(errors.length > 0);
  for (const error of errors)
    assert.match(error, /^f\d\.txt: the disk of versions is full: free some space/u);
  execFileSync('mount', ['-o', 'remount,size=1m', version_dir]);
  assert.deepEqual((await daemon.repair({ project_id })).errors, []);
  assert.equal(treeHash(root), before);
});

for (const [how, damage] of Object.entries<(path: string) => void>({
  emptied: (path) => truncateSync(path, 0),
  'cut off': (path) => truncateSync(path, 20_000),
  overwritten: (path) => writeFileSync(path, randomBytes(90_000), { flag: 'r+' }),
}))
  test(`an index that is ${how} under the daemon is said in health, and mended by a repair or a backup`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
    const first = await sandbox.startDaemon({ config: { autostart: [] } });
    first.mayLogErrors = true;
    const { project_id } = await first.addProject(root);
    const { path } = await first.call('backup_database');
    await first.stop();
    const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    daemon.mayLogErrors = true;
    // From here on it is open.
    await daemon.call('list_projects');
    damage(join(daemon.stateDir, 'index.db'));
    await waitFor('health says so', async () => {
      // Whoever asks is answered with an error, and not with a crash.
      const { stderr } = await codekeep(sandbox, 'status', '--socket', daemon.socket);
      assert.doesNotMatch(stderr, /^ +at |Node\.js v/m);
      return (await daemon.call('health')).status === 'degraded';
    });
    // What was emptied is still open: to save that comes first.
    if (how === 'emptied')
      assert.ok((await daemon.failure('repair_database', { project_id })) instanceof Error);
    else {
      // Where pages that name files are gone nobody can know that there were no more.
      const { rebuilt } = await daemon.repair({ project_id });
      assert.deepEqual(
        rebuilt?.lost.filter((loss) => loss.path !== ''),
        [],
      );
    }
    assert.deepEqual(
      await daemon.paths(project_id).catch(() => []),
      how === 'emptied' ? [] : ['a.py', 'b.py'],
    );
    await daemon.call('restore_backup', { path });
    assert.deepEqual(await daemon.paths(project_id), ['a.py', 'b.py']);
    assert.equal((await daemon.repair({ project_id })).totals['ok'], 2);
  });
