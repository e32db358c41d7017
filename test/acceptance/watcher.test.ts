import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { chmod, cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Daemon, type Project, versionPath } from '../harness/daemon.js';
import { type FileSpec, manyFiles, Sandbox, writeFiles } from '../harness/sandbox.js';
import { filesOf, sha256 } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

interface Watched {
  sandbox: Sandbox;
  daemon: Daemon;
  project: Project;
  root: string;
}

/** A project that is indexed and watched, by events alone. */
async function watched(
  t: TestContext,
  files: Readonly<Record<string, FileSpec>>,
  config = {},
): Promise<Watched> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'], ...config } });
  const project = await daemon.addProject(root);
  await untilFresh(daemon, project);
  return { sandbox, daemon, project, root };
}

async function untilFresh(daemon: Daemon, { project_id }: Project): Promise<void> {
  await waitFor(
    'fresh',
    async () => (await daemon.call('get_project_status', { project_id })).freshness === 'fresh',
  );
}

/** Waits for the index to be what is on disk, without asking it to look. */
async function untilFollowed(
  daemon: Daemon,
  project: Project,
  ignored: readonly string[] = [],
): Promise<void> {
  await waitFor('the index follows the disk', async () => {
    const indexed = (await daemon.files(project.project_id)).map(({ path, sha256: hash, mode }) => [
      path,
      hash,
      mode,
    ]);
    const onDisk = [...filesOf(project.root_dir, ['data', ...ignored])].map(([path, { content, mode }]) => [
      path,
      content,
      mode.padStart(4, '0'),
    ]);
    assert.deepEqual(indexed, onDisk);
    return true;
  });
}

test('files that are made, edited, saved by rename, chmodded and moved are followed', async (t) => {
  const { daemon, project, root } = await watched(t, {
    'a.py': 'a = 1\n',
    'folder/b.py': 'b = 1\n',
    'folder/deep/c.py': 'c = 1\n',
  });
  await writeFiles(root, { 'new.py': 'n = 1\n', 'made/at/once/d.py': 'd = 1\n', 'folder/e.py': 'e = 1\n' });
  await untilFollowed(daemon, project);
  await writeFile(join(root, 'a.py'), 'a = 2\n');
  await untilFollowed(daemon, project);
  await writeFile(join(root, 'a.py.tmp'), 'a = 3\n');
  await rename(join(root, 'a.py.tmp'), join(root, 'a.py'));
  await chmod(join(root, 'new.py'), 0o755);
  await untilFollowed(daemon, project);
  await untilFresh(daemon, project);
  assert.deepEqual(await daemon.paths(project.project_id, true), [], 'a save by rename is no deletion');
  await rename(join(root, 'folder'), join(root, 'moved'));
  await untilFollowed(daemon, project);
  assert.deepEqual(await daemon.paths(project.project_id, true), [
    'folder/b.py',
    'folder/deep/c.py',
    'folder/e.py',
  ]);
  await writeFile(join(root, 'moved/deep/c.py'), 'c = 2\n');
  await untilFollowed(daemon, project);
});

test('wait_until_fresh proves that what was written before it is indexed', async (t) => {
  const { daemon, project, root } = await watched(t, { 'a.py': 'a = 0\n' });
  for (let round = 1; round <= 5; round += 1) {
    await writeFile(join(root, 'a.py'), `a = ${round}\n`);
    await writeFile(join(root, `b${round}.py`), `b = ${round}\n`);
    const { freshness } = await daemon.call('wait_until_fresh', { root_dir: root });
    assert.equal(freshness, 'fresh');
    const { content } = await daemon.call('get_file', { root_dir: root, path: 'a.py' });
    assert.equal(content, `a = ${round}\n`);
    assert.ok((await daemon.paths(project.project_id)).includes(`b${round}.py`));
  }
});

