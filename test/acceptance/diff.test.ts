/** What changed between two moments, as those see it who ask over the socket. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Input, Result } from '#src/contract/index.js';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { treeHash } from '../harness/trees.js';

type FileDiff = Result<'diff'>['files'][number];

interface Recorded {
  sandbox: Sandbox;
  daemon: Daemon;
  root: string;
  project_id: string;
}

async function recorded(
  t: TestContext,
  files: Record<string, string>,
  config: Record<string, unknown> = {},
): Promise<Recorded> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { revision_burst: 0, ...config } });
  const { project_id } = await daemon.addProject(root);
  return { sandbox, daemon, root, project_id };
}

/** Every page of it. */
async function diff({ daemon, project_id }: Recorded, params: Input<'diff'> = {}): Promise<FileDiff[]> {
  const files: FileDiff[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await daemon.call('diff', { project_id, ...params, cursor });
    files.push(...page.files);
    if (page.next_cursor === null) return files;
    cursor = page.next_cursor;
  }
}

async function checkpoint({ daemon, project_id }: Recorded, label: string): Promise<void> {
  await daemon.call('create_checkpoint', { project_id, label });
}

const words = (files: readonly FileDiff[]): string[] =>
  files.map(({ kind, path, from_path, added_lines, removed_lines, reason }) =>
    [kind, path, from_path, added_lines, removed_lines, reason].filter((word) => word !== null).join(' '),
  );

