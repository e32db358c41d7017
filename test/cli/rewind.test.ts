import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { atTerminal, type CommandResult, run } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { manyFiles, program, Sandbox } from '../harness/sandbox.js';
import { filesOf, treeHash } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

interface Stage {
  sandbox: Sandbox;
  daemon: Daemon;
  root: string;
  project_id: string;
  /** The project as it was at the checkpoint "start". */
  start: string;
  at: (...args: string[]) => Promise<CommandResult>;
  /** At a terminal, where somebody types. */
  typing: (typed: string, ...args: string[]) => Promise<CommandResult>;
}

const files = { 'a.py': 'a = 1\n', 'lib/b.py': 'b = 1\n', 'tool.sh': 'echo\n', '.gitignore': '*.log\n' };

/** A project with a checkpoint, in which something of each kind happened since. */
async function staged(t: TestContext): Promise<Stage> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'], revision_burst: 0 } });
  const { project_id } = await daemon.addProject(root);
  const words = (args: readonly string[]): string[] => [...args, '--socket', daemon.socket];
  const stage: Stage = {
    sandbox,
    daemon,
    root,
    project_id,
    start: treeHash(root),
    at: async (...args) => await run(sandbox, process.execPath, [program, ...words(args)], { cwd: root }),
    typing: async (typed, ...args) => await atTerminal(sandbox, words(args), { typed, cwd: root }),
  };
  assert.match((await stage.at('checkpoint', 'start')).stdout, /^c[\da-f]{8}\n$/u);
  writeFileSync(join(root, 'a.py'), 'a = 2\n');
  rmSync(join(root, 'lib'), { recursive: true });
  chmodSync(join(root, 'tool.sh'), 0o755);
  writeFileSync(join(root, 'new.py'), 'new = 1\n');
  writeFileSync(join(root, 'ignored.log'), 'a line\n');
  await daemon.call('wait_until_fresh', { project_id });
  return stage;
}

const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1) ?? '';

test('where nobody reads what it prints it is done all the same, with the status that says so', async (t) => {
  const { sandbox, daemon, root, start } = await staged(t);
  const status = sandbox.path('status');
  const command = `("$0" "$1" rewind start --yes --socket "$2"; echo $? > "$3") | true`;
  const parameters = [process.execPath, program, daemon.socket, status];
  await run(sandbox, 'bash', ['-c', command, ...parameters], { cwd: root });
  assert.equal(await waitFor('it ends', () => existsSync(status) && readFileSync(status, 'utf8')), '0\n');
  rmSync(join(root, 'ignored.log'));
  assert.equal(treeHash(root), start);
});

test('checkpoints are made, listed, and forgotten', async (t) => {
  const { at } = await staged(t);
  const { stdout: id } = await at('checkpoint');
  const { stdout: list } = await at('checkpoint', '--list');
  const [newest = '', oldest = ''] = list.split('\n');
  assert.equal(newest.split('  ')[0], id.trim());
  assert.match(oldest, /^c[\da-f]{8} {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}start$/u);
  assert.equal((await at('checkpoint', '--remove', id.trim())).stdout, `removed: ${id}`);
  assert.equal((await at('checkpoint', '--remove', id.trim())).status, 1);
  assert.deepEqual((await at('checkpoint', '--list')).stdout, `${oldest}\n`);
  const asJson = JSON.parse((await at('checkpoint', 'two', '--json')).stdout) as { label: string };
  assert.equal(asJson.label, 'two');
  for (const args of [['x', '--list'], ['--list', '--remove', 'x'], ['']]) {
    const { status, stderr } = await at('checkpoint', ...args);
    assert.deepEqual([status, stderr === ''], [2, false], args.join(' '));
  }
});

test('a dry run says what would be done, and nothing more', async (t) => {
  const { at, root } = await staged(t);
  const now = treeHash(root);
  const { status, stdout } = await at('rewind', 'start', '--dry-run');
  assert.equal(status, 0);
  const [head = '', ...lines] = stdout.trimEnd().split('\n');
  assert.match(head.replace(root, 'ROOT'), /^ROOT, as it was at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/u);
  assert.deepEqual(lines, [
    '  to be brought back: 1',
    '    lib/b.py',
    '  to be given their content and mode of then: 2',
    '    a.py',
    '    tool.sh',
    '  to be moved into versions, since they were not there: 1',
    '    new.py',
    'dry run, nothing was changed: 1 to be restored, 2 to be reverted, 1 to be removed.',
  ]);
  assert.equal(treeHash(root), now);
  const plan = JSON.parse((await at('rewind', 'start', '--dry-run', '--json')).stdout) as object;
  assert.ok('dry_run' in plan && plan.dry_run === true);
});

