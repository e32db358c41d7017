import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { codekeep } from '../harness/command.js';
import { type Daemon, type Project, versionPath } from '../harness/daemon.js';
import { program, Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';
import { filesOf, treeHash } from '../harness/trees.js';

const files = {
  'a.py': 'a = 1\r\n',
  'run.sh': { content: '#!/bin/sh\n', mode: 0o755 },
  'folder/b.py': 'b = 1',
  'folder/c.py': 'c = 1\n',
  'kept.py': 'k = 1\n',
};
const deletable = ['a.py', 'folder/b.py', 'folder/c.py', 'run.sh'];

async function withDeleted(
  t: TestContext,
): Promise<{ sandbox: Sandbox; daemon: Daemon; project: Project; root: string }> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  return { sandbox, daemon, project: await daemon.addProject(root), root };
}

test('delete, list, restore: a round trip with every byte and mode', async (t) => {
  const { daemon, project, root } = await withDeleted(t);
  const { project_id } = project;
  const original = filesOf(root);
  for (const path of deletable) {
    const { version_path } = await daemon.call('delete_file', { project_id, path });
    assert.equal(version_path, versionPath(project, path));
  }
  assert.deepEqual([...filesOf(root, ['data']).keys()], ['kept.py']);
  assert.deepEqual(
    filesOf(versionPath(project)),
    new Map(deletable.map((path) => [path, original.get(path)])),
  );

  const listed: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await daemon.call('list_deleted_files', {
      project_id,
      limit: 3,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const file of page.files) {
      listed.push(file.path);
      assert.equal(file.restorable, true);
      assert.ok(Date.now() - Date.parse(file.deleted_at ?? '') < 60_000);
    }
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  assert.deepEqual(listed, deletable);

  const planned = await daemon.call('restore_deleted_files', {
    project_id,
    path_prefix: 'folder/',
    dry_run: true,
  });
  assert.deepEqual(planned, { restored: [{ path: 'folder/b.py' }, { path: 'folder/c.py' }], dry_run: true });
  assert.deepEqual([...filesOf(root, ['data']).keys()], ['kept.py'], 'a dry run restores nothing');
  await daemon.call('restore_deleted_files', { project_id, path_prefix: 'folder/' });
  await daemon.call('restore_deleted_files', { project_id, paths: ['a.py'] });
  await daemon.call('restore_deleted_files', {
    project_id,
    deleted_after: new Date(Date.now() - 60_000).toISOString(),
  });
  assert.deepEqual(filesOf(root, ['data']), original);
  assert.deepEqual(await daemon.paths(project_id, true), []);
  const update = await daemon.call('update_indexes', { project_id });
  assert.ok('files_changed' in update);
  assert.deepEqual([update.files_added, update.files_changed, update.files_deleted], [0, 0, 0]);
});

test('a restore is all or nothing', async (t) => {
  const { daemon, project, root } = await withDeleted(t);
  const { project_id } = project;
  for (const path of deletable) await daemon.call('delete_file', { project_id, path });
  await mkdir(join(root, 'folder'), { recursive: true });
  await writeFile(join(root, 'folder/c.py'), 'in the way\n');
  const earlier = treeHash(root);
  const error = await daemon.refusal('restore_deleted_files', { project_id, paths: deletable });
  assert.equal(error.code, 'TARGET_FILE_EXISTS');
  assert.match(error.message, /folder\/c\.py/);
  const dry = await daemon.refusal('restore_deleted_files', { project_id, paths: deletable, dry_run: true });
  assert.equal(dry.code, 'TARGET_FILE_EXISTS');
  assert.equal(treeHash(root), earlier, 'nothing was restored, nothing was overwritten');
  assert.deepEqual(await daemon.paths(project_id, true), deletable);
  daemon.sql((db) =>
    db
      .prepare(
        "UPDATE contents SET tree = x'00' WHERE sha256 = (SELECT sha256 FROM files WHERE path = 'run.sh')",
      )
      .run(),
  );
  await rm(join(root, 'folder/c.py'));
  await rm(join(versionPath(project), 'run.sh'));
  const damaged = await daemon.refusal('restore_deleted_files', { project_id, paths: deletable });
  assert.match(damaged.message, /run\.sh/);
  assert.deepEqual([...filesOf(root, ['data']).keys()], ['kept.py']);
});

test('delete_file takes what is on disk now, not what was indexed', async (t) => {
  const { daemon, project, root } = await withDeleted(t);
  await writeFile(join(root, 'a.py'), 'edited since\n');
  await chmod(join(root, 'a.py'), 0o640);
  const onDisk = filesOf(root).get('a.py');
  await daemon.call('delete_file', { root_dir: root, path: 'a.py' });
  assert.deepEqual(filesOf(versionPath(project)).get('a.py'), onDisk);
  await daemon.call('restore_deleted_files', { root_dir: root, paths: ['a.py'] });
  assert.deepEqual(filesOf(root).get('a.py'), onDisk);
});

test('a file that was deleted cannot be deleted again, and one that is there cannot be restored', async (t) => {
  const { daemon, root } = await withDeleted(t);
  await daemon.call('delete_file', { root_dir: root, path: 'a.py' });
  assert.equal(
    (await daemon.refusal('delete_file', { root_dir: root, path: 'a.py' })).code,
    'FILE_NOT_FOUND',
  );
  const error = await daemon.refusal('restore_deleted_files', { root_dir: root, paths: ['kept.py'] });
  assert.equal(error.code, 'FILE_NOT_FOUND');
});

test('remove_project forgets rows and keeps every file and every version', async (t) => {
  const { daemon, project, root } = await withDeleted(t);
  await daemon.call('delete_file', { root_dir: root, path: 'a.py' });
  const earlier = treeHash(root);
  await daemon.call('remove_project', { root_dir: root });
  assert.equal(treeHash(root), earlier);
  assert.deepEqual((await daemon.call('list_projects')).projects, []);
  assert.equal(
    (await daemon.refusal('list_files', { project_id: project.project_id })).code,
    'PROJECT_NOT_FOUND',
  );
  const { contents } = await daemon.call('get_database_status');
  assert.equal(contents, 5, 'only an explicit purge removes content');
});

test('deleted files go for good only with hard_delete, and the command line asks first', async (t) => {
  const { sandbox, daemon, project, root } = await withDeleted(t);
  const { project_id } = project;
  for (const path of deletable) await daemon.call('delete_file', { project_id, path });
  const none = await daemon.call('cleanup_deleted_files', { project_id, hard_delete: true });
  assert.deepEqual([none.removed, none.dry_run], [[], false], 'nothing is older than all that is kept');
  const choice = { project_id, older_than_days: 0, path_prefix: 'folder/' };
  const before = daemon.dump();
  const listed = await daemon.call('cleanup_deleted_files', choice);
  const rehearsed = await daemon.call('cleanup_deleted_files', {
    ...choice,
    hard_delete: true,
    dry_run: true,
  });
  assert.deepEqual(daemon.dump(), before);
  assert.deepEqual({ ...listed, deleted_before: '' }, { ...rehearsed, deleted_before: '' });
  const paths = listed.would_remove.map(({ path }) => path);
  assert.deepEqual([paths, listed.removed, listed.totals.contents], [['folder/b.py', 'folder/c.py'], [], 2]);
  const done = await daemon.call('cleanup_deleted_files', { ...choice, hard_delete: true });
  assert.deepEqual(done.removed, listed.would_remove);
  assert.deepEqual(await daemon.paths(project_id, true), ['a.py', 'run.sh']);
  assert.deepEqual([...filesOf(versionPath(project)).keys()], ['a.py', 'run.sh']);
  const gone = await daemon.refusal('restore_deleted_files', { project_id, paths: ['folder/b.py'] });
  assert.equal(gone.code, 'FILE_NOT_FOUND');

  const cli = async (...args: string[]): ReturnType<typeof codekeep> =>
    await codekeep(sandbox, 'deleted', root, '--socket', daemon.socket, ...args);
  const refused = await cli('--remove', '--older-than', '0');
  assert.equal(refused.status, 2, 'nobody can be asked');
  const older = await cli('--older-than', '0');
  assert.match(
    older.stdout,
    /a\.py\n.*run\.sh\n2 deleted files could be let go, with 2 earlier states and 2 contents\n$/u,
  );
  const removed = await cli('--remove', '--older-than', '0', '--prefix', 'a', '--yes');
  assert.equal(removed.stdout, 'let go: 1 deleted files, 1 earlier states and 1 contents\n');
  assert.deepEqual(await daemon.paths(project_id, true), ['run.sh']);
  assert.deepEqual((await daemon.repair({ project_id })).totals['ok'], 2, 'a repair misses nothing');
});

test('what is deleted while somebody is asked does not go with what was shown', async (t) => {
  const { sandbox, daemon, project, root } = await withDeleted(t);
  const { project_id } = project;
  await daemon.call('delete_file', { project_id, path: 'a.py' });
  const { version_path } = await daemon.call('delete_file', { project_id, path: 'run.sh' });
  const words = [process.execPath, program, 'deleted', root, '--remove', '--older-than', '0'];
  const command = [...words, '--socket', daemon.socket].join(' ');
  const asking = sandbox.spawn('script', ['--quiet', '--return', '--command', command, '/dev/null']);
  let said = '';
  asking.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  await waitFor('it asks', () => said.includes('Let them go for good?'));
  // One that was shown comes back and goes again, which makes it another deletion.
  await daemon.call('restore_deleted_files', { project_id, paths: ['run.sh'] });
  for (const path of ['run.sh', 'kept.py']) await daemon.call('delete_file', { project_id, path });
  asking.stdin?.end('y\n');
  assert.deepEqual(await once(asking, 'close'), [0, null]);
  assert.match(said, /let go: 1 deleted files/u);
  assert.deepEqual(await daemon.paths(project_id, true), ['kept.py', 'run.sh']);
  assert.ok(existsSync(version_path));
  const both = { project_id, older_than_days: 0, deleted_before: new Date().toISOString() };
  assert.equal((await daemon.refusal('cleanup_deleted_files', both)).code, 'INVALID_PARAMS');
});

test('what went for good is named wherever it is asked for, and all else is as it was', async (t) => {
  const { daemon, project, root } = await withDeleted(t);
  const { project_id } = project;
  const before = (await daemon.call('create_checkpoint', { project_id })).at;
  for (const { checkpoint_id } of (await daemon.call('list_checkpoints', { project_id })).checkpoints)
    await daemon.call('remove_checkpoint', { project_id, checkpoint_id });
  for (const path of deletable) await daemon.call('delete_file', { project_id, path });
  const choice = { project_id, older_than_days: 0, path_prefix: 'a.py', hard_delete: true };
  assert.equal((await daemon.call('cleanup_deleted_files', choice)).totals.removed, 1);

  const { content } = await daemon.call('get_file', { project_id, path: 'folder/b.py', at: before });
  assert.equal(content, files['folder/b.py']);
  const file = { project_id, path: 'a.py' };
  const now = new Date().toISOString();
  for (const [method, asked, said] of [
    ['get_file', { ...file, at: before }, /^What a\.py was at \S+ was removed for good\.$/u],
    ['get_file', { ...file, at: now }, /^a\.py was not there at /u],
    ['get_file', file, /^All that a\.py was, at \S+ for the last time, was removed for good\.$/u],
    ['list_file_versions', file, /^All that a\.py was, .* was removed for good\.$/u],
  ] as const)
    assert.match((await daemon.refusal(method, asked)).message, said);
  const { changes } = await daemon.call('list_changes', { project_id, path_prefix: 'a.py' });
  assert.deepEqual(
    changes.map(({ kind, cause, previous_version_id }) => [kind, cause, previous_version_id]),
    [['deleted', 'asked', null]],
  );
  const { files: differences } = await daemon.call('diff', { project_id, from: before, path_prefix: 'a.py' });
  assert.deepEqual(
    differences.map(({ kind, reason }) => [kind, reason]),
    [['deleted', 'it was removed for good']],
  );
  const rehearsed = await daemon.call('rewind', { project_id, to: before, dry_run: true });
  assert.ok('unrestorable' in rehearsed);
  assert.deepEqual(
    rehearsed.unrestorable.map(({ path, reason }) => [path, reason]),
    [['a.py', 'what it was then was removed for good']],
  );
  await daemon.call('rewind', { project_id, to: before });
  assert.deepEqual([...filesOf(root).keys()].sort(), ['folder/b.py', 'folder/c.py', 'kept.py', 'run.sh']);
});

test('of two states that were removed for good nobody says that they are the same', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ x: 'first\n' });
  const daemon = await sandbox.startDaemon({ config: { revision_burst: 0 } });
  const { project_id } = await daemon.addProject(root);
  const moments: string[] = [];
  for (const text of ['first\n', 'second\n']) {
    writeFileSync(join(root, 'x'), text);
    moments.push((await daemon.call('create_checkpoint', { project_id })).at);
  }
  for (const { checkpoint_id } of (await daemon.call('list_checkpoints', { project_id })).checkpoints)
    await daemon.call('remove_checkpoint', { project_id, checkpoint_id });
  await daemon.call('delete_file', { project_id, path: 'x' });
  await daemon.call('cleanup_deleted_files', { project_id, older_than_days: 0, hard_delete: true });
  const [from = '', to = ''] = moments;
  for (const place of [{ path: 'x' }, {}]) {
    const { files: differing } = await daemon.call('diff', { project_id, from, to, ...place });
    assert.deepEqual(
      differing.map(({ path, kind, reason }) => [path, kind, reason]),
      [['x', 'changed', 'it was removed for good']],
    );
  }
});

