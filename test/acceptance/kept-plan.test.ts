import assert from 'node:assert/strict';
import { existsSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { codekeep } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { actionsOf } from '../harness/repairs.js';
import { Sandbox } from '../harness/sandbox.js';
import { treeHash } from '../harness/trees.js';

const files = { 'a.py': 'a = 1\n', 'b.py': 'b = 1\n', 'lib/c.py': 'c = 1\n', 'stays.py': 's = 1\n' };

/** A project that has lost `lib`, with nobody watching. */
async function withLoss(sandbox: Sandbox): Promise<{ daemon: Daemon; root: string; project_id: string }> {
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  rmSync(join(root, 'lib'), { recursive: true });
  return { daemon, root, project_id };
}

test('a plan is executed exactly, and once only', async (t) => {
  const sandbox = await Sandbox.create(t);
  const { daemon, root, project_id } = await withLoss(sandbox);
  const planned = await daemon.repair({ project_id, dry_run: true });
  const again = await daemon.repair({ plan_id: planned.run_id, dry_run: true });
  assert.deepEqual(actionsOf(again), actionsOf(planned));
  const done = await daemon.repair({ plan_id: planned.run_id });
  assert.deepEqual(actionsOf(done), actionsOf(planned));
  assert.equal(existsSync(join(root, 'lib/c.py')), true);
  const { code, details } = await daemon.refusal('repair_database', { plan_id: planned.run_id });
  assert.deepEqual([code, details['count']], ['PLAN_STALE', 1]);
});

test('a plan that is not what there is to do any more is refused, and says what changed', async (t) => {
  const sandbox = await Sandbox.create(t);
  const { daemon, root, project_id } = await withLoss(sandbox);
  const { run_id } = await daemon.repair({ project_id, dry_run: true });
  unlinkSync(join(root, 'a.py'));
  const before = treeHash(root);
  const { code, details, message } = await daemon.refusal('repair_database', { plan_id: run_id });
  assert.equal(code, 'PLAN_STALE');
  assert.match(message, /1 actions changed, the first at a\.py/u);
  const [changed] = details['changed'] as { path: string; planned: string | null; now: string }[];
  assert.deepEqual([changed?.path, changed?.planned], ['a.py', null]);
  assert.match(changed?.now ?? '', /^restore_from_cst into versions and project from tree [0-9a-f]{64}$/u);
  assert.equal(treeHash(root), before, 'nothing was done');
  const { runs } = await daemon.call('list_repairs', { project_id });
  assert.deepEqual(runs, []);
});

test('a plan stands alone, and one that is not known is refused', async (t) => {
  const sandbox = await Sandbox.create(t);
  const { daemon, root, project_id } = await withLoss(sandbox);
  const { run_id } = await daemon.repair({ project_id, dry_run: true });
  assert.equal((await daemon.refusal('repair_database', { plan_id: 'none' })).code, 'NOT_FOUND');
  for (const more of [{ project_id }, { force: true }, { deleted_since: '10m' }])
    assert.equal(
      (await daemon.refusal('repair_database', { plan_id: run_id, ...more })).code,
      'INVALID_PARAMS',
    );
  // Its times are those of the dry run, however long ago that was.
  const dry = await codekeep(
    sandbox,
    'repair',
    root,
    '--dry-run',
    '--deleted-since',
    '1h',
    '--socket',
    daemon.socket,
  );
  const [, plan = ''] = /"codekeep repair --plan (\S+)" does exactly this/.exec(dry.stdout) ?? [];
  const done = await codekeep(sandbox, 'repair', '--plan', plan, '--socket', daemon.socket);
  assert.deepEqual([done.status, existsSync(join(root, 'lib/c.py'))], [0, true], done.stderr);
  const stale = await codekeep(sandbox, 'repair', '--plan', plan, '--socket', daemon.socket);
  assert.equal(stale.status, 1);
  assert.match(stale.stderr, /^codekeep: The plan is not what there is to do any more/u);
});