test('a deleted file lands in versions, with its bytes and mode, and is marked', async (t) => {
  const { daemon, project, root } = await watched(t, {
    'a.sh': { content: '#!/bin/sh\n', mode: 0o755 },
    'folder/b.py': 'b\n',
    'c.py': 'c\n',
  });
  const original = filesOf(root);
  await rm(join(root, 'a.sh'));
  await rm(join(root, 'folder'), { recursive: true });
  await waitFor('the marks', async () => (await daemon.paths(project.project_id, true)).length === 2);
  const versions = filesOf(versionPath(project));
  assert.deepEqual(
    versions,
    new Map([
      ['a.sh', original.get('a.sh')],
      ['folder/b.py', original.get('folder/b.py')],
    ]),
  );
  const { files } = await daemon.call('list_deleted_files', { root_dir: root });
  assert.deepEqual(
    files.map(({ path, restorable, version_path }) => [path, restorable, version_path]),
    [
      ['a.sh', true, versionPath(project, 'a.sh')],
      ['folder/b.py', true, versionPath(project, 'folder/b.py')],
    ],
  );
  await untilFollowed(daemon, project);
});

test('a path that is deleted twice keeps both copies', async (t) => {
  const { daemon, project, root } = await watched(t, { 'a.py': 'first\n', 'b.py': 'b\n' });
  const deleted = async (): Promise<boolean> =>
    (await daemon.paths(project.project_id, true)).includes('a.py');
  await rm(join(root, 'a.py'));
  await waitFor('the first deletion', deleted);
  await writeFile(join(root, 'a.py'), 'second\n');
  await untilFollowed(daemon, project);
  await rm(join(root, 'a.py'));
  await waitFor('the second deletion', deleted);
  const kept = [...filesOf(versionPath(project))];
  assert.deepEqual(
    kept.map(([, { content }]) => content).sort(),
    [sha256('first\n'), sha256('second\n')].sort(),
  );
  const older = kept.find(([path]) => path !== 'a.py');
  assert.match(older?.[0] ?? '', /^a\.\d{8}T[\d.]+Z\.py$/);
  assert.equal(older?.[1].content, sha256('first\n'));
});

test('.gitignore is honoured, and followed when it changes', async (t) => {
  const { daemon, project, root } = await watched(t, {
    '.gitignore': '*.log\nbuild/\n!keep.log\n',
    'a.log': 'log\n',
    'keep.log': 'log\n',
    'a.py': 'a\n',
    'build/out.js': 'x\n',
    'nested/.gitignore': '*.tmp\n!important.tmp\n',
    'nested/x.tmp': 'x\n',
    'nested/important.tmp': 'x\n',
    'node_modules/m/index.js': 'm\n',
    '.codekeepignore': 'private/\n',
    'private/secret.py': 's\n',
    '__pycache__/a.pyc': 'c\n',
  });
  const expected = [
    '.codekeepignore',
    '.gitignore',
    'a.py',
    'keep.log',
    'nested/.gitignore',
    'nested/important.tmp',
  ];
  assert.deepEqual(await daemon.paths(project.project_id), expected);
  await writeFile(join(root, 'b.log'), 'log\n');
  await writeFile(join(root, 'node_modules/m/b.js'), 'm\n');
  await writeFile(join(root, '.gitignore'), 'keep.log\nbuild/\n');
  await waitFor('the new rules', async () => {
    const paths = await daemon.paths(project.project_id);
    assert.deepEqual(paths, [
      '.codekeepignore',
      '.gitignore',
      'a.log',
      'a.py',
      'b.log',
      'nested/.gitignore',
      'nested/important.tmp',
    ]);
    return true;
  });
  assert.deepEqual(
    await daemon.paths(project.project_id, true),
    [],
    'a file that is ignored by now was not deleted',
  );
  assert.deepEqual([...filesOf(join(root, 'data')).keys()], []);
});

