/** A secret that somebody purges is nowhere any more, and everything that is asked about it says so. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import type { Result } from '#src/contract/index.js';
import { filesWith } from '../harness/bytes.js';
import { type Daemon, type Project, versionPath } from '../harness/daemon.js';
import { childrenOf } from '../harness/processes.js';
import { Sandbox } from '../harness/sandbox.js';
import { sha256 } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

type Purged = Exclude<Result<'purge'>, { job_id: string }>;

const secret = 'token = "swordfish-hunter2-correct-horse-battery-staple"\n';

interface Stage {
  daemon: Daemon;
  project: Project;
  root: string;
  /** Label of the checkpoint at which the secret was everywhere. */
  before: string;
  /** What says that a file has it. */
  needles: (Buffer | string)[];
  backup: string;
  purge: (params: object) => Promise<Purged>;
}

/** Two files had a secret: one was edited since, one deleted; a backup was made, a model was trained, and a rewind was done. */
async function staged(t: TestContext): Promise<Stage> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({
    'edited.py': secret,
    'lib/gone.py': secret,
    'other.py': 'other = 1\n',
  });
  const daemon = await sandbox.startDaemon({ config: { revision_burst: 0, check_interval: 0 } });
  const project = await daemon.addProject(root);
  const { project_id } = project;
  const { checkpoint_id: before } = await daemon.call('create_checkpoint', { project_id, label: 'before' });
  await waitFor('it has vectors', async () => {
    const { chunks } = await daemon.call('get_project_status', { project_id });
    return chunks.vectorized === chunks.total;
  });
  const backup = (await daemon.call('backup_database')).path;
  const stored = daemon.sql((db) =>
    db.prepare('SELECT tree FROM contents WHERE sha256 = ?').pluck().get(sha256(secret)),
  );
  assert.ok(Buffer.isBuffer(stored));
  writeFileSync(join(root, 'edited.py'), 'token = ask()\n');
  rmSync(join(root, 'lib'), { recursive: true });
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
  return {
    daemon,
    project,
    root,
    before,
    needles: [secret.trim(), 'swordfish', stored, deflateRawSync(secret), sha256(secret)],
    backup,
    async purge(params) {
      const result = await daemon.call('purge', { project_id, ...params });
      assert.ok('removed' in result);
      return result;
    },
  };
}

