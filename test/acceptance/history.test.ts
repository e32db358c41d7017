/** Every state of a file, as those see it who ask over the socket. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Result } from '#src/contract/index.js';
import { codekeep } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';

/** Every save counts, however soon it follows another. */
const everySave = { revision_burst: 0 };

async function recorded(
  t: TestContext,
  files: Record<string, string>,
  config: Record<string, unknown> = everySave,
): Promise<{ daemon: Daemon; root: string; project_id: string }> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config });
  const { project_id } = await daemon.addProject(root);
  return { daemon, root, project_id };
}

async function followed(daemon: Daemon, project_id: string): Promise<void> {
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
}

function words({ changes }: Result<'list_changes'>): string[] {
  return changes.map(({ kind, path, from_path, cause }) =>
    [kind, ...(from_path === null ? [] : [from_path]), path, cause].join(' '),
  );
}

test('every content that a file had can be had again, by version and by time', async (t) => {
  const { daemon, root, project_id } = await recorded(t, { 'a.py': 'first = 1\n', 'b.py': 'b = 1\n' });
  const path = 'a.py';
  const moments: [at: string, content: string][] = [];
  for (const content of ['second = 2\n', 'third\r\n\0', '', 'second = 2\n']) {
    writeFileSync(join(root, path), content);
    await followed(daemon, project_id);
    moments.push([new Date().toISOString(), content]);
  }
  const { versions, next_cursor } = await daemon.call('list_file_versions', { project_id, path });
  assert.equal(next_cursor, null);
  assert.deepEqual(
    versions.map(({ size, cause, gone_cause, kind }) => [size, cause, gone_cause, kind]),
    [
      [11, 'edit', null, 'file'],
      [0, 'edit', 'edit', 'file'],
      [8, 'edit', 'edit', 'file'],
      [11, 'edit', 'edit', 'file'],
      [10, 'found', 'edit', 'file'],
    ],
  );
  for (const { version_id, sha256, seen_at } of versions) {
    const file = await daemon.call('get_file', { project_id, path, version_id });
    assert.deepEqual([file.version_id, file.sha256, file.seen_at], [version_id, sha256, seen_at]);
  }
  for (const [at, content] of moments)
    assert.equal((await daemon.call('get_file', { project_id, path, at })).content, content);
  assert.equal((await daemon.call('get_file', { project_id, path })).content, 'second = 2\n');
  // A page at a time they are the same.
  const paged: Result<'list_file_versions'>['versions'] = [];
  for (let cursor: string | undefined; ;) {
    const page = await daemon.call('list_file_versions', { project_id, path, limit: 2, cursor });
    paged.push(...page.versions);
    if (page.next_cursor === null) break;
    cursor = page.next_cursor;
  }
  assert.deepEqual(paged, versions);
});

