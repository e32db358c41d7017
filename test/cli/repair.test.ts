import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { codekeep } from '../harness/command.js';
import { addLostRows } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';

suite('codekeep repair', () => {
  test('counts all that is to be done, also what the lists of the report leave out', async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n' });
    const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    const project = await daemon.addProject(root);
    addLostRows(daemon, project, 2_100);
    const mark =
      'UPDATE files SET deleted = 1, deleted_at = ? WHERE id IN (SELECT id FROM files WHERE path <> ? LIMIT 1050)';
    daemon.sql((db) => db.prepare(mark).run(Date.now(), 'a.py'));
    const { status, stdout, stderr } = await codekeep(
      sandbox,
      'repair',
      root,
      '--dry-run',
      '--socket',
      daemon.socket,
    );
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^ {2}to be restored from the syntax tree: 2100$/m);
    assert.match(stdout, /^ {4}\.\.\. and 2080 more \(--json lists the first 1000\)$/m);
    assert.match(
      stdout,
      /^ {2}deleted in the last day, and so not restored: 1,000 or more, the newest first$/m,
    );
    assert.match(stdout, /^ {4}\.\.\. and 980 or more$/m);
  });
});
