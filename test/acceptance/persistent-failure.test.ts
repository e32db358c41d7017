import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

test('what fails in every round of the background worker is one row of the journal, and is done once it can be', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({
    'a.py': 'a = 1\n',
    'folder/b.py': 'b = 1\n',
    'folder/c.py': 'c = 1\n',
  });
  const folder = join(root, 'folder');
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  daemon.mayLogErrors = true;
  await daemon.addProject(root);
  rmSync(join(folder, 'b.py'));
  try {
    execFileSync('chattr', ['+i', folder], { stdio: 'ignore' });
  } catch {
    return t.skip('a folder cannot be made immutable here (chattr +i)');
  }
  const free = (): unknown => execFileSync('chattr', ['-i', folder]);
  // Before the sandbox removes it, also where this fails.
  try {
    await daemon.call('start_worker', { worker_type: 'repair', poll_interval: 1 });
    await rounds(3);
    const { actions, runs } = journal();
    assert.ok(actions <= 1 && runs <= 1, `${actions} actions in ${runs} runs after three rounds`);
    await rounds(3);
    assert.deepEqual(journal(), { actions, runs });
    const health = await daemon.call('health');
    assert.ok(['ok', 'degraded'].includes(health.status));
  } finally {
    free();
  }
  // A worker that begins anew has no failure behind it.
  await daemon.stopWorkers('repair');
  await daemon.call('start_worker', { worker_type: 'repair', poll_interval: 1 });
  await waitFor('it is restored', () => readFileSync(join(folder, 'b.py'), 'utf8') === 'b = 1\n');
  return undefined;

  function journal(): { actions: number; runs: number } {
    return daemon.sql((db) => {
      const count = (table: string): number =>
        (db.prepare(`SELECT count(*) AS rows FROM ${table}`).get() as { rows: number }).rows;
      return { actions: count('repair_actions'), runs: count('repair_runs') };
    });
  }

  async function rounds(more: number): Promise<void> {
    const { rounds: before } = await daemon.call('repair_worker_status');
    await waitFor(`${more} rounds`, async () => {
      return (await daemon.call('repair_worker_status')).rounds >= before + more;
    });
  }
});