test('what went, came back, was renamed and made executable is told as that', async (t) => {
  const { daemon, root, project_id } = await recorded(t, {
    'keep.py': 'keep = 1\n',
    'lib/old.py': 'def old(): pass\n',
    'gone.py': 'gone = 1\n',
    'tool.sh': 'echo\n',
  });
  const { checkpoint_id, at } = await daemon.call('create_checkpoint', { project_id, label: 'before' });
  const act = async (work: () => void): Promise<void> => {
    work();
    await followed(daemon, project_id);
  };
  await act(() => renameSync(join(root, 'lib/old.py'), join(root, 'new.py')));
  await act(() => rmSync(join(root, 'gone.py')));
  await act(() => writeFileSync(join(root, 'added.py'), 'added = 1\n'));
  await act(() => chmodSync(join(root, 'tool.sh'), 0o755));
  await daemon.call('restore_deleted_files', { project_id, paths: ['gone.py'] });
  await daemon.call('delete_file', { project_id, path: 'keep.py' });
  const expected = [
    'deleted keep.py asked',
    'added gone.py restore',
    'changed tool.sh edit',
    'added added.py edit',
    'deleted gone.py seen',
    'renamed lib/old.py new.py rename',
  ];
  for (const since of [checkpoint_id, 'before', at]) {
    const listed = await daemon.call('list_changes', { project_id, since });
    assert.deepEqual(words(listed), expected);
    assert.notEqual(listed.recorded_since, null);
  }
  assert.deepEqual(words(await daemon.call('list_changes', { project_id })), expected);
  const paged: string[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await daemon.call('list_changes', { project_id, limit: 2, cursor });
    paged.push(...words(page));
    if (page.next_cursor === null) break;
    cursor = page.next_cursor;
  }
  assert.deepEqual(paged, expected);
  assert.deepEqual(words(await daemon.call('list_changes', { project_id, until: checkpoint_id })), []);
  assert.deepEqual(words(await daemon.call('list_changes', { project_id, path_prefix: 'too' })), [
    'changed tool.sh edit',
  ]);
  assert.deepEqual(words(await daemon.call('list_changes', { project_id, since: '1h' })), expected);
  // Each change names what was before it.
  const { changes } = await daemon.call('list_changes', { project_id, path_prefix: 'tool.sh' });
  const { version_id, previous_version_id } = changes[0] ?? assert.fail('no change');
  assert.ok(version_id !== null && previous_version_id !== null);
  const before = await daemon.call('get_file', {
    project_id,
    path: 'tool.sh',
    version_id: previous_version_id,
  });
  const after = await daemon.call('get_file', {
    project_id,
    path: 'tool.sh',
    version_id,
  });
  assert.deepEqual([before.mode, after.mode, before.sha256], ['0644', '0755', after.sha256]);
});

test('what happened while nobody watched is seen at the next start, and a restart keeps the history', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  await daemon.stop();
  writeFileSync(join(root, 'a.py'), 'a = 2\n');
  rmSync(join(root, 'b.py'));
  const next = await sandbox.startDaemon({ stateDir: daemon.stateDir });
  await followed(next, project_id);
  const listed = await next.call('list_changes', { project_id });
  assert.deepEqual(words(listed).sort(), ['changed a.py edit', 'deleted b.py unseen']);
  const { versions } = await next.call('list_file_versions', { project_id, path: 'b.py' });
  const [version] = versions;
  assert.equal(version?.gone_cause, 'unseen');
  const file = await next.call('get_file', { project_id, path: 'b.py', version_id: version.version_id });
  assert.equal(file.content, 'b = 1\n');
});

test('of saves in a burst the last one is kept, and a checkpoint keeps what it is of', async (t) => {
  const { daemon, root, project_id } = await recorded(t, { 'a.py': 'a = 0\n' }, { revision_burst: 60 });
  const save = async (content: string): Promise<void> => {
    writeFileSync(join(root, 'a.py'), content);
    await followed(daemon, project_id);
  };
  for (const content of ['a = 1\n', 'a = 2\n', 'a = 3\n']) await save(content);
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
  for (const content of ['a = 4\n', 'a = 5\n']) await save(content);
  const { versions } = await daemon.call('list_file_versions', { project_id, path: 'a.py' });
  const contents = await Promise.all(
    versions.map(async ({ version_id }) => {
      const { content } = await daemon.call('get_file', { project_id, path: 'a.py', version_id });
      return content;
    }),
  );
  assert.deepEqual(contents, ['a = 5\n', 'a = 3\n', 'a = 0\n']);
  const then = await daemon.call('get_file', { project_id, path: 'a.py', at: checkpoint_id });
  assert.equal(then.content, 'a = 3\n');
});