test('of a path that was deleted twice the last content is listed and comes back, and its history has both', async (t) => {
  const { daemon, project, root } = await withDeleted(t);
  const { project_id } = project;
  const path = 'a.py';
  await daemon.call('delete_file', { project_id, path });
  const between = new Date().toISOString();
  writeFileSync(join(root, path), 'a = 22\n');
  await daemon.call('update_indexes', { project_id });
  assert.deepEqual(await daemon.paths(project_id, true), []);
  await daemon.call('delete_file', { project_id, path });
  const { files: listed } = await daemon.call('list_deleted_files', { project_id });
  assert.deepEqual(
    listed.map((file) => [file.path, file.size, file.restorable]),
    [[path, 7, true]],
  );
  assert.ok((listed[0]?.deleted_at ?? '') >= between);
  const later = new Date(Date.now() + 1_000).toISOString();
  const none = await daemon.call('restore_deleted_files', { project_id, deleted_after: later });
  assert.deepEqual(none.restored, []);
  const back = await daemon.call('restore_deleted_files', { project_id, deleted_after: between });
  assert.deepEqual(back.restored, [{ path }]);
  const { versions } = await daemon.call('list_file_versions', { project_id, path });
  assert.deepEqual(
    versions.map(({ size, cause, gone_cause }) => [size, cause, gone_cause]),
    [
      [7, 'restore', null],
      [7, 'edit', 'asked'],
      [7, 'found', 'asked'],
    ],
  );
  const [, , first] = versions;
  const as = 'first.py';
  await daemon.call('restore_file_version', { project_id, path, version_id: first?.version_id, as });
  assert.equal(readFileSync(join(root, as), 'utf8'), 'a = 1\r\n');
  assert.equal(readFileSync(join(root, path), 'utf8'), 'a = 22\n');
});
