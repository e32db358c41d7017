import assert from 'node:assert/strict';
import { readFileSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { codekeep } from '../harness/command.js';
import { type Daemon, moveIntoVersions, type Project } from '../harness/daemon.js';
import { followCommand } from '../harness/named-command.js';
import { manyFiles, Sandbox, writeFiles } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';
import { git, repositoryIn } from '../reconcile/repository.js';

const names = ['seen', 'unseen', 'git', 'asked', 'repair'] as const;
const files = Object.fromEntries([...names, 'kept'].map((name) => [`${name}.py`, `name = '${name}'\n`]));

async function causesOf(daemon: Daemon, { project_id }: Project): Promise<Record<string, string | null>> {
  const { files: deleted } = await daemon.call('list_deleted_files', { project_id });
  return Object.fromEntries(deleted.map(({ path, cause }) => [path, cause]));
}

async function untilFresh(daemon: Daemon, { project_id }: Project): Promise<void> {
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
}

test('each mark says why it was set, and each cause can be brought back by itself', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = repositoryIn(await sandbox.project(files));
  git(root, 'add', 'kept.py');
  git(root, 'commit', '-q', '-m', 'main');
  git(root, 'checkout', '-q', '-b', 'feature');
  git(root, 'add', 'git.py');
  git(root, 'commit', '-q', '-m', 'feature');
  const original = filesOf(root, ['.git']);
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  const { project_id } = project;

  unlinkSync(join(root, 'seen.py'));
  await untilFresh(daemon, project);
  await daemon.call('delete_file', { project_id, path: 'asked.py' });
  git(root, 'checkout', '-q', 'main');
  await untilFresh(daemon, project);
  await daemon.stopWorkers('file_watcher');
  await moveIntoVersions(project, 'repair.py');
  await daemon.repair({ project_id });
  unlinkSync(join(root, 'unseen.py'));
  await daemon.call('start_worker', { worker_type: 'file_watcher' });
  await untilFresh(daemon, project);
  assert.deepEqual(
    await causesOf(daemon, project),
    Object.fromEntries(names.map((name) => [`${name}.py`, name])),
  );

  const { stdout } = await codekeep(sandbox, 'deleted', root, '--socket', daemon.socket);
  const words = {
    seen: 'seen by the watcher',
    unseen: 'while nobody watched',
    git: 'by git',
    asked: 'on request',
    repair: 'by a repair',
  };
  for (const name of names) assert.match(stdout, new RegExp(`${words[name]}.*${name}\\.py$`, 'm'));

  for (const cause of names) {
    const dry = await daemon.call('restore_deleted_files', {
      project_id,
      cause,
      deleted_after: '1h',
      dry_run: true,
    });
    const { restored } = await daemon.call('restore_deleted_files', { project_id, cause });
    assert.deepEqual([dry.restored, restored], [[{ path: `${cause}.py` }], [{ path: `${cause}.py` }]]);
  }
  assert.deepEqual(filesOf(root, ['.git']), original);
  await untilFresh(daemon, project);
  assert.deepEqual(await causesOf(daemon, project), {});
});

