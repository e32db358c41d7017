/** A project that is brought back to a moment, as those see it who ask over the socket. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Input, Result } from '#src/contract/index.js';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { sha256, treeOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

/** Rules ignore it, and so nobody keeps it. */
const notOurs = ['.git', 'node_modules'];

type Rewound = Extract<Result<'rewind'>, { run_id: string }>;

async function rewind(daemon: Daemon, params: Input<'rewind'>): Promise<Rewound> {
  const result = await daemon.call('rewind', params);
  assert.ok('run_id' in result);
  return result;
}

async function followed(daemon: Daemon, project_id: string): Promise<void> {
  assert.equal((await daemon.call('wait_until_fresh', { project_id })).freshness, 'fresh');
}

test('what a shell did to a real project is taken back as if it had not been, and brought back again', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.projectCopy();
  const git = (...args: string[]): void =>
    void execFileSync('git', ['-C', root, ...args], { stdio: 'ignore' });
  const author = ['-c', 'user.name=t', '-c', 'user.email=t@example.com'];
  git('init', '--quiet');
  git('add', '--all');
  git(...author, 'commit', '--quiet', '--message', 'first');
  writeFileSync(join(root, 'zod/uncommitted.ts'), 'export const precious = 1;\n');
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id, label: 'before' });
  const before = treeOf(root, notOurs);
  const shell = (command: string): void => void execFileSync('sh', ['-c', command], { cwd: root });
  shell("find zod -name '*.ts' -exec sed -i 's/const/let/g' {} +");
  shell('rm -rf typescript/lib zod/v4/core && chmod -R go-w . && chmod 600 zod/package.json');
  shell(
    'mv zod/v3 zod/old && mkdir -p node_modules/x && echo 1 > node_modules/x/index.js && echo 2 > new.txt',
  );
  git('checkout', '--quiet', '-b', 'other');
  git('checkout', '--quiet', '--', 'typescript/package.json');
  await followed(daemon, project_id);
  const after = treeOf(root, notOurs);
  const ofGit = treeOf(join(root, '.git'));
  const plan = await rewind(daemon, { project_id, to: checkpoint_id, dry_run: true });
  assert.deepEqual(treeOf(root, notOurs), after, 'a dry run changes nothing');
  const done = await rewind(daemon, { plan_id: plan.run_id });
  assert.deepEqual([done.conflicts, done.errors, done.unrestorable, done.unknown], [[], [], [], []]);
  assert.deepEqual(done.totals, plan.totals);
  assert.ok(done.totals['restored'] !== undefined && done.totals['restored'] > 100, done.message);
  assert.deepEqual(treeOf(root, notOurs), before);
  assert.deepEqual(treeOf(join(root, '.git')), ofGit, "git's own is not touched");
  await followed(daemon, project_id);
  const again = await rewind(daemon, { project_id, to: 'before' });
  assert.equal(again.message, 'Nothing to do: it is as it was then.');
  assert.equal(again.workers_stopped.stopped_count, 0);
  const known = await daemon.call('get_repair', { run_id: again.run_id });
  assert.deepEqual([known.actions, known.runs[0]?.rewind_to], [[], again.to]);
  const nothing = await daemon.call('undo_repair', { run_id: again.run_id });
  assert.ok('undone' in nothing);
  assert.deepEqual([nothing.undone, nothing.kept], [[], []]);
  const undone = await daemon.call('undo_repair', { run_id: done.run_id });
  assert.ok('undone' in undone);
  assert.deepEqual([undone.totals.kept, undone.totals.failed], [0, 0]);
  assert.deepEqual(treeOf(root, notOurs), after);
  const redone = await daemon.call('undo_repair', { run_id: undone.run_id });
  assert.ok('undone' in redone);
  assert.deepEqual(treeOf(root, notOurs), before);
});

test('an empty folder in the place of a file that was deleted is followed as it comes, goes and is filled', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ data: 'bytes\n', 'lib/x.py': 'x = 1\n', '.gitignore': 'ignored\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  const data = join(root, 'data');
  const checkpoint = async (): Promise<{ to: string; tree: object }> => {
    const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
    return { to: checkpoint_id, tree: treeOf(root) };
  };
  const deleted = async (): Promise<string[]> =>
    (await daemon.call('list_deleted_files', { project_id })).files.map(({ path }) => path);
  const file = await checkpoint();
  rmSync(data);
  await followed(daemon, project_id);
  mkdirSync(data);
  const empty = await checkpoint();
  assert.deepEqual(await deleted(), ['data']);
  rmSync(data, { recursive: true });
  const gone = await checkpoint();
  mkdirSync(data);
  await followed(daemon, project_id);
  writeFileSync(join(data, 'ignored'), '');
  const ignored = await checkpoint();
  rmSync(join(data, 'ignored'));
  await followed(daemon, project_id);
  writeFileSync(join(data, 'inner'), 'inner\n');
  const filled = await checkpoint();
  for (const { to, tree } of [empty, gone, file, empty, filled, gone, empty]) {
    assert.deepEqual((await rewind(daemon, { project_id, to })).errors, []);
    assert.deepEqual(treeOf(root), tree);
    await followed(daemon, project_id);
  }
  // What rules ignore nobody keeps: the folder is there without it.
  await rewind(daemon, { project_id, to: ignored.to });
  assert.deepEqual(await deleted(), ['data', 'data/inner']);
});

