import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readXattrs } from '#src/base/xattrs.js';
import { codekeep } from '../harness/command.js';
import { type Daemon, versionPath } from '../harness/daemon.js';
import { pathsBelow } from '../harness/folder.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

const isRoot = process.getuid?.() === 0;

/** A project that others may not read, with all that a folder can hold and have. */
function makeProject(root: string): void {
  mkdirSync(root, { recursive: true });
  for (const folder of ['secret', 'sticky', 'shared', 'empty', 'empty/inner']) mkdirSync(join(root, folder));
  const files = { 'kept.py': 0o644, 'secret/s.py': 0o600, 'sticky/t.sh': 0o751, 'shared/g.py': 0o440 };
  for (const [path, mode] of Object.entries(files)) {
    writeFileSync(join(root, path), `# ${path}\n`);
    chmodSync(join(root, path), mode);
  }
  symlinkSync('nowhere', join(root, 'dangling'));
  symlinkSync('secret', join(root, 'to-folder'));
  symlinkSync('/etc/passwd', join(root, 'absolute'));
  if (isRoot) {
    chownSync(join(root, 'shared'), 1_000, 1_001);
    chownSync(join(root, 'shared/g.py'), 1_000, 1_001);
    chmodSync(join(root, 'shared/g.py'), 0o440);
  }
  for (const [path, mode] of Object.entries({
    secret: 0o700,
    sticky: 0o1777,
    shared: 0o2750,
    'empty/inner': 0o555,
  }))
    chmodSync(join(root, path), mode);
  const at = new Date('2001-02-03T04:05:06.789Z');
  for (const path of [...Object.keys(files), 'dangling', 'to-folder', 'absolute', 'empty/inner'])
    lutimesSync(join(root, path), at, at);
  const before1970 = new Date('1969-12-31T23:59:55.123Z');
  for (const path of ['sticky/t.sh', 'dangling']) lutimesSync(join(root, path), before1970, before1970);
}

/** Everything that is to come back; a folder's own time follows from what is made in it. */
function looksOf(root: string): unknown[] {
  return pathsBelow(root).map((path) => {
    const absolute = join(root, path);
    const stats = lstatSync(absolute);
    const isFull = stats.isDirectory() && pathsBelow(absolute).length > 0;
    return {
      path,
      mode: stats.mode.toString(8),
      owner: `${stats.uid}:${stats.gid}`,
      mtime: isFull ? null : stats.mtimeMs,
      target: stats.isSymbolicLink() ? readlinkSync(absolute) : null,
      xattrs: stats.isFile() ? readXattrs(absolute) : null,
    };
  });
}

function loseAllBut(root: string, kept: string): void {
  for (const path of pathsBelow(root))
    if (path !== kept) rmSync(join(root, path), { recursive: true, force: true });
}

async function started(
  t: Parameters<typeof Sandbox.create>[0],
): Promise<{ sandbox: Sandbox; daemon: Daemon; root: string }> {
  const sandbox = await Sandbox.create(t);
  // Others could come as far as the project and the state directory.
  chmodSync(sandbox.folder, 0o755);
  const root = sandbox.path('project');
  makeProject(root);
  return { sandbox, daemon: await sandbox.startDaemon(), root };
}

test('a lost project comes back with modes, owners, times, links and empty folders; no copy is readable for others', async (t) => {
  const { daemon, root } = await started(t);
  const project = await daemon.addProject(root);
  const { project_id } = project;
  const before = looksOf(root);
  await daemon.stopWorkers('file_watcher');
  loseAllBut(root, 'kept.py');
  await daemon.repair({ project_id });
  assert.deepEqual(looksOf(root), before);
  const copy = versionPath(project, 'secret/s.py');
  assert.equal(lstatSync(copy).mode & 0o777, 0o600);
  if (!isRoot) return t.diagnostic('not root: that others cannot read it follows from its mode alone');
  const { status } = spawnSync('setpriv', ['--reuid=65534', '--clear-groups', 'cat', copy]);
  assert.notEqual(status, 0);
  return undefined;
});

test('what a watcher saw deleted comes back the same by restore_deleted_files', async (t) => {
  const { daemon, root } = await started(t);
  const { project_id } = await daemon.addProject(root);
  // Until a watcher has compared the project, what goes goes unseen.
  await waitFor('it is watched', async () => {
    const { freshness } = await daemon.call('get_project_status', { project_id });
    return freshness === 'fresh';
  });
  const before = looksOf(root);
  loseAllBut(root, 'kept.py');
  await daemon.call('wait_until_fresh', { project_id });
  const { files } = await daemon.call('list_deleted_files', { project_id });
  assert.deepEqual(
    new Set(files.map(({ cause, restorable }) => `${cause} ${restorable}`)),
    new Set(['seen true']),
  );
  await daemon.call('restore_deleted_files', { project_id, path_prefix: '' });
  assert.deepEqual(looksOf(root), before);
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await daemon.paths(project_id, true), []);
});

test('extended attributes come back', async (t) => {
  const { daemon, root } = await started(t);
  const path = join(root, 'secret/s.py');
  const python = "import os, sys; os.setxattr(sys.argv[1], 'user.note', b'\\x00binary')";
  if (spawnSync('python3', ['-c', python, path]).status !== 0)
    return t.skip('extended attributes cannot be set here (python3, file system)');
  const { project_id } = await daemon.addProject(root);
  const before = looksOf(root);
  await daemon.stopWorkers('file_watcher');
  rmSync(join(root, 'secret'), { recursive: true });
  await daemon.repair({ project_id });
  assert.deepEqual(looksOf(root), before);
  return undefined;
});

test('what is not protected is a list with reasons, page by page', async (t) => {
  const { sandbox, root } = await started(t);
  const daemon = await sandbox.startDaemon({
    stateDir: sandbox.path('other'),
    config: { autostart: [], max_file_bytes: 1_000 },
  });
  execFileSync('mkfifo', [join(root, 'fifo')]);
  writeFileSync(join(root, 'large.py'), 'x'.repeat(1_001));
  writeFileSync(Buffer.concat([Buffer.from(join(root, 'not')), Buffer.from([0xff])]), 'x');
  const { project_id } = await daemon.addProject(root);
  const entries: { path: string; reason: string }[] = [];
  let cursor: string | undefined;
  do {
    const page = await daemon.call('list_unprotected', { project_id, limit: 2, ...(cursor && { cursor }) });
    assert.ok(page.entries.length <= 2);
    entries.push(...page.entries);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  assert.deepEqual(entries, [
    { path: 'fifo', reason: 'not a regular file (fifo)' },
    { path: 'large.py', reason: 'larger than max_file_bytes' },
    { path: 'not\uFFFD', reason: 'the name is not UTF-8' },
  ]);
  const shown = await codekeep(sandbox, '--socket', daemon.socket, 'unprotected', root);
  assert.equal(shown.status, 0, shown.stderr);
  for (const { reason } of entries) assert.ok(shown.stdout.includes(reason), shown.stdout);
});
