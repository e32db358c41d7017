import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { codekeep } from '../harness/command.js';
import { Sandbox, writeFiles } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

suite('codekeep unprotected', () => {
  test('says that everything can be brought back where that is known, and else when it was', async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n' });
    const daemon = await sandbox.startDaemon();
    await daemon.addProject(root);
    const said = async (): Promise<string> => {
      const { status, stdout, stderr } = await codekeep(
        sandbox,
        'unprotected',
        root,
        '--socket',
        daemon.socket,
      );
      assert.deepEqual([status, stderr], [0, '']);
      return stdout;
    };
    const status = () => daemon.call('get_project_status', { root_dir: root });
    await waitFor('it is fresh', async () => (await status()).freshness === 'fresh');
    assert.equal(await said(), 'everything can be brought back\n');

    await daemon.stopWorkers('file_watcher');
    await writeFiles(root, { 'b.py': 'b = 1\n' });
    const { last_verified_at } = await status();
    assert.equal(
      await said(),
      `everything that was there at the last comparison, ${last_verified_at ?? ''}, can be brought back\n` +
        'the index is unknown now: file_watcher is not running\n',
    );

    const other = await sandbox.project({ 'c.py': 'c = 1\n' });
    await daemon.call('add_project', { root_dir: other });
    const never = await codekeep(sandbox, 'unprotected', other, '--socket', daemon.socket);
    assert.match(never.stdout, /^never compared with the disk yet: .*\nthe index is unknown now: .*\n$/);
  });
});