test('the versions directory is never indexed, wherever it is', async (t) => {
  const { daemon, project, root, sandbox } = await watched(t, { 'a.py': 'a\n', 'b.py': 'b\n' });
  await daemon.call('delete_file', { root_dir: root, path: 'a.py' });
  await writeFile(versionPath(project, 'by-hand.py'), 'x\n');
  await daemon.call('update_indexes', { root_dir: root });
  assert.deepEqual(await daemon.paths(project.project_id), ['b.py']);
  const other = await sandbox.project({ 'a.py': 'a\n', 'b.py': 'b\n' });
  const moved = await daemon.addProject(other, { version_dir: 'old/versions' });
  assert.equal(moved.version_dir, join(other, 'old/versions'));
  await rm(join(other, 'a.py'));
  await waitFor('the deletion', async () => (await daemon.paths(moved.project_id, true)).includes('a.py'));
  await untilFollowed(daemon, moved, ['old']);
});

test('a root that is moved away proves nothing, and is followed again when it is back', async (t) => {
  const { daemon, project, root } = await watched(t, manyFiles(30));
  await rename(root, `${root}.away`);
  const { freshness, reason } = await waitFor('unknown', async () => {
    const status = await daemon.call('get_project_status', { root_dir: root });
    return status.freshness === 'unknown' && status;
  });
  assert.equal(freshness, 'unknown');
  assert.ok(reason !== null && reason !== '');
  assert.equal((await daemon.paths(project.project_id)).length, 30, 'nothing was marked');
  const error = await daemon.refusal('update_indexes', { root_dir: root });
  assert.equal(error.code, 'ROOT_UNAVAILABLE');
  await rename(`${root}.away`, root);
  await waitFor(
    'fresh again',
    async () => {
      return (await daemon.call('get_project_status', { root_dir: root })).freshness === 'fresh';
    },
    20_000,
  );
  await writeFile(join(root, 'new.py'), 'n\n');
  await untilFollowed(daemon, project);
});

test('the brake: a root that is replaced by an empty folder marks nothing', async (t) => {
  const { daemon, project, root } = await watched(t, manyFiles(30));
  await rename(root, `${root}.away`);
  await mkdir(root);
  const halted = await daemon.refusal('update_indexes', { root_dir: root });
  assert.equal(halted.code, 'ROOT_UNAVAILABLE');
  const { freshness, reason } = await daemon.call('get_project_status', { root_dir: root });
  assert.equal(freshness, 'unknown');
  assert.match(reason ?? '', /30 of 30/);
  assert.equal((await daemon.paths(project.project_id)).length, 30);
  const report = await daemon.repair({ root_dir: root });
  assert.deepEqual([report.totals['unknown'], report.files_restored_from_cst.length], [30, 0]);
  assert.deepEqual(readdirSync(root), []);
  const forced = await daemon.repair({ root_dir: root, force: true });
  assert.equal(forced.files_restored_from_cst.length, 30);
  assert.deepEqual(filesOf(root, ['data']), filesOf(`${root}.away`));
});

test('a root that was copied to the same place is the same project', async (t) => {
  const { daemon, project, root } = await watched(t, manyFiles(30));
  await rename(root, `${root}.away`);
  await cp(`${root}.away`, root, { recursive: true });
  await daemon.call('update_indexes', { root_dir: root });
  assert.equal((await daemon.paths(project.project_id)).length, 30);
  await untilFresh(daemon, project);
});

test('what changed while the daemon was down is caught up', async (t) => {
  const { daemon, project, root, sandbox } = await watched(t, {
    'a.py': 'a\n',
    'b.py': 'b\n',
    'c.py': 'c\n',
  });
  await daemon.stop();
  await writeFile(join(root, 'a.py'), 'a = 2\n');
  await rm(join(root, 'b.py'));
  await writeFile(join(root, 'd.py'), 'd\n');
  const next = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
  await untilFollowed(next, project);
  assert.deepEqual(await next.paths(project.project_id, true), ['b.py']);
  assert.deepEqual([...filesOf(versionPath(project)).keys()], ['b.py']);
});