test('without a terminal it needs --yes; then it is done, and undo takes it back, once', async (t) => {
  const { at, root, start } = await staged(t);
  const log = join(root, 'ignored.log');
  const later = treeHash(root);
  const refused = await at('rewind', 'start');
  assert.deepEqual([refused.status, refused.stdout], [2, '']);
  assert.match(refused.stderr, /--dry-run.*--yes/u);
  const done = await at('rewind', 'start', '--yes');
  assert.deepEqual([done.status, done.stderr], [0, '']);
  assert.match(
    done.stdout,
    /\n1 restored, 2 reverted, 1 removed\.\n"codekeep undo [\da-f-]{36}" takes it back\n$/u,
  );
  assert.equal(readFileSync(log, 'utf8'), 'a line\n', 'what is ignored is nobody’s to touch');
  rmSync(log);
  assert.equal(treeHash(root), start);
  writeFileSync(log, 'a line\n');
  const nothing = await at('rewind', 'start', '--yes');
  assert.deepEqual([nothing.status, lastLine(nothing.stdout)], [0, 'Nothing to do: it is as it was then.']);

  const said = await at('undo', '--dry-run');
  assert.match(
    said.stdout,
    /^the rewind to \d{4}-\d\d-\d\d .*\n[^]*dry run, nothing was changed: 4 to be undone\.\n$/u,
  );
  const undone = await at('undo');
  assert.deepEqual([undone.status, undone.stderr], [0, '']);
  assert.match(
    undone.stdout,
    /^the rewind to [^]*\n4 undone\.\n"codekeep undo [\da-f-]{36}" brings it all back\n$/u,
  );
  assert.equal(treeHash(root), later);
  const none = await at('undo');
  assert.deepEqual([none.status, /no repair and no rewind/u.test(none.stderr)], [1, true]);
});

test('only what is asked for, and to a time', async (t) => {
  const { at, root, project_id, daemon } = await staged(t);
  const { checkpoints } = await daemon.call('list_checkpoints', { project_id });
  const { status, stdout } = await at('rewind', checkpoints[0]?.at ?? '', 'lib', 'a.py', '--yes');
  assert.equal(status, 0);
  assert.match(stdout, /\n1 restored, 1 reverted\.\n/u);
  assert.deepEqual(
    [existsSync(join(root, 'new.py')), readFileSync(join(root, 'a.py'), 'utf8')],
    [true, 'a = 1\n'],
  );
  const whole = await at('rewind', 'start', '.', '--dry-run');
  assert.match(lastLine(whole.stdout), /: 1 to be reverted, 1 to be removed\.$/u);
  for (const [wrong, code] of [
    ['2999-01-01', 2],
    ['no such label', 2],
    ['1w', 1],
  ] as const)
    assert.equal((await at('rewind', wrong, '--yes')).status, code, wrong);
});

test('at a terminal it asks, and takes nothing but a yes for one', async (t) => {
  const { typing, root, start } = await staged(t);
  const now = treeHash(root);
  for (const answer of ['n\n', '\n', 'yesterday\n', '']) {
    const { status, stdout } = await typing(answer, 'rewind', 'start');
    assert.equal(status, 1, stdout);
    assert.match(stdout, /1 to be removed\.\r\n[^]*Do this\? \[y\/N\] [^]*nothing was changed\r\n$/u);
  }
  assert.equal(treeHash(root), now);
  const { status, stdout } = await typing('y\n', 'rewind', 'start');
  assert.equal(status, 0, stdout);
  rmSync(join(root, 'ignored.log'));
  assert.equal(treeHash(root), start);
  const nothing = await typing('', 'rewind', 'start');
  assert.equal(nothing.status, 0);
  assert.doesNotMatch(nothing.stdout, /Do this/u);
});