test('a secret that was edited away, deleted and backed up leaves no trace in any file', async (t) => {
  const { daemon, project, root, before, needles, backup, purge } = await staged(t);
  const { project_id } = project;
  const copy = versionPath(project, 'lib/gone.py');
  assert.ok(existsSync(copy));
  const has = filesWith(daemon.stateDir, needles);
  const inState = (path: string): string => path.slice(daemon.stateDir.length + 1);
  for (const path of [inState(backup), inState(copy)])
    assert.ok(has.includes(path), `${path}: ${has.join(' ')}`);
  assert.ok(
    has.some((path) => path.startsWith('index.db')) && has.some((path) => path.startsWith('derived/')),
  );

  const rows = daemon.dump();
  const paths = ['edited.py', 'lib'];
  const plan = await purge({ paths, dry_run: true });
  assert.deepEqual(daemon.dump(), rows, 'a dry run changes nothing');
  assert.deepEqual([existsSync(copy), plan.workers_stopped.stopped_count], [true, 0]);
  const done = await daemon.call('purge', { plan_id: plan.plan_id ?? '' });
  assert.ok('removed' in done);
  assert.deepEqual([done.removed, done.kept], [plan.removed, plan.kept]);
  assert.deepEqual(done.removed, { rows: 3, versions: 1, contents: 1, vectors: 1, backups: 1 });
  assert.deepEqual(done.backups, [{ path: backup, held: true, done: 'rewritten' }]);
  assert.deepEqual(
    done.kept.map(({ path }) => path),
    ['edited.py'],
  );
  assert.equal(done.workers_resumed.length, 2);
  assert.deepEqual(filesWith(daemon.stateDir, needles), []);
  assert.equal(existsSync(copy), false);

  // What asks about it is told the truth.
  await waitFor('what search knows is made again', async () => {
    const { freshness } = await daemon.call('get_project_status', { project_id });
    return freshness === 'fresh';
  });
  assert.deepEqual((await daemon.call('search', { query: 'swordfish', project_id })).results, []);
  assert.equal((await daemon.call('search', { query: 'token', project_id })).results.length, 1);
  const { versions } = await daemon.call('list_file_versions', { project_id, path: 'edited.py' });
  assert.deepEqual(
    versions.map(({ size }) => size),
    [14],
  );
  const gone = await daemon.refusal('list_file_versions', { project_id, path: 'lib/gone.py' });
  assert.equal(gone.code, 'FILE_NOT_FOUND');
  const then = await daemon.refusal('get_file', { project_id, path: 'edited.py', at: before });
  assert.match(then.message, /^What edited\.py was at \S+ was removed for good\.$/u);
  const { files } = await daemon.call('diff', { project_id, from: before });
  assert.deepEqual(
    files.map(({ path, patch, reason }) => [path, patch, reason]),
    ['edited.py', 'lib/gone.py'].map((path) => [path, null, 'it was removed for good']),
  );
  assert.deepEqual(await daemon.paths(project_id, true), []);
  const rewound = await daemon.call('rewind', { project_id, to: before });
  assert.ok('unrestorable' in rewound);
  assert.deepEqual(
    rewound.unrestorable.map(({ path, reason }) => [path, reason]),
    ['edited.py', 'lib/gone.py'].map((path) => [path, 'what it was then was removed for good']),
  );
  assert.deepEqual([rewound.removed, rewound.reverted], [[], []]);
  const repaired = await daemon.repair({ project_id });
  assert.deepEqual([repaired.unrestorable, repaired.errors, repaired.files_restored_from_cst], [[], [], []]);
  assert.equal(readFileSync(join(root, 'edited.py'), 'utf8'), 'token = ask()\n');
  const { ok, problems } = await daemon.call('check_database', { deep: true });
  assert.ok(ok, problems.join());

  // The backup is one, and does not bring it back.
  await daemon.call('restore_backup', { path: backup });
  assert.deepEqual(await daemon.paths(project_id), ['edited.py', 'other.py']);
  assert.deepEqual(await daemon.paths(project_id, true), []);
  assert.deepEqual(filesWith(daemon.stateDir, needles), []);
  assert.equal((await purge({ paths })).removed.rows, 0);
});

test('what is in the project stays whatever is asked, and a rewind that needs what was purged is not undone in silence', async (t) => {
  const { daemon, project, root, before, purge } = await staged(t);
  const { project_id } = project;
  const rewound = await daemon.call('rewind', { project_id, to: before });
  assert.ok('run_id' in rewound);
  assert.equal(readFileSync(join(root, 'lib/gone.py'), 'utf8'), secret);
  const { removed, kept } = await purge({ sha256: sha256(secret) });
  assert.deepEqual([removed.contents, kept.map(({ path }) => path)], [0, ['edited.py', 'lib/gone.py']]);
  assert.ok(kept.every(({ reason }) => reason.startsWith('it is still in the project: delete it')));
  assert.equal((await daemon.call('get_file', { project_id, path: 'lib/gone.py' })).content, secret);
  // What the undo would bring back is purged.
  const asked = await purge({ sha256: sha256('token = ask()\n') });
  assert.deepEqual([asked.removed.contents, asked.kept], [1, []]);
  const undone = await daemon.call('undo_repair', { run_id: rewound.run_id });
  assert.ok('kept' in undone);
  assert.deepEqual(
    undone.kept.map(({ path, reason }) => [path, reason]),
    [['edited.py', 'what it was then was removed for good']],
  );
  assert.equal(readFileSync(join(root, 'edited.py'), 'utf8'), secret);
});

