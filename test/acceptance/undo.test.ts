import assert from 'node:assert/strict';
import { appendFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { WorkerType } from '#src/contract/fields.js';
import type { Result } from '#src/contract/index.js';
import { codekeep } from '../harness/command.js';
import type { Daemon, Project } from '../harness/daemon.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { treeHash } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

const files = { 'a.py': 'a = 1\n', 'lib/b.py': 'b = 1\n', 'lib/deep/c.py': 'c = 1\n', 'stays.py': 's = 1\n' };
const lost = ['lib/b.py', 'lib/deep/c.py'];

/** A project of which a repair has brought `lib` back. */
async function repaired(
  sandbox: Sandbox,
  workers: WorkerType[],
): Promise<{ daemon: Daemon; project: Project; root: string; run_id: string }> {
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(root);
  rmSync(join(root, 'lib'), { recursive: true });
  const { run_id, totals } = await daemon.repair({ project_id: project.project_id });
  assert.equal(totals['restore_from_cst'], 2);
  for (const worker_type of workers) await daemon.call('start_worker', { worker_type });
  return { daemon, project, root, run_id };
}

type Undone = Extract<Result<'undo_repair'>, { undoes: string }>;

async function undo(daemon: Daemon, run_id: string, dry_run = false): Promise<Undone> {
  const result = await daemon.call('undo_repair', { run_id, dry_run });
  assert.ok('undoes' in result);
  return result;
}

test('beside a watcher, a repair is taken back: what it brought is gone on request, and the index is fresh', async (t) => {
  const sandbox = await Sandbox.create(t);
  const { daemon, project, root, run_id } = await repaired(sandbox, ['file_watcher']);
  const { project_id } = project;
  await daemon.call('wait_until_fresh', { project_id });
  const before = treeHash(root);
  const planned = await undo(daemon, run_id, true);
  assert.deepEqual([planned.undone.map(({ path }) => path), planned.kept], [lost, []]);
  assert.equal(treeHash(root), before, 'a dry run writes nothing');
  assert.equal(planned.workers_stopped.stopped_count, 0);

  const done = await undo(daemon, run_id);
  assert.deepEqual(done.undone, planned.undone);
  assert.deepEqual([done.errors, done.totals], [[], { undone: 2, kept: 0, failed: 0 }]);
  assert.deepEqual(
    done.workers_resumed.map(({ type }) => type),
    ['file_watcher'],
  );
  assert.ok(existsSync(done.backup_path ?? ''));
  assert.deepEqual([existsSync(join(root, 'lib')), existsSync(join(root, 'a.py'))], [false, true]);
  const { freshness } = await daemon.call('wait_until_fresh', { project_id });
  assert.equal(freshness, 'fresh');
  const { files: deleted } = await daemon.call('list_deleted_files', { project_id });
  assert.deepEqual(
    deleted.map(({ path, cause }) => [path, cause]),
    lost.map((path) => [path, 'asked']),
  );
  // No repair brings back what somebody took away, and it can be had all the same.
  const { totals } = await daemon.repair({ project_id });
  assert.equal(totals['restore_from_cst'], 0);

  const again = await undo(daemon, run_id);
  assert.deepEqual([again.undone, again.kept, again.workers_stopped.stopped_count], [[], [], 0]);
  assert.match(again.message, /undone already/u);
  const { runs: noted, actions } = await daemon.call('get_repair', { run_id: again.run_id });
  assert.deepEqual(
    [noted.map(({ origin, undoes, state }) => [origin, undoes, state]), actions],
    [[['undo', run_id, 'done']], []],
    'it is known by its id, as every run is',
  );
  assert.equal((await undo(daemon, again.run_id)).totals.undone, 0);
  const redone = await undo(daemon, done.run_id);
  assert.deepEqual([redone.totals.undone, redone.kept], [2, []]);
  assert.equal(treeHash(root), before);
  // As often as somebody likes: what an undo of an undo brought is what the repair had brought.
  const thrice = await undo(daemon, run_id);
  assert.deepEqual(
    [thrice.totals, existsSync(join(root, 'lib'))],
    [{ undone: 2, kept: 0, failed: 0 }, false],
  );
  assert.equal((await undo(daemon, thrice.run_id)).totals.undone, 2);
  assert.equal(treeHash(root), before);
  const { runs } = await daemon.call('list_repairs', { project_id });
  const [newest, first] = [runs[0], runs.find((run) => run.run_id === run_id)];
  assert.deepEqual([newest?.origin, newest?.undoes, first?.undone_by], ['undo', thrice.run_id, null]);
});

test('what somebody changed since stays, and is named', async (t) => {
  const sandbox = await Sandbox.create(t);
  const { daemon, root, run_id } = await repaired(sandbox, []);
  appendFileSync(join(root, 'lib/b.py'), '# mine\n');
  const { undone, kept } = await undo(daemon, run_id);
  assert.deepEqual(
    [undone.map(({ path }) => path), kept.map(({ path }) => path)],
    [['lib/deep/c.py'], ['lib/b.py']],
  );
  assert.match(kept[0]?.reason ?? '', /changed since/u);
  assert.deepEqual([existsSync(join(root, 'lib/b.py')), existsSync(join(root, 'lib/deep'))], [true, false]);
});

test('a person can undo: with an exit status, in words, and as a job', async (t) => {
  const sandbox = await Sandbox.create(t);
  const { daemon, root, run_id } = await repaired(sandbox, []);
  const at = async (...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> =>
    await codekeep(sandbox, ...args, '--socket', daemon.socket);
  const nobody = await at('undo', 'no-such-run');
  assert.deepEqual(
    [nobody.status, nobody.stderr.split('\n')[0]],
    [1, 'codekeep: There is no repair, rewind or undo no-such-run.'],
  );
  const dry = await at('undo', run_id, '--dry-run');
  assert.equal(dry.status, 0);
  assert.ok(dry.stdout.includes(`  project-1/lib/b.py       out of the project again\n`), dry.stdout);
  assert.match(dry.stdout, /^dry run, nothing was changed: 2 to be undone\.$/m);
  const done = await at('undo', run_id);
  assert.equal(done.status, 0);
  const [, undoing = ''] = /"codekeep undo (\S+)" brings it all back/.exec(done.stdout) ?? [];
  const job = await daemon.call('undo_repair', { run_id: undoing, wait: false });
  assert.ok('job_id' in job);
  await waitFor('the job is done', async () => {
    const { state } = await daemon.call('get_job', { job_id: job.job_id });
    return state === 'done';
  });
  assert.equal(existsSync(join(root, 'lib/b.py')), true);
});

test('a daemon that is killed in an undo finishes it when it starts', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ ...manyFiles(600), 'stays.py': 's = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  for (let folder = 0; folder < 6; folder += 1) rmSync(join(root, `folder${folder}`), { recursive: true });
  const { run_id } = await daemon.repair({ project_id });
  await daemon.call('undo_repair', { run_id, wait: false });
  await waitFor('the undo is in the middle', async () => {
    const { repair } = await daemon.call('health');
    return repair?.phase === 'apply' && repair.done > 0 && repair.done < repair.total;
  });
  await daemon.stop('SIGKILL');
  const next = await sandbox.startDaemon({ config: { autostart: [] } });
  const isFinished = async (): Promise<boolean> => {
    const { runs } = await next.call('list_repairs', { project_id });
    return runs[0]?.state === 'interrupted';
  };
  await waitFor('the start is complete', isFinished, 60_000);
  assert.deepEqual(await next.paths(project_id), ['stays.py']);
  assert.equal(existsSync(join(root, 'folder0')), false);
  const { files: deleted } = await next.call('list_deleted_files', { project_id, limit: 1_000 });
  assert.deepEqual([deleted.length, new Set(deleted.map(({ cause }) => cause))], [600, new Set(['asked'])]);
});