test('a checkpoint is of everything that was written before it was asked for', async (t) => {
  const { daemon, root, project_id } = await recorded(t, { 'a.py': 'a = 0\n' });
  const made: string[] = [];
  for (let round = 0; round < 10; round += 1) {
    mkdirSync(join(root, `new${round}`));
    writeFileSync(join(root, `new${round}/b.py`), `b = ${round}\n`);
    writeFileSync(join(root, 'a.py'), `a = ${round}\n`);
    const { checkpoint_id, label } = await daemon.call('create_checkpoint', {
      project_id,
      label: `round ${round}`,
    });
    assert.equal(label, `round ${round}`);
    made.push(checkpoint_id);
  }
  for (const [round, at] of made.entries()) {
    for (const [path, content] of [
      ['a.py', `a = ${round}\n`],
      [`new${round}/b.py`, `b = ${round}\n`],
    ] as const)
      assert.equal((await daemon.call('get_file', { project_id, path, at })).content, content);
    const { code } = await daemon.refusal('get_file', { project_id, path: `new${round + 1}/b.py`, at });
    assert.equal(code, 'FILE_NOT_FOUND');
  }
  const { checkpoints } = await daemon.call('list_checkpoints', { project_id, limit: 4 });
  assert.deepEqual(
    checkpoints.map(({ checkpoint_id }) => checkpoint_id),
    made.slice(-4).reverse(),
  );
  assert.deepEqual(await daemon.call('remove_checkpoint', { project_id, checkpoint_id: made[9] ?? '' }), {
    removed: true,
  });
  const again = await daemon.refusal('remove_checkpoint', { project_id, checkpoint_id: made[9] ?? '' });
  assert.equal(again.code, 'NOT_FOUND');
  const all = await daemon.call('list_checkpoints', { project_id });
  assert.equal(all.checkpoints.length, 9);
});

test('of the time between a backup and its restoring nothing is said, and its checkpoints are as they were', async (t) => {
  const { daemon, root, project_id } = await recorded(t, { 'a.py': 'a = 0\n' });
  const kept = await daemon.call('create_checkpoint', { project_id, label: 'kept' });
  const { path } = await daemon.call('backup_database', {});
  writeFileSync(join(root, 'a.py'), 'a = 1\n');
  const lost = await daemon.call('create_checkpoint', { project_id, label: 'lost' });
  const between = new Date().toISOString();
  writeFileSync(join(root, 'a.py'), 'a = 2\n');
  await followed(daemon, project_id);
  await daemon.call('restore_backup', { path });
  await followed(daemon, project_id);
  const then = await daemon.call('get_file', { project_id, path: 'a.py', at: kept.checkpoint_id });
  assert.equal(then.content, 'a = 0\n');
  for (const at of [between, lost.at])
    assert.equal((await daemon.refusal('get_file', { project_id, path: 'a.py', at })).code, 'NOT_FOUND');
  assert.equal((await daemon.refusal('rewind', { project_id, to: between })).code, 'NOT_FOUND');
  assert.equal((await daemon.refusal('rewind', { project_id, to: 'lost' })).code, 'INVALID_PARAMS');
  assert.equal((await daemon.call('get_file', { project_id, path: 'a.py' })).content, 'a = 2\n');
});

test('without a watcher a checkpoint compares first, and of a root that is away there is none', async (t) => {
  const { daemon, root, project_id } = await recorded(t, { 'a.py': 'a = 0\n' }, { autostart: [] });
  writeFileSync(join(root, 'a.py'), 'a = 1\n');
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
  const { content } = await daemon.call('get_file', { project_id, path: 'a.py', at: checkpoint_id });
  assert.equal(content, 'a = 1\n');
  renameSync(root, `${root}-away`);
  const { code } = await daemon.refusal('create_checkpoint', { project_id });
  assert.equal(code, 'ROOT_UNAVAILABLE');
  renameSync(`${root}-away`, root);
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'a = 1\n');
});

test('what cannot be given is refused with what to do', async (t) => {
  const { daemon, project_id } = await recorded(t, { 'a.py': 'a = 0\n' });
  const path = 'a.py';
  const file = await daemon.call('get_file', { project_id, path });
  const refused = async (params: object): Promise<string> =>
    (await daemon.refusal('get_file', { project_id, path, ...params })).code;
  assert.equal(await refused({ version_id: 'v1-1' }), 'NOT_FOUND');
  assert.equal(await refused({ version_id: 'nonsense' }), 'NOT_FOUND');
  assert.equal(await refused({ at: 'yesterday' }), 'INVALID_PARAMS');
  assert.equal(await refused({ at: '2001-01-01T00:00:00Z' }), 'NOT_FOUND');
  assert.equal(await refused({ path: 'none.py', at: '1s' }), 'FILE_NOT_FOUND');
  const other = await daemon.call('list_file_versions', { project_id, path });
  assert.equal(other.versions[0]?.version_id, file.version_id);
  const both = await daemon.failure('get_file', { project_id, path, at: '1s', version_id: file.version_id });
  assert.match(both.message, /version_id or at/u);
  const since = await daemon.refusal('list_changes', { project_id, since: 'no such label' });
  assert.equal(since.code, 'INVALID_PARAMS');
  const cursor = await daemon.refusal('list_changes', { project_id, cursor: 'path:a' });
  assert.equal(cursor.code, 'INVALID_PARAMS');
});

