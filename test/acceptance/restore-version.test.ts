/** Any version comes back to its place or beside it, and nothing that exists is replaced. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Result } from '#src/contract/index.js';
import { type CommandResult, codekeep } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, treeHash } from '../harness/trees.js';

interface Recorded {
  sandbox: Sandbox;
  daemon: Daemon;
  root: string;
  project_id: string;
  /** Of run.sh, the newest first. */
  versions: Result<'list_file_versions'>['versions'];
}

const first = '#!/bin/sh\r\necho 1';

async function recorded(t: TestContext, autostart: string[]): Promise<Recorded> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({
    'run.sh': { content: first, mode: 0o750 },
    'kept.py': 'k = 1\n',
    'deep/er/b.py': 'b = 1\n',
  });
  const daemon = await sandbox.startDaemon({ config: { autostart, revision_burst: 0 } });
  const { project_id } = await daemon.addProject(root);
  writeFileSync(join(root, 'run.sh'), '#!/bin/sh\necho 2\n');
  chmodSync(join(root, 'run.sh'), 0o700);
  await daemon.call('update_indexes', { project_id });
  const { versions } = await daemon.call('list_file_versions', { project_id, path: 'run.sh' });
  return { sandbox, daemon, root, project_id, versions };
}

for (const autostart of [[], ['file_watcher']]) {
  test(`a version comes back byte for byte, beside it or to its place, ${autostart.length === 0 ? 'without' : 'beside'} a watcher`, async (t) => {
    const { daemon, root, project_id, versions } = await recorded(t, autostart);
    const [, oldest] = versions;
    assert.ok(oldest !== undefined);
    const choice = { project_id, path: 'run.sh', version_id: oldest.version_id, as: 'old/er/run.sh' };
    const before = [daemon.dump(), treeHash(root)];
    const said = await daemon.call('restore_file_version', { ...choice, dry_run: true });
    assert.deepEqual([daemon.dump(), treeHash(root)], before, 'a dry run changes nothing');
    const done = await daemon.call('restore_file_version', choice);
    assert.deepEqual(done, { ...said, dry_run: false });
    const { path, from_path, version_id, sha256, mode } = done;
    assert.deepEqual(
      [path, from_path, version_id, sha256, mode],
      ['old/er/run.sh', 'run.sh', oldest.version_id, oldest.sha256, '0750'],
    );
    // The index has known of it when the reply was sent.
    const there = await daemon.call('get_file', { project_id, path });
    assert.deepEqual([there.content, there.mode], [first, '0750']);
    const { changes } = await daemon.call('list_changes', { project_id, limit: 1 });
    assert.deepEqual([changes[0]?.path, changes[0]?.cause], [path, 'restore']);

    rmSync(join(root, 'run.sh'));
    await daemon.call('update_indexes', { project_id });
    const at = new Date(Date.parse(oldest.gone_at ?? '') - 1).toISOString();
    await daemon.call('restore_file_version', { project_id, path: 'run.sh', at });
    const trees = filesOf(root);
    assert.deepEqual(trees.get('run.sh'), trees.get('old/er/run.sh'));
    assert.deepEqual(await daemon.paths(project_id, true), []);
    const update = await daemon.call('update_indexes', { project_id });
    assert.ok('files_changed' in update);
    assert.deepEqual([update.files_added, update.files_changed, update.files_deleted], [0, 0, 0]);
  });
}

test('what exists is never replaced, and nothing leaves the project', async (t) => {
  const { sandbox, daemon, root, project_id, versions } = await recorded(t, []);
  const version_id = versions[1]?.version_id ?? assert.fail('it has one version only');
  const outside = join(sandbox.folder, 'outside');
  mkdirSync(outside);
  symlinkSync(outside, join(root, 'link'));
  symlinkSync('nowhere', join(root, 'dangling'));
  mkdirSync(join(root, '.git'));
  const before = [treeHash(root), treeHash(outside)];
  const refusals: [as: string | undefined, code: string][] = [
    [undefined, 'TARGET_FILE_EXISTS'],
    ['kept.py', 'TARGET_FILE_EXISTS'],
    ['deep', 'TARGET_FILE_EXISTS'],
    ['dangling', 'TARGET_FILE_EXISTS'],
    ['link/new', 'PATH_OUTSIDE_ROOT'],
    ['kept.py/new', 'PATH_OUTSIDE_ROOT'],
    ['../outside/new', 'PATH_OUTSIDE_ROOT'],
    ['.git/hooks/post-checkout', 'PATH_OUTSIDE_ROOT'],
  ];
  for (const [as, code] of refusals) {
    for (const dry_run of [true, false]) {
      const params = { project_id, path: 'run.sh', version_id, ...(as === undefined ? {} : { as }), dry_run };
      const refusal = await daemon.refusal('restore_file_version', params);
      assert.equal(refusal.code, code, `${as}: ${refusal.message}`);
      if (as === undefined) assert.match(refusal.hint, /"as".*codekeep rewind/u);
    }
  }
  assert.deepEqual([treeHash(root), treeHash(outside)], before);
});

test('what rules ignore where it comes back to is no content there', async (t) => {
  const { daemon, root, project_id } = await recorded(t, []);
  writeFileSync(join(root, '.gitignore'), '*.old\n');
  await daemon.call('update_indexes', { project_id });
  await daemon.call('restore_file_version', { project_id, path: 'run.sh', as: 'run.old' });
  assert.deepEqual(await daemon.paths(project_id), ['.gitignore', 'deep/er/b.py', 'kept.py', 'run.sh']);
  assert.deepEqual(filesOf(root).get('run.old'), filesOf(root).get('run.sh'));
});

test('the command line names a version as show does', async (t) => {
  const { sandbox, daemon, root, versions } = await recorded(t, []);
  const version = versions[1]?.version_id ?? assert.fail('it has one version only');
  const restore = async (...args: string[]): Promise<CommandResult> =>
    await codekeep(sandbox, 'restore', '--project', root, '--socket', daemon.socket, ...args);
  const standing = await restore(`run.sh@${version}`);
  assert.equal(standing.status, 1);
  assert.match(standing.stderr, /already something at "run\.sh"[^]*--as[^]*codekeep rewind/u);
  const beside = await restore(`run.sh@${version}`, '--as', 'old.sh');
  assert.equal(beside.status, 0, beside.stderr);
  assert.match(beside.stdout, /run\.sh of \S+ \S+ restored as .*old\.sh\n$/u);
  const again = await restore(`run.sh@${version}`, '--as', 'again.sh', '--dry-run');
  assert.match(again.stdout, /to be restored as .*again\.sh\n$/u);
  rmSync(join(root, 'run.sh'));
  await daemon.call('update_indexes', { root_dir: root });
  const back = await restore(`run.sh@${version}`);
  assert.equal(back.status, 0, back.stderr);
  const trees = filesOf(root);
  assert.deepEqual(trees.get('run.sh'), trees.get('old.sh'));
  assert.equal(trees.has('again.sh'), false);
  const two = await restore('a', 'b', '--as', 'c');
  assert.equal(two.status, 2);
});