test('a folder in the place of a file, links, modes and empty folders are what they were', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'lib/x.py': 'x = 1\n', tool: 'echo\n' });
  mkdirSync(join(root, 'empty'));
  symlinkSync('lib', join(root, 'link'));
  chmodSync(join(root, 'tool'), 0o750);
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
  const before = treeOf(root);
  rmSync(join(root, 'a.py'));
  mkdirSync(join(root, 'a.py'));
  writeFileSync(join(root, 'a.py/inside'), '1\n');
  rmSync(join(root, 'lib'), { recursive: true });
  writeFileSync(join(root, 'lib'), 'a file now\n');
  rmSync(join(root, 'link'));
  symlinkSync('elsewhere', join(root, 'link'));
  chmodSync(join(root, 'tool'), 0o644);
  writeFileSync(join(root, 'empty/full'), '1\n');
  await followed(daemon, project_id);
  const after = treeOf(root);
  const done = await rewind(daemon, { project_id, to: checkpoint_id });
  assert.deepEqual([done.conflicts, done.errors], [[], []]);
  assert.deepEqual(treeOf(root), before);
  await followed(daemon, project_id);
  await daemon.call('undo_repair', { run_id: done.run_id });
  assert.deepEqual(treeOf(root), after);
});

test('a plan that is not what there is to do any more is refused, and nothing is changed', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
  writeFileSync(join(root, 'a.py'), 'a = 2\n');
  const plan = await rewind(daemon, { project_id, to: checkpoint_id, dry_run: true });
  writeFileSync(join(root, 'b.py'), 'b = 2\n');
  const refused = await daemon.refusal('rewind', { plan_id: plan.run_id });
  assert.equal(refused.code, 'PLAN_STALE');
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'a = 2\n');
  assert.equal((await daemon.refusal('rewind', { plan_id: 'none' })).code, 'NOT_FOUND');
  const both = await daemon.failure('rewind', { plan_id: plan.run_id, to: checkpoint_id, project_id });
  assert.match(both.message, /not both/u);
  const early = await daemon.refusal('rewind', { project_id, to: '10h' });
  assert.equal(early.code, 'NOT_FOUND');
  assert.match(early.message, /is known since/u);
  assert.equal((await daemon.refusal('rewind', { project_id, to: 'nonsense' })).code, 'INVALID_PARAMS');
  // Nothing to do would be said of what was mistyped.
  for (const path of ['c.py', '../a.py', '/etc/passwd', '.git', 'a'])
    assert.equal(
      (await daemon.refusal('rewind', { project_id, to: checkpoint_id, paths: ['a.py', path] })).code,
      /^\.\.|^\//u.test(path) ? 'PATH_OUTSIDE_ROOT' : 'FILE_NOT_FOUND',
      path,
    );
  // A label does not stand for another time than it says.
  await daemon.call('create_checkpoint', { project_id, label: '1s' });
  const { changes } = await daemon.call('list_changes', { project_id, since: '100h' });
  await daemon.call('create_checkpoint', { project_id, label: '100h' });
  assert.deepEqual((await daemon.call('list_changes', { project_id, since: '100h' })).changes, changes);
});