test('a secret that rules ignore by now goes, and the file stays where it is', async (t) => {
  const { daemon, project, root, purge } = await staged(t);
  const { project_id } = project;
  const key = 'KEY=9f8e7d6c5b4a39281706f5e4d3c2b1a0\n';
  writeFileSync(join(root, '.env'), key);
  await daemon.call('wait_until_fresh', { project_id });
  writeFileSync(join(root, '.gitignore'), '.env\n');
  await daemon.call('wait_until_fresh', { project_id });
  assert.ok(filesWith(daemon.stateDir, [sha256(key)]).length > 0);
  const { removed, kept } = await purge({ paths: ['.env'] });
  assert.equal(removed.contents, 1);
  assert.match(
    kept.map(({ path, reason }) => `${path}: ${reason}`).join(),
    /^\.env: rules ignore it, and it stands/u,
  );
  assert.deepEqual(filesWith(daemon.stateDir, [sha256(key), key.trim()]), []);
  assert.equal(readFileSync(join(root, '.env'), 'utf8'), key);
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(filesWith(daemon.stateDir, [sha256(key), key.trim()]), []);
});

test('one whose process is killed is done by the next one, and the workers run again', async (t) => {
  const { daemon, needles, purge } = await staged(t);
  daemon.mayLogErrors = true;
  const asked = daemon.failure('purge', {
    root_dir: (await daemon.call('list_projects')).projects[0]?.root_dir,
    paths: ['edited.py', 'lib'],
  });
  await waitFor('it is at work', async () => {
    const { repair } = await daemon.call('health');
    return repair !== null && repair.phase !== 'stop';
  });
  const task = childrenOf(daemon.pid).find(({ commandLine }) => commandLine.includes('repair'));
  process.kill(task?.pid ?? assert.fail('no process'), 'SIGKILL');
  assert.match((await asked).message, /ended|SIGKILL/u);
  await waitFor('the workers run', async () => {
    const { workers } = await daemon.call('health');
    return workers['file_watcher'] === 'ready' && workers['index_service'] === 'ready';
  });
  await purge({ paths: ['edited.py', 'lib'] });
  assert.deepEqual(filesWith(daemon.stateDir, needles), []);
});

test('params that do not say what, or say it twice, are refused before anything is done', async (t) => {
  const { daemon, project } = await staged(t);
  const { project_id } = project;
  for (const params of [{}, { paths: ['a'], sha256: 'a'.repeat(64) }, { paths: [] }, { sha256: 'short' }])
    assert.equal((await daemon.failure('purge', { project_id, ...params })).message.length > 0, true);
  assert.equal((await daemon.refusal('purge', { project_id, version_ids: ['v1-1'] })).code, 'NOT_FOUND');
  assert.equal((await daemon.refusal('purge', { project_id, paths: ['nothing'] })).code, 'FILE_NOT_FOUND');
  assert.equal((await daemon.refusal('purge', { plan_id: 'none' })).code, 'NOT_FOUND');
});

test('a deleted file that was too large for the index goes from versions', async (t) => {
  const sandbox = await Sandbox.create(t);
  const large = `dump ${'hunter2 '.repeat(1_000)}`;
  const root = await sandbox.project({ 'dump.sql': large, 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { max_file_bytes: 1_000, autostart: [] } });
  const project = await daemon.addProject(root);
  const { project_id } = project;
  await daemon.call('delete_file', { project_id, path: 'dump.sql' });
  assert.ok(existsSync(versionPath(project, 'dump.sql')));
  const purged = await daemon.call('purge', { project_id, paths: ['dump.sql'] });
  assert.ok('removed' in purged);
  assert.deepEqual([purged.removed.rows, purged.removed.versions, purged.kept], [1, 1, []]);
  assert.deepEqual(filesWith(daemon.stateDir, ['hunter2', sha256(large)]), []);
  assert.deepEqual(await daemon.paths(project_id, true), []);
  // Without a watcher, too, what search knows is there again once it is asked for.
  await daemon.call('update_indexes', { project_id });
  assert.equal((await daemon.call('search', { query: 'a', project_id })).freshness, 'unknown');
  assert.deepEqual((await daemon.repair({ project_id })).unrestorable, []);
});
