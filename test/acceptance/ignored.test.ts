import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox, writeFiles } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';
import { git, repositoryIn } from '../reconcile/repository.js';

const files = {
  'src/a.py': 'def needle_in_a():\n    return 1\n',
  'src/b.py': 'def needle_in_b():\n    return 2\n',
  'notes.txt': 'needle in notes\n',
};
const paths = ['notes.txt', 'src/a.py', 'src/b.py'];

suite('what rules come to ignore', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;

  before(async () => {
    daemon = await sandbox.startDaemon();
  });

  async function found(project_id: string): Promise<string[]> {
    const { results } = await daemon.call('search', {
      query: 'needle',
      project_id,
      mode: 'fulltext',
      limit: 100,
    });
    return [...new Set(results.map(({ path }) => path))].sort();
  }

  async function counts(project_id: string): Promise<Record<string, number>> {
    const { freshness } = await daemon.call('wait_until_fresh', { project_id });
    assert.equal(freshness, 'fresh');
    const { active, deleted, ignored } = (await daemon.call('get_project_status', { project_id })).files;
    return { active, deleted, ignored };
  }

  for (const rule of ['*', 's*c/**', '**/*.p?']) {
    test(`by ${rule}: not searched, counted, restorable, and back when the rule goes`, async () => {
      const root = await sandbox.project(files);
      const { project_id } = await daemon.addProject(root);
      assert.deepEqual(await found(project_id), paths);
      writeFileSync(join(root, '.gitignore'), `${rule}\n`);
      const ignored = rule === '*' ? paths : ['src/a.py', 'src/b.py'];
      const rest = paths.filter((path) => !ignored.includes(path));
      const active = rule === '*' ? 0 : 2;
      assert.deepEqual(await counts(project_id), { active, deleted: 0, ignored: ignored.length });
      assert.deepEqual(await found(project_id), rest);

      const bytes = readFileSync(join(root, 'src/a.py'));
      unlinkSync(join(root, 'src/a.py'));
      await daemon.call('wait_until_fresh', { project_id });
      await daemon.call('restore_deleted_files', { project_id, paths: ['src/a.py'] });
      assert.deepEqual(readFileSync(join(root, 'src/a.py')), bytes);

      unlinkSync(join(root, '.gitignore'));
      assert.deepEqual(await counts(project_id), { active: 3, deleted: rule === '*' ? 0 : 1, ignored: 0 });
      assert.deepEqual(await found(project_id), paths);
    });
  }

  test('what git tracks stays content whatever the rules say', async () => {
    const root = await sandbox.project(files);
    git(repositoryIn(root), 'add', 'src');
    const { project_id } = await daemon.addProject(root);
    writeFileSync(join(root, '.gitignore'), '*\n');
    assert.deepEqual(await counts(project_id), { active: 2, deleted: 0, ignored: 1 });
    assert.deepEqual(await found(project_id), ['src/a.py', 'src/b.py']);
    writeFileSync(join(root, 'src/a.py'), 'def needle_in_a():\n    return 3\n');
    await daemon.call('wait_until_fresh', { project_id });
    const { content } = await daemon.call('get_file', { project_id, path: 'src/a.py' });
    assert.match(content, /return 3/);
  });
});

test('rules that lie elsewhere are followed when they change, without anybody asking for it', async (t) => {
  const sandbox = await Sandbox.create(t);
  const config = sandbox.path('gitconfig');
  const setExcludes = (path: string): void => {
    execFileSync('git', ['config', '--file', config, 'core.excludesFile', path]);
  };
  setExcludes(sandbox.path('none'));
  const top = repositoryIn(
    await sandbox.project({ 'sub/a.py': 'a\n', 'sub/b.py': 'b\n', 'sub/c.py': 'c\n', 'sub/d.py': 'd\n' }),
  );
  const daemon = await sandbox.startDaemon({ under: ['env', `GIT_CONFIG_GLOBAL=${config}`] });
  const { project_id } = await daemon.addProject(join(top, 'sub'));
  const untilContent = async (...expected: string[]): Promise<void> => {
    await waitFor(`${expected.join()} are content`, async () => {
      const { freshness } = await daemon.call('get_project_status', { project_id });
      return freshness === 'fresh' && isDeepStrictEqual(await daemon.paths(project_id), expected);
    });
  };
  await untilContent('a.py', 'b.py', 'c.py', 'd.py');
  writeFileSync(join(top, '.git/info/exclude'), 'a.py\n');
  await untilContent('b.py', 'c.py', 'd.py');
  writeFileSync(join(top, '.gitignore'), 'b.py\n');
  await untilContent('c.py', 'd.py');
  writeFileSync(sandbox.path('excludes'), 'c.py\n');
  setExcludes(sandbox.path('excludes'));
  await untilContent('d.py');
  rmSync(sandbox.path('excludes'));
  await untilContent('c.py', 'd.py');
  rmSync(join(top, '.git/info'), { recursive: true });
  await untilContent('a.py', 'c.py', 'd.py');
});

test('what git tracks no more, and rules ignore, is no content from then on', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = repositoryIn(
    await sandbox.project({ 'a.py': 'a\n', 'b.log': 'b\n', '.gitignore': '*.log\n' }),
  );
  git(root, 'add', '--force', '.');
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  assert.deepEqual(await daemon.paths(project_id), ['.gitignore', 'a.py', 'b.log']);
  git(root, 'rm', '-q', '--cached', 'b.log');
  const isGone = async (): Promise<boolean> => !(await daemon.paths(project_id)).includes('b.log');
  await waitFor('b.log is no content', isGone);
});

test("core.excludesFile of the daemon's user holds", async (t) => {
  const sandbox = await Sandbox.create(t);
  const excludes = sandbox.path('excludes');
  writeFileSync(excludes, '*.secret\n');
  const config = sandbox.path('gitconfig');
  execFileSync('git', ['config', '--file', config, 'core.excludesFile', excludes]);
  const root = await sandbox.project({ ...files, 'key.secret': 'needle\n' });
  const daemon = await sandbox.startDaemon({ under: ['env', `GIT_CONFIG_GLOBAL=${config}`] });
  const { project_id } = await daemon.addProject(root);
  assert.deepEqual(await daemon.paths(project_id), paths);
  await writeFiles(root, { 'other.secret': 'needle\n', 'c.py': 'c = 1\n' });
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await daemon.paths(project_id), ['c.py', ...paths]);
  rmSync(excludes);
  await daemon.call('update_indexes', { project_id });
  assert.deepEqual(await daemon.paths(project_id), [
    'c.py',
    'key.secret',
    'notes.txt',
    'other.secret',
    'src/a.py',
    'src/b.py',
  ]);
});
