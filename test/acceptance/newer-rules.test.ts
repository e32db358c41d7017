import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import type { Daemon } from '../harness/daemon.js';
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
  const made = async (daemon: Daemon): Promise<unknown> => [
    await daemon.call('list_code_entities', { project_id }),
    daemon.sql((db) => db.prepare('SELECT path, extractor, chunks FROM files ORDER BY path').all()),
    daemon.sql((db) => db.prepare('SELECT sha256, extractor, tree FROM contents ORDER BY sha256').all()),
    derivedRows(daemon, project_id),
  ];
  const before = await made(first);
  await first.stop();
  first.sql((db) => {
    db.exec("UPDATE files SET extractor = 'older'; UPDATE contents SET extractor = 'older'");
  });
  withDerived(first, project_id, (db) => db.exec("UPDATE documents SET extractor = 'older'"));
  const next = await sandbox.startDaemon();
  await next.call('wait_until_fresh', { project_id });
  assert.deepEqual(await made(next), before);
});

function withDerived<T>(daemon: Daemon, projectId: string, work: (db: Database.Database) => T): T {
  const db = new Database(join(daemon.stateDir, 'derived', `${projectId}.db`));
  try {
    return work(db);
  } finally {
    db.close();
  }
}

/** But for ids, which are never given twice. */
function derivedRows(daemon: Daemon, projectId: string): unknown {
  return withDerived(daemon, projectId, (db) =>
    db
      .prepare(
        `SELECT d.sha256, d.language, d.extractor, d.chunks, l.layout FROM documents d JOIN layouts l USING (first_chunk)
         ORDER BY d.sha256`,
      )
      .all(),
  );
}
