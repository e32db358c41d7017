import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sandbox } from '../harness/sandbox.js';

const autostart = ['file_watcher'];

test('what was larger than max_file_bytes is indexed once that is raised', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'large.py': 'large = 1\n'.repeat(200) });
  const small = await sandbox.startDaemon({ config: { autostart, max_file_bytes: 1_000 } });
  const { project_id } = await small.addProject(root);
  const { files } = await small.call('get_project_status', { project_id });
  assert.equal(files.not_restorable, 1);
  await small.stop();
  const daemon = await sandbox.startDaemon({ config: { autostart, max_file_bytes: 10_000 } });
  await daemon.call('wait_until_fresh', { project_id });
  assert.equal((await daemon.call('get_project_status', { project_id })).files.not_restorable, 0);
  assert.equal((await daemon.call('get_file', { project_id, path: 'large.py' })).size, 2_000);
  assert.deepEqual((await daemon.call('list_unprotected', { project_id })).entries, []);
});

test('what an older extractor made is made again: rows, entities, chunks and the stored tree', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'def kept():\n    return 1\n', 'b.py': 'b = 1\n' });
  const first = await sandbox.startDaemon();
  const { project_id } = await first.addProject(root);
  const derived = `SELECT e.name, (SELECT count(*) FROM chunks c WHERE c.file_id = f.id) AS chunks, f.extractor, t.extractor AS madeBy
    FROM files f JOIN contents t USING (sha256) LEFT JOIN entities e ON e.file_id = f.id WHERE f.path = 'a.py'`;
  const made = first.sql((db) => db.prepare(derived).all());
  await first.stop();
  first.sql((db) => {
    db.exec(`UPDATE files SET extractor = 'older' WHERE path = 'a.py';
      UPDATE contents SET extractor = 'older' WHERE sha256 = (SELECT sha256 FROM files WHERE path = 'a.py');
      DELETE FROM chunks WHERE file_id = (SELECT id FROM files WHERE path = 'a.py');
      DELETE FROM entities WHERE file_id = (SELECT id FROM files WHERE path = 'a.py')`);
  });
  const next = await sandbox.startDaemon();
  await next.call('wait_until_fresh', { project_id });
  assert.deepEqual(
    next.sql((db) => db.prepare(derived).all()),
    made,
  );
});
