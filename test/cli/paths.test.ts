import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { run } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { program, Sandbox } from '../harness/sandbox.js';

suite('paths of several projects are those of the working directory', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let one: string;
  let two: string;

  before(async () => {
    const files = { 'lib/f4.py': 'def parse_header():\n    return 4\n', 'gone.py': 'gone = 1\n' };
    [one, two] = [await sandbox.project(files), await sandbox.project(files)];
    daemon = await sandbox.startDaemon();
    await daemon.addProject(one);
    await daemon.addProject(two);
    for (const root_dir of [one, two]) await daemon.call('delete_file', { root_dir, path: 'gone.py' });
  });

  async function at(cwd: string, ...args: string[]): Promise<string> {
    const words = [program, ...args, '--socket', daemon.socket];
    const { status, stdout, stderr } = await run(sandbox, process.execPath, words, { cwd });
    assert.deepEqual([status, stderr], [0, ''], args.join(' '));
    return stdout;
  }

  const hits = (text: string): string[] =>
    [...text.matchAll(/^(\S+):\d+-\d+ /gmu)].map(([, path = '']) => path).sort();

  test('search: relative to it, absolute where they are outside', async () => {
    const query = ['search', 'parse header', '--mode', 'fulltext'];
    assert.deepEqual(hits(await at(sandbox.folder, ...query)), [
      'project-1/lib/f4.py',
      'project-2/lib/f4.py',
    ]);
    assert.deepEqual(hits(await at(join(one, 'lib'), ...query)), [join(two, 'lib/f4.py'), 'f4.py'].sort());
    assert.deepEqual(
      hits(await at(two, '-C', one, ...query)),
      [join(two, 'lib/f4.py'), 'lib/f4.py'].sort(),
      'the directory of -C counts',
    );
  });

  test('deleted and restore find the project around the working directory, and the paths that they print', async () => {
    await daemon.call('delete_file', { root_dir: one, path: 'lib/f4.py' });
    const here = join(one, 'lib');
    assert.match(await at(here, 'deleted'), / f4\.py$/mu);
    assert.match(await at(here, 'restore', 'f4.py'), /^f4\.py\n1 restored$/mu);
  });

  test('search: each hit has its root_dir', async () => {
    const { results } = await daemon.call('search', { query: 'parse header', mode: 'fulltext' });
    assert.deepEqual(results.map(({ root_dir }) => root_dir).sort(), [one, two]);
  });

  test('deleted and restore: what the one shows, the other takes', async () => {
    assert.match(await at(sandbox.folder, 'deleted', one), / project-1\/gone\.py\n$/);
    assert.match(await at(two, 'deleted', one), new RegExp(` ${one}/gone\\.py\n$`));
    for (const path of ['project-1/gone.py', join(one, 'gone.py'), 'gone.py']) {
      const text = await at(sandbox.folder, 'restore', '--dry-run', '--project', 'project-1', path);
      assert.equal(text, 'project-1/gone.py\n1 to be restored\n');
    }
  });

  test('restore takes a folder, also one that is gone, and the working directory, for all that is deleted below', async () => {
    const root = await sandbox.project({
      'a.py': 'a = 1\n',
      'lib/b.py': 'b = 1\n',
      'lib/deep/c.py': 'c = 1\n',
    });
    const { project_id } = await daemon.addProject(root);
    const isGone = async (): Promise<void> => {
      for (const name of ['a.py', 'lib']) rmSync(join(root, name), { recursive: true });
      await daemon.call('update_indexes', { project_id });
    };
    await isGone();
    assert.equal(await at(root, 'restore', 'lib/deep/'), 'lib/deep/c.py\n1 restored\n');
    const above = await at(join(root, 'lib/deep'), 'restore', '..', '../../a.py');
    assert.equal(above, `${join(root, 'lib/b.py')}\n${join(root, 'a.py')}\n2 restored\n`);
    await isGone();
    assert.equal(await at(root, 'restore', '.'), 'a.py\nlib/b.py\nlib/deep/c.py\n3 restored\n');
  });
});
