import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { codekeep } from '../harness/command.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

suite('a project whose own rules ignore everything', () => {
  const files = {
    '.gitignore': '*\n',
    'a.py': 'a = 1\n',
    'lib/b.py': 'b = 1\n',
    'node_modules/c/index.js': 'c\n',
  };
  const why = 'nothing is left to index: ignored are 4 entries by .gitignore';

  test('says so, with the file that it is by', async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project(files);
    const daemon = await sandbox.startDaemon({ args: ['--project', root] });
    await waitFor('"indexed"', () => daemon.stdout.includes('indexed '));
    assert.match(daemon.stdout, new RegExp(`^indexed ${root}: 0 files, .* s; ${why}$`, 'm'));
    const updated = await codekeep(sandbox, 'update', root, '--socket', daemon.socket);
    assert.deepEqual([updated.status, updated.stdout.split('\n')[1]], [0, why]);
    const { stdout } = await codekeep(sandbox, 'status', '--socket', daemon.socket);
    assert.ok(stdout.includes(`${root}: fresh (${why})\n`), stdout);

    await writeFile(join(root, '.gitignore'), '*.log\n');
    await daemon.call('update_indexes', { root_dir: root });
    const { reason, files: counts } = await daemon.call('get_project_status', { root_dir: root });
    assert.deepEqual([reason, counts.active], [null, 3]);
  });

  test('an empty project has nothing to be told', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon();
    const root = await sandbox.project({ '.git/HEAD': 'ref: refs/heads/main\n' });
    const result = await daemon.call('update_indexes', { root_dir: root });
    assert.ok('reason' in result);
    assert.equal(result.reason, null);
  });
});