test('what changed between plan and answer is not touched by a plan that knows nothing of it', async (t) => {
  const { sandbox, daemon, root } = await staged(t);
  const args = [program, 'rewind', 'start', '--socket', daemon.socket];
  const words = ['--quiet', '--return', '--command', [process.execPath, ...args].join(' '), '/dev/null'];
  const child = sandbox.spawn('script', words, root);
  let shown = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (shown += text));
  await waitFor('the question', () => shown.includes('Do this?'));
  writeFileSync(join(root, 'a.py'), 'a = 3\n');
  rmSync(join(root, 'new.py'));
  child.stdin?.write('y\n');
  await waitFor('its end', () => child.exitCode !== null);
  assert.equal(child.exitCode, 1, shown);
  assert.match(
    shown,
    /The plan is not what there is to do any more[^]*Nothing was changed\. The same command/u,
  );
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'a = 3\n');
});

test('what is left for a person: status 4, and why', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'], revision_burst: 0 } });
  daemon.mayLogErrors = true;
  const { project_id } = await daemon.addProject(root);
  const at = async (...args: string[]): Promise<CommandResult> =>
    await run(sandbox, process.execPath, [program, ...args, '--socket', daemon.socket], { cwd: root });
  assert.equal((await at('checkpoint', 'start')).status, 0);
  for (const name of ['a.py', 'b.py']) writeFileSync(join(root, name), 'changed = 1\n');
  await daemon.call('wait_until_fresh', { project_id });
  const { versions } = await daemon.call('list_file_versions', { project_id, path: 'a.py' });
  daemon.sql((db) => db.prepare('DELETE FROM contents WHERE sha256 = ?').run(versions[1]?.sha256));
  const planned = await at('rewind', 'start', '--dry-run');
  assert.equal(planned.status, 4, planned.stdout);
  const { status, stdout } = await at('rewind', 'start', '--yes');
  assert.equal(status, 4, stdout);
  assert.match(stdout, /not restorable: 1\n {4}a\.py {2}\S/u);
  assert.equal(readFileSync(join(root, 'b.py'), 'utf8'), 'b = 1\n');
  assert.equal(readFileSync(join(root, 'a.py'), 'utf8'), 'changed = 1\n');
});

test('Ctrl-C says how to take back what was done until then', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(manyFiles(600));
  const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'], revision_burst: 0 } });
  const { project_id } = await daemon.addProject(root);
  await daemon.call('create_checkpoint', { project_id, label: 'start' });
  const before = treeHash(root);
  for (const path of filesOf(root).keys()) writeFileSync(join(root, path), 'changed = 1\n');
  await daemon.call('wait_until_fresh', { project_id });
  const args = [program, 'rewind', 'start', '--yes', '--socket', daemon.socket];
  const child = sandbox.spawn(process.execPath, args, root);
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = once(child, 'close');
  await daemon.untilItApplies(60_000);
  const refused = await daemon.refusal('delete_file', { project_id, path: 'folder0/file0.py' });
  assert.match(refused.message, /^A rewind is running/u);
  child.kill('SIGINT');
  const [code] = (await ended) as [number | null];
  assert.equal(code, 130, stderr);
  const undo = /"codekeep undo ([\da-f-]{36})" takes back what was done so far/u.exec(stderr)?.[1];
  assert.match(stderr, /"codekeep rewind" was cancelled\./u);
  const undone = await daemon.call('undo_repair', { run_id: undo ?? assert.fail(stderr) });
  assert.ok('undone' in undone && undone.totals.undone > 0);
  assert.notEqual(treeHash(root), before);
});

test('what is wrong with what was typed is said first, also where nobody can be asked', async (t) => {
  const { at, root } = await staged(t);
  const now = treeHash(root);
  for (const [words, expected] of [
    [['no-such'], /<when>: is neither a time, a duration nor a checkpoint/u],
    [['start', '../elsewhere'], /\.\.\/elsewhere is not in /u],
  ] as const) {
    const { status, stderr } = await at('rewind', ...words);
    assert.equal(status, 2, stderr);
    assert.match(stderr, expected);
  }
  for (const command of ['history', 'diff', 'show', 'restore']) {
    const { status, stderr } = await at(command, '../');
    assert.equal(status, 2, stderr);
    assert.match(stderr, /\.\.\/ is not in .*\n {2}Give a path in the project/u);
  }
  assert.equal(treeHash(root), now);
});