test("a branch switch is followed by what it changes, and what it takes away is called git's", async (t) => {
  const sandbox = await Sandbox.create(t);
  const paths = ['a.py', 'b/c.py', 'b/d/e.py'];
  const of = (branch: string): Record<string, string> =>
    Object.fromEntries(paths.map((path) => [path, `${branch} = '${path}'\n`]));
  const root = repositoryIn(await sandbox.project(of('main')));
  const commit = (branch: string): void => {
    git(root, 'add', '-A');
    git(root, 'commit', '-q', '-m', branch);
  };
  commit('main');
  git(root, 'checkout', '-q', '-b', 'changed');
  await writeFiles(root, of('changed'));
  commit('changed');
  git(root, 'checkout', '-q', '-b', 'less');
  rmSync(join(root, 'b/d'), { recursive: true });
  commit('less');
  git(root, 'checkout', '-q', 'main');
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  const { project_id } = project;
  const { last_verified_at } = await daemon.call('get_project_status', { project_id });
  for (const branch of ['changed', 'main', 'changed']) {
    git(root, 'checkout', '-q', branch);
    for (const [path, content] of Object.entries(of(branch))) {
      const hasIt = async (): Promise<boolean> =>
        (await daemon.call('get_file', { project_id, path })).content === content;
      await waitFor(`${path} of ${branch}`, hasIt);
    }
    const isFresh = async (): Promise<boolean> =>
      (await daemon.call('get_project_status', { project_id })).freshness === 'fresh';
    await waitFor('it is fresh', isFresh);
  }
  // Nobody had to compare the whole project for that.
  assert.equal((await daemon.call('get_project_status', { project_id })).last_verified_at, last_verified_at);
  git(root, 'checkout', '-q', 'less');
  const isGits = async (): Promise<boolean> => (await causesOf(daemon, project))['b/d/e.py'] === 'git';
  await waitFor("the file is marked as git's", isGits);
});