test('the patches between two moments make the later tree of the earlier one, and the other way round', async (t) => {
  const project = await recorded(t, {
    'lib/edited.py': 'a = 1\r\nb = 2\r\nc = 3',
    'lib/gone.py': 'gone = 1\n',
    'lib/moved.py': 'def moved():\n    return 1\n',
    'tool.sh': 'echo\n',
    'there and back.py': 'x = 1\n',
    'becomes a link': 'text\n',
    'stays.py': 's = 1\n',
  });
  const { sandbox, root } = project;
  await checkpoint(project, 'one');
  const earlier = sandbox.path('earlier');
  cpSync(root, earlier, { recursive: true });
  writeFileSync(join(root, 'lib/edited.py'), 'a = 1\r\nb = 22\r\nc = 3\n');
  rmSync(join(root, 'lib/gone.py'));
  renameSync(join(root, 'lib/moved.py'), join(root, 'new name.py'));
  chmodSync(join(root, 'tool.sh'), 0o755);
  writeFileSync(join(root, 'there and back.py'), 'x = 2\n');
  rmSync(join(root, 'becomes a link'));
  symlinkSync('stays.py', join(root, 'becomes a link'));
  mkdirSync(join(root, 'é'));
  writeFileSync(join(root, 'é/empty'), '');
  await checkpoint(project, 'two');
  writeFileSync(join(root, 'there and back.py'), 'x = 1\n');
  writeFileSync(join(root, 'new name.py'), 'def moved():\n    return 2\n');
  await checkpoint(project, 'three');
  const forth = await diff(project, { from: 'one', limit: 2 });
  assert.deepEqual(words(forth), [
    'changed becomes a link 1 1',
    'changed lib/edited.py 2 2',
    'deleted lib/gone.py 0 1',
    'renamed new name.py lib/moved.py 1 1',
    'changed tool.sh 0 0',
    'added é/empty 0 0',
  ]);
  assert.deepEqual(words(await diff(project, { from: 'two', to: 'three' })), [
    'changed new name.py 1 1',
    'changed there and back.py 1 1',
  ]);
  assert.deepEqual(await diff(project), [], 'nothing since the newest checkpoint');
  const back = await diff(project, { from: 'three', to: 'one' });
  assert.equal(back.length, 7, 'a rename back is something that goes and something that comes');
  const before = treeHash(earlier);
  const apply = (files: readonly FileDiff[]): void => {
    const input = files.map(({ patch }) => patch ?? assert.fail()).join('');
    const { status, stderr } = spawnSync('git', ['apply'], { cwd: earlier, input, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  };
  apply(forth);
  assert.equal(treeHash(earlier), treeHash(root));
  apply(back);
  assert.equal(treeHash(earlier), before);
});

test('only of one file, between its versions, or below a folder', async (t) => {
  const project = await recorded(t, { 'lib/a.py': 'a = 1\n', 'lib/b.py': 'b = 1\n', 'c.py': 'c = 1\n' });
  const { daemon, root, project_id } = project;
  await checkpoint(project, 'one');
  for (const content of ['a = 2\n', 'a = 2\nmore = 1\n']) {
    writeFileSync(join(root, 'lib/a.py'), content);
    await daemon.call('wait_until_fresh', { project_id });
  }
  renameSync(join(root, 'lib/b.py'), join(root, 'b.py'));
  writeFileSync(join(root, 'c.py'), 'c = 2\n');
  await daemon.call('wait_until_fresh', { project_id });
  const path = 'lib/a.py';
  const { versions } = await daemon.call('list_file_versions', { project_id, path });
  const [third = '', second = '', first = ''] = versions.map(({ version_id }) => version_id);
  const counts = async (params: Input<'diff'>): Promise<string[]> => words(await diff(project, params));
  assert.deepEqual(await counts({ path }), ['changed lib/a.py 2 1']);
  assert.deepEqual(await counts({ path, from: first, to: second }), ['changed lib/a.py 1 1']);
  assert.deepEqual(await counts({ path, from: second }), ['changed lib/a.py 1 0']);
  assert.deepEqual(await counts({ path, from: third, to: 'one' }), ['changed lib/a.py 1 2']);
  assert.deepEqual(await counts({ path, from: third }), []);
  assert.deepEqual(await counts({ path_prefix: 'lib/' }), ['changed lib/a.py 2 1', 'deleted lib/b.py 0 1']);
});

test('what has no patch says why: binary, too large, or a patch that nobody would read', async (t) => {
  const project = await recorded(
    t,
    { 'image.png': '\u0000a', 'large.txt': `${'x'.repeat(3_000_000)}\n`, 'much.txt': 'a\n' },
    { max_file_bytes: 2_000_000 },
  );
  const { root } = project;
  await checkpoint(project, 'one');
  writeFileSync(join(root, 'image.png'), '\u0000b');
  writeFileSync(join(root, 'large.txt'), `${'y'.repeat(3_000_001)}\n`);
  writeFileSync(join(root, 'much.txt'), 'a long line of text\n'.repeat(50_000));
  await checkpoint(project, 'two');
  assert.deepEqual(words(await diff(project, { from: 'one' })), [
    'changed image.png it is binary',
    'changed large.txt it is larger than max_file_bytes, and so not kept',
    'changed much.txt the patch is larger than 512 KiB',
  ]);
});

test('a page ends before it is more than a client may be sent', async (t) => {
  const project = await recorded(t, { 'a.txt': '' });
  await checkpoint(project, 'one');
  for (const name of ['b.txt', 'c.txt', 'd.txt'])
    writeFileSync(join(project.root, name), 'a long line of text\n'.repeat(15_000));
  await checkpoint(project, 'two');
  const { daemon, project_id } = project;
  const page = await daemon.call('diff', { project_id, from: 'one' });
  assert.deepEqual(words(page.files), ['added b.txt 15000 0', 'added c.txt 15000 0']);
  assert.equal((await diff(project, { from: 'one' })).length, 3);
});

test('without a checkpoint it has to be said from when on; and what is wrong is named', async (t) => {
  const { daemon, project_id } = await recorded(t, { 'a.py': 'a = 1\n' });
  const none = await daemon.refusal('diff', { project_id });
  assert.deepEqual([none.code, /no checkpoint/u.test(none.message)], ['INVALID_PARAMS', true]);
  const refused = async (params: Input<'diff'>): Promise<string> =>
    (await daemon.refusal('diff', { project_id, ...params })).code;
  assert.equal(await refused({ from: '2001-01-01T00:00:00Z' }), 'NOT_FOUND');
  assert.equal(await refused({ from: 'no such label' }), 'INVALID_PARAMS');
  assert.equal(await refused({ path: 'none.py', from: '0s' }), 'FILE_NOT_FOUND');
  assert.equal(await refused({ from: '0s', cursor: 'path:a' }), 'INVALID_PARAMS');
  const both = await daemon.failure('diff', { project_id, path: 'a.py', path_prefix: 'a', from: '0s' });
  assert.match(both.message, /path or path_prefix/u);
  assert.deepEqual(await daemon.call('diff', { project_id, from: '0s' }), { files: [], next_cursor: null });
});