test('a switched branch is followed whole', async (t) => {
  const { daemon, project, root, sandbox } = await watched(t, { 'a.py': 'a\n', 'b.py': 'b\n' });
  const git = async (...args: string[]): Promise<void> => {
    const child = sandbox.spawn(
      'git',
      ['-c', 'user.name=t', '-c', 'user.email=t@t', '-c', 'core.hooksPath=/dev/null', ...args],
      root,
    );
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(code, 0, `git ${args.join(' ')}`);
  };
  await git('init', '-q', '-b', 'main');
  await git('add', 'a.py', 'b.py');
  await git('commit', '-qm', 'one');
  await git('checkout', '-qb', 'other');
  await writeFiles(root, manyFiles(100));
  await rm(join(root, 'b.py'));
  await git('add', '-A', '.');
  await git('commit', '-qm', 'two');
  await untilFollowed(daemon, project, ['.git']);
  await git('checkout', '-q', 'main');
  await untilFollowed(daemon, project, ['.git']);
  assert.deepEqual(await daemon.paths(project.project_id), ['a.py', 'b.py']);
});

test('what a watcher called fresh is unknown while it does not answer', async (t) => {
  const { daemon, project, root } = await watched(t, { 'a.py': 'a = 1\n' });
  const told: string[] = [];
  const subscription = await daemon.client.subscribe(['index'], (event) => {
    if (event.type === 'freshness') told.push(event.freshness);
  });
  const pid = (await daemon.workerPid('file_watcher')) ?? assert.fail('no watcher');
  process.kill(pid, 'SIGSTOP');
  await writeFile(join(root, 'a.py'), 'frozen = 2\n');
  const { reason } = await waitFor('it is unknown', async () => {
    const status = await daemon.call('get_project_status', { project_id: project.project_id });
    return status.freshness === 'unknown' && status;
  });
  assert.match(reason ?? '', /file_watcher has not answered for \d+ s/);
  assert.equal((await daemon.call('search', { query: 'frozen' })).freshness, 'unknown');
  process.kill(pid, 'SIGCONT');
  await untilFollowed(daemon, project);
  await untilFresh(daemon, project);
  assert.deepEqual([told[0], told.at(-1)], ['unknown', 'fresh']);
  await subscription.end();
});

test('a project that is removed while it is being indexed leaves no trouble behind', async (t) => {
  const { sandbox, daemon, project } = await watched(t, { 'a.py': 'a = 1\n' });
  const names = Array.from({ length: 300 }, (_, number) => `f${number}.py`);
  for (let round = 0; round < 5; round += 1) {
    const files = Object.fromEntries(names.map((name) => [name, `def ${name.slice(0, -3)}(): pass\n`]));
    const { project_id } = await daemon.call('add_project', { root_dir: await sandbox.project(files) });
    await waitFor('its indexing has begun', async () => {
      const { files: counts } = await daemon.call('get_project_status', { project_id });
      return counts.total > 0;
    });
    await daemon.call('remove_project', { project_id });
    // One project is indexed at a time: when this is answered, nothing of the removed one is under way.
    const over = new AbortController();
    const next = daemon
      .call('update_indexes', { project_id: project.project_id })
      .finally(() => over.abort());
    do assert.deepEqual((await daemon.call('health')).problems, []);
    while (!over.signal.aborted);
    await next;
    assert.deepEqual((await daemon.call('health')).problems, []);
  }
});

test('health says so when the watcher that should run does not: nothing is known of what it watched', async (t) => {
  const { daemon, project } = await watched(t, { 'a.py': 'a = 1\n' });
  await daemon.call('stop_worker', { worker_type: 'file_watcher' });
  const { status, problems } = await daemon.call('health');
  assert.equal(status, 'degraded');
  assert.deepEqual(
    problems.map(({ source, reason }) => [source, reason]),
    [[project.root_dir, 'file_watcher is not running']],
  );
  await daemon.call('start_worker', { worker_type: 'file_watcher' });
  await waitFor('it is well again', async () => (await daemon.call('health')).status === 'ok');
  await daemon.call('stop_worker', { worker_type: 'file_watcher' });
  await daemon.call('remove_project', { project_id: project.project_id });
  assert.equal((await daemon.call('health')).status, 'ok', 'there is nothing left to be known');
});
