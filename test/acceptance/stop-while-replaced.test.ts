import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

interface Large {
  sandbox: Sandbox;
  root: string;
  daemon: Daemon;
  projectId: string;
}

/** An index that takes its time to be copied. */
async function large(t: TestContext, mb: number): Promise<Large> {
  const sandbox = await Sandbox.create(t);
  const files = Object.fromEntries(
    Array.from({ length: mb }, (_, number) => [`f${number}.txt`, randomBytes(500_000).toString('hex')]),
  );
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [], backup_interval: 0 } });
  daemon.mayLogErrors = true;
  const { project_id: projectId } = await daemon.addProject(root);
  return { sandbox, root, daemon, projectId };
}

for (const method of ['rebuild_database', 'restore_backup'] as const)
  test(`a daemon that is told to end during ${method} ends, with every process, and leaves a whole index`, async (t) => {
    const { sandbox, daemon, projectId } = await large(t, 30);
    const { path } = await daemon.call('backup_database');
    const call = daemon.client
      .callAny(method, method === 'rebuild_database' ? {} : { path })
      .catch((error: unknown) => String(error));
    await waitFor('index_service is stopped for it', async () => {
      const { workers, repair } = await daemon.call('health');
      return workers['index_service'] === 'stopped' && repair !== null;
    });
    const exit = await daemon.stop('SIGTERM');
    assert.deepEqual([exit?.code, exit?.signal], [0, null]);
    await call;
    assert.deepEqual(
      readdirSync(daemon.stateDir).filter((name) => name === 'codekeep.sock' || name.startsWith('lock.db-')),
      [],
    );
    const again = await sandbox.startDaemon({ stateDir: daemon.stateDir, config: { autostart: [] } });
    assert.equal((await again.paths(projectId)).length, 30);
    assert.deepEqual(
      readdirSync(again.stateDir).filter((name) => /incoming|ready/u.test(name)),
      [],
    );
  });

test('a repair that is cut off with the daemon while it backs the index up is finished at the next start', async (t) => {
  const { sandbox, root, daemon, projectId } = await large(t, 60);
  for (let number = 0; number < 20; number += 1) unlinkSync(join(root, `f${number}.txt`));
  void daemon.client.call('repair_database', {}).catch(() => undefined);
  await waitFor('it backs up', async () => (await daemon.call('health')).repair?.phase === 'backup');
  await daemon.stop('SIGKILL');
  const again = await sandbox.startDaemon({ stateDir: daemon.stateDir });
  again.mayLogErrors = true;
  await waitFor(
    'it is finished',
    async () => (await again.call('wait_until_fresh', { project_id: projectId })).freshness === 'fresh',
    30_000,
  );
  assert.equal(readdirSync(root).length, 60);
  assert.deepEqual(await again.paths(projectId, true), []);
});

test('a backup that was made while a repair ran does not go on with it where it is restored', async (t) => {
  const { root, daemon, projectId } = await large(t, 1);
  const id = '00000000-0000-4000-8000-000000000001';
  daemon.sql((db) => {
    const file = db.prepare("SELECT id FROM files WHERE path = 'f0.txt'").pluck().get();
    db.prepare(
      `INSERT INTO repair_runs (run_id, project_id, origin, state, root_dir, version_dir, started_at)
       SELECT ?, id, 'command', 'running', root_dir, version_dir, 1 FROM projects`,
    ).run(id);
    db.prepare(
      `INSERT INTO repair_actions (run_id, project_id, file_id, path, verdict, state, targets)
       VALUES (?, ?, ?, 'f0.txt', 'restore_from_cst', 'intent', 'versions,project')`,
    ).run(id, projectId, file);
  });
  const { path } = await daemon.call('backup_database');
  rmSync(join(root, 'f0.txt'));
  await daemon.call('restore_backup', { path });
  const { runs } = await daemon.call('list_repairs');
  assert.deepEqual(
    runs.map(({ run_id, state }) => [run_id, state]),
    [[id, 'interrupted']],
  );
  assert.deepEqual(readdirSync(root), []);
});