test('a time that lies ahead is refused, but where it only bounds a list', async (t) => {
  const { daemon, project_id } = await recorded(t, { 'a.py': 'a = 1\n' });
  const ahead = new Date(Date.now() + 3_600_000).toISOString();
  const calls: [string, Record<string, unknown>][] = [
    ['rewind', { to: ahead, dry_run: true }],
    ['get_file', { path: 'a.py', at: ahead }],
    ['restore_file_version', { path: 'a.py', at: ahead, as: 'b.py' }],
    ['diff', { from: ahead }],
    ['diff', { path: 'a.py', from: '0s', to: ahead }],
  ];
  for (const [method, params] of calls) {
    const error = await daemon.failure(method, { project_id, ...params });
    assert.match(error.message, /lies ahead: it is \S+Z now/u, method);
  }
  await daemon.call('list_changes', { project_id, until: ahead });
});

test('an empty folder has no content that could be given', async (t) => {
  const { daemon, root, project_id } = await recorded(t, { 'a.py': 'a = 1\n' });
  mkdirSync(join(root, 'empty'));
  await followed(daemon, project_id);
  assert.deepEqual(await daemon.paths(project_id), ['a.py', 'empty']);
  const error = await daemon.refusal('get_file', { project_id, path: 'empty' });
  assert.deepEqual(
    [error.code, error.message],
    ['FILE_NOT_FOUND', 'empty is, or was, an empty folder: it has no content.'],
  );
});

test('a version is one that was added only where nothing is known to have been there, and no burst of saves is a deletion', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'], revision_burst: 60 } });
  const { project_id } = await daemon.addProject(root);
  const save = async (path: string, text: string): Promise<void> => {
    writeFileSync(join(root, path), text);
    await followed(daemon, project_id);
  };
  const versionsOf = async (path: string): Promise<[change: string | null, gone_to: string | null][]> => {
    const { versions } = await daemon.call('list_file_versions', { project_id, path });
    return versions.map(({ change, gone_to }) => [change, gone_to]);
  };
  for (const text of ['a = 22\n', 'a = 333\n']) await save('a.py', text);
  await save('new.py', 'new = 1\n');
  rmSync(join(root, 'new.py'));
  await followed(daemon, project_id);
  assert.deepEqual(await versionsOf('a.py'), [
    ['changed', null],
    ['found', null],
  ]);
  assert.deepEqual(await versionsOf('new.py'), [['added', 'deleted']]);
  const { stdout } = await codekeep(sandbox, 'history', join(root, 'a.py'), '--socket', daemon.socket);
  const lines = stdout.split('\n').map((line) => line.slice('2026-01-01 00:00:00  '.length));
  assert.match(lines.join('\n'), /^changed +by an edit +\+2 B .*\nthere +at the first look +\+6 B .*\n$/u);

  // As if the project had been found three days ago, and what it was found with let go since: within an hour no state was kept.
  const hour = 3_600_000;
  const found = Math.floor(Date.now() / hour) * hour - 72 * hour + 1;
  daemon.sql((db) => {
    db.prepare('UPDATE projects SET recorded_at = ?').run(found);
    db.prepare('DELETE FROM revisions').run();
    const begun = db.prepare("UPDATE files SET seen_at = ?, came_by = 'edit' WHERE path = ?");
    begun.run(found + 1_000, 'a.py');
    begun.run(found + hour, 'b.py');
  });
  assert.deepEqual([await versionsOf('a.py'), await versionsOf('b.py')], [[[null, null]], [['added', null]]]);
});