test("what was edited and never committed is not called git's when a branch is left that had the path", async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = repositoryIn(await sandbox.project({ 'kept.py': 'kept\n' }));
  git(root, 'add', '.');
  git(root, 'commit', '-q', '-m', 'main');
  git(root, 'checkout', '-q', '-b', 'feature');
  const picture = 'what Git LFS keeps elsewhere\0';
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(Buffer.from(picture))}\nsize 29\n`;
  const committed = {
    'plain.py': 'plain\n',
    'edited.py': 'edited\n',
    'ends.txt': 'one\ntwo\n',
    'large.png': pointer,
    'smudged.txt': 'a\n',
  };
  await writeFiles(root, { ...committed, '.gitattributes': 'smudged.txt filter=none\n' });
  git(root, 'add', '.');
  git(root, 'commit', '-q', '-m', 'feature');
  // As git writes files where line ends, or a filter, are asked for; what other filters make of a blob is not known.
  await writeFiles(root, {
    'edited.py': 'what only codekeep has\n',
    'ends.txt': 'one\r\ntwo\r\n',
    'large.png': picture,
    'smudged.txt': 'b\n',
  });
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  const { project_id } = project;
  for (const path of Object.keys(committed)) unlinkSync(join(root, path));
  await waitFor(
    'they are seen to be gone',
    async () => Object.keys(await causesOf(daemon, project)).length === 5,
  );
  git(root, 'checkout', '-q', '--force', 'main');
  await untilFresh(daemon, project);
  assert.deepEqual(await causesOf(daemon, project), {
    '.gitattributes': 'git',
    'edited.py': 'seen',
    'ends.txt': 'git',
    'large.png': 'git',
    'plain.py': 'git',
    'smudged.txt': 'seen',
  });
  await daemon.repair({ project_id, deleted_since: '1h' });
  assert.equal(readFileSync(join(root, 'edited.py'), 'utf8'), 'what only codekeep has\n');
});

test('what delete_file took is not called seen, although a watcher saw it go, too', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(24));
  const daemon = await sandbox.startDaemon();
  const project = await daemon.addProject(root);
  const { project_id } = project;
  const paths = Object.keys(manyFiles(24));
  await Promise.all(paths.map((path) => daemon.call('delete_file', { project_id, path })));
  await untilFresh(daemon, project);
  const { files: deleted } = await daemon.call('list_deleted_files', { project_id, limit: 100 });
  assert.deepEqual([deleted.length, new Set(deleted.map(({ cause }) => cause))], [24, new Set(['asked'])]);
});

test('deleted_after takes a time or a duration', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  await daemon.call('delete_file', { project_id, path: 'seen.py' });
  const first = (await daemon.call('list_deleted_files', { project_id })).files[0]?.deleted_at ?? '';
  const between = await waitFor('a later millisecond', () => {
    const now = new Date().toISOString();
    return now > first && now;
  });
  await daemon.call('delete_file', { project_id, path: 'unseen.py' });
  const restored = async (deleted_after: string): Promise<string[]> => {
    const answer = await daemon.call('restore_deleted_files', { project_id, deleted_after, dry_run: true });
    return answer.restored.map(({ path }) => path);
  };
  assert.deepEqual(await restored(between), ['unseen.py']);
  assert.deepEqual(await restored('10m'), ['seen.py', 'unseen.py']);
  const { code, message } = await daemon.refusal('restore_deleted_files', {
    project_id,
    deleted_after: 'yesterday',
  });
  assert.deepEqual([code, /duration such as 10m/.test(message)], ['INVALID_PARAMS', true]);
});

for (const how of ['unseen', 'in mass'] as const) {
  test(`what went ${how} is named in the status with the command that brings it back`, async (t) => {
    const sandbox = await Sandbox.create(t);
    // A name that a shell would take apart.
    const root = sandbox.path("it's $HOME");
    await writeFiles(root, manyFiles(60));
    const original = filesOf(root);
    const daemon = await sandbox.startDaemon();
    const project = await daemon.addProject(root);
    const { project_id } = project;
    const earlier = await daemon.call('get_project_status', { project_id });
    assert.deepEqual(earlier.notices, []);
    if (how === 'unseen') await daemon.stopWorkers('file_watcher');
    for (let number = 0; number < 30; number += 1) unlinkSync(join(root, `folder0/file${number}.py`));
    if (how === 'unseen') await daemon.call('start_worker', { worker_type: 'file_watcher' });
    await untilFresh(daemon, project);

    const { notices } = await daemon.call('get_project_status', { project_id });
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /^30 files /);
    const shown = await codekeep(sandbox, 'status', '--socket', daemon.socket);
    assert.ok(shown.stdout.includes(notices[0] ?? ''), shown.stdout);
    const { stdout } = await followCommand(sandbox, daemon, notices[0] ?? '', /^codekeep restore/);
    assert.match(stdout, /30 restored/);
    assert.deepEqual(filesOf(root), original);
    await untilFresh(daemon, project);
    assert.deepEqual((await daemon.call('get_project_status', { project_id })).notices, []);
  });
}

test('the command that the status names works although a file among them was too large to be kept', async (t) => {
  const sandbox = await Sandbox.create(t);
  const large = { 'large.bin': 'x'.repeat(20_000) };
  const root = await sandbox.project({ ...large, 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon({
    config: { autostart: ['file_watcher'], max_file_bytes: 10_000 },
  });
  const project = await daemon.addProject(root);
  const lose = async (...lost: string[]): Promise<string> => {
    await untilFresh(daemon, project);
    await daemon.stopWorkers('file_watcher');
    for (const name of lost) unlinkSync(join(root, name));
    await daemon.call('start_worker', { worker_type: 'file_watcher' });
    await untilFresh(daemon, project);
    const { notices } = await daemon.call('get_project_status', { project_id: project.project_id });
    return notices[0] ?? '';
  };
  const notice = await lose('a.py', 'b.py', 'large.bin');
  assert.match(notice, /^3 files .* brings them back, but for 1 whose contents are not kept$/);
  const { stdout } = await followCommand(sandbox, daemon, notice, /^codekeep restore/);
  assert.match(stdout, /2 restored/);
  assert.deepEqual([...filesOf(root).keys()].sort(), ['a.py', 'b.py']);
  const last = (await daemon.call('get_project_status', { project_id: project.project_id })).notices[0] ?? '';
  assert.match(last, /^1 files went while nobody watched; their contents are not kept/);
  const named = { project_id: project.project_id, paths: ['large.bin'] };
  assert.match(
    (await daemon.refusal('restore_deleted_files', named)).message,
    /large\.bin cannot be restored/,
  );
});