test('somebody who saves all the time meanwhile loses nothing', async (t) => {
  const sandbox = await Sandbox.create(t);
  const names = Array.from({ length: 40 }, (_, number) => `f${number}.py`);
  const root = await sandbox.project(Object.fromEntries(names.map((name) => [name, `${name} = 0\n`])));
  const daemon = await sandbox.startDaemon({ config: { revision_burst: 0, revision_interval: 0 } });
  const { project_id } = await daemon.addProject(root);
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
  // Half of them in place, half of them as editors do, each with a content of its own each time.
  const writer = sandbox.spawn(
    process.execPath,
    [
      '--eval',
      `const { appendFileSync, renameSync, writeFileSync } = require('node:fs');
     let number = 0;
     process.stdout.write('writing');
     process.on('SIGTERM', () => process.exit(0));
     setInterval(() => {
       for (let at = number % 8; at < 40; at += 8) {
         const name = 'f' + at + '.py';
         number += 1;
         if (at % 2 === 0) { writeFileSync('new.tmp', name + ' = ' + number + '\\n'); renameSync('new.tmp', name); }
         else writeFileSync(name, name + ' = ' + number + '\\n');
         appendFileSync('${sandbox.path('written')}', JSON.stringify([name, name + ' = ' + number + '\\n']) + '\\n');
       }
     }, 15);`,
    ],
    root,
  );
  await waitFor('it writes', () => writer.stdout?.readableLength !== 0);
  let rewound = 0;
  for (let round = 0; round < 4; round += 1) {
    const result = await daemon.client
      .call('rewind', { project_id, to: checkpoint_id }, { timeoutMs: 60_000 })
      .catch((error: unknown) => {
        // A tree that never rests is not known: that is refused, and nothing is touched.
        assert.match(String(error), /changes all the time/u);
        return null;
      });
    if (result !== null && 'totals' in result) rewound += 1;
  }
  writer.kill('SIGTERM');
  await waitFor('it ends', () => writer.exitCode !== null || writer.signalCode !== null);
  t.diagnostic(`${rewound} rewinds beside the writer`);
  await followed(daemon, project_id);
  // What was written last to each file is there, or can be had again.
  const last = new Map(
    readFileSync(sandbox.path('written'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as [string, string]),
  );
  for (const [path, content] of last) {
    const { versions } = await daemon.call('list_file_versions', { project_id, path, limit: 1000 });
    const isKept = versions.some((version) => version.sha256 === sha256(content));
    assert.ok(isKept || readFileSync(join(root, path), 'utf8') === content, `${path}: ${content}`);
  }
});

test('without a watcher what is there is looked at first, so that it can be come back to', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
  writeFileSync(join(root, 'a.py'), 'a = 2\n');
  renameSync(join(root, 'b.py'), join(root, 'c.py'));
  const done = await rewind(daemon, { project_id, to: checkpoint_id });
  assert.deepEqual(
    [done.reverted, done.restored, done.removed].map((list) => list.map(({ path }) => path)),
    [['a.py'], ['b.py'], ['c.py']],
  );
  await daemon.call('undo_repair', { run_id: done.run_id });
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'a = 2\n');
  assert.equal(readFileSync(join(root, 'c.py'), 'utf8'), 'b = 1\n');
});

test('what a rewind takes out of the project is in versions, and among what was deleted', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  const { checkpoint_id } = await daemon.call('create_checkpoint', { project_id });
  writeFileSync(join(root, 'late.py'), 'late = 1\n');
  const done = await rewind(daemon, { project_id, to: checkpoint_id });
  assert.deepEqual(done.removed, [{ path: 'late.py' }]);
  const { files } = await daemon.call('list_deleted_files', { project_id });
  const [file] = files;
  assert.equal(readFileSync(file?.version_path ?? '', 'utf8'), 'late = 1\n');
  const { changes } = await daemon.call('list_changes', { project_id, path_prefix: 'late.py' });
  assert.deepEqual(
    changes.map(({ kind, cause }) => `${kind} ${cause}`),
    ['deleted rewind', 'added edit'],
  );
  await daemon.call('restore_deleted_files', { project_id, paths: ['late.py'] });
  assert.equal(readFileSync(join(root, 'late.py'), 'utf8'), 'late = 1\n');
});

test('a daemon that is killed in the middle of it finishes it at its next start', async (t) => {
  const sandbox = await Sandbox.create(t);
  const files = Object.fromEntries(
    Array.from({ length: 400 }, (_, at) => [`d${at % 9}/f${at}.py`, `f = ${at}\n`]),
  );
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  await daemon.call('create_checkpoint', { project_id, label: 'start' });
  const before = treeOf(root);
  for (const path of Object.keys(files)) writeFileSync(join(root, path), 'changed\n');
  rmSync(join(root, 'd3'), { recursive: true });
  await followed(daemon, project_id);
  const running = daemon.client.call('rewind', { project_id, to: 'start' }).catch((error: unknown) => error);
  await waitFor('some of it is done', () => {
    const [path = ''] = Object.keys(files);
    return readFileSync(join(root, path), 'utf8') !== 'changed\n';
  });
  await daemon.stop('SIGKILL');
  await running;
  const next = await sandbox.startDaemon({ stateDir: daemon.stateDir });
  const { status, repair } = await next.call('health');
  assert.equal(status, 'repairing', 'all is not well before it is finished');
  await waitFor(
    'it is finished, and the watcher runs',
    async () => (await next.call('wait_until_fresh', { project_id })).freshness === 'fresh',
    30_000,
  );
  assert.deepEqual(treeOf(root), before);
  const { runs } = await next.call('list_repairs', { project_id });
  assert.deepEqual(
    runs.map(({ run_id, state }) => [run_id, state]),
    [[repair?.run_id, 'interrupted']],
    'what is finished is named from the first moment on',
  );
  await waitFor('all is well', async () => (await next.call('health')).status === 'ok');
});
