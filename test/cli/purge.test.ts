import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { atTerminal, type CommandResult, run } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { program, Sandbox } from '../harness/sandbox.js';
import { sha256 } from '../harness/trees.js';

const secret = 'token = "hunter2"\n';

interface Stage {
  daemon: Daemon;
  root: string;
  project_id: string;
  at: (...args: string[]) => Promise<CommandResult>;
  /** At a terminal, where somebody types. */
  typing: (typed: string, ...args: string[]) => Promise<CommandResult>;
}

/** A secret was edited away in one file, and went with another one. */
async function staged(t: TestContext): Promise<Stage> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': secret, 'lib/b.py': 'b = "hunter2"\n' });
  const config = { autostart: ['file_watcher'], revision_burst: 0 };
  const daemon = await sandbox.startDaemon({ config });
  const { project_id } = await daemon.addProject(root);
  writeFileSync(join(root, 'a.py'), 'token = ask()\n');
  rmSync(join(root, 'lib'), { recursive: true });
  await daemon.call('wait_until_fresh', { project_id });
  const words = (args: readonly string[]): string[] => ['purge', ...args, '--socket', daemon.socket];
  return {
    daemon,
    root,
    project_id,
    at: async (...args) => await run(sandbox, process.execPath, [program, ...words(args)], { cwd: root }),
    typing: async (typed, ...args) => await atTerminal(sandbox, words(args), { typed, cwd: root }),
  };
}

test('a dry run shows what would go; what is in the project is named, and is status 4', async (t) => {
  const { at } = await staged(t);
  const { status, stdout } = await at('a.py', 'lib/', '--dry-run');
  const when = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`;
  const lines = stdout.trimEnd().split('\n').slice(1);
  const expected = [
    /^ {2}states to be purged: 3$/u,
    new RegExp(String.raw`^ {4}a\.py +${when} {2}18 B {2}v\w+-\w+$`, 'u'),
    new RegExp(String.raw`^ {4}lib/b\.py +${when} {2}14 B {2}v\w+-\w+$`, 'u'),
    new RegExp(String.raw`^ {4}lib/b\.py +${when} {2}14 B$`, 'u'),
    /^ {2}copies to be removed from versions: 1$/u,
    /^ {4}\S+\/lib\/b\.py$/u,
    /^ {2}not gone: 1$/u,
    /^ {4}a\.py {2}it is still in the project: delete it, or take it out of the file, and purge again$/u,
    /^dry run, nothing was changed: 3 states, 1 copies in versions, 2 contents, 0 vectors, 0 backups; 1 kept\.$/u,
  ];
  assert.equal(lines.length, expected.length, stdout);
  for (const [place, line] of expected.entries()) assert.match(lines[place] ?? '', line);
  assert.equal(status, 4);
  const again = await at('lib', '--dry-run', '--json');
  const plan = JSON.parse(again.stdout) as { removed: { rows: number }; dry_run: boolean };
  assert.deepEqual([plan.removed.rows, plan.dry_run, again.status], [2, true, 0]);
});

test('without a terminal it needs --yes; at one it asks, and no is no', async (t) => {
  const { at, typing, daemon, project_id } = await staged(t);
  const refused = await at('lib');
  assert.deepEqual([refused.status, refused.stdout], [2, '']);
  assert.match(refused.stderr, /--dry-run.*--yes/u);
  const no = await typing('n\n', 'lib');
  assert.equal(no.status, 1);
  assert.match(no.stdout, /It cannot be taken back\..*\r?\nDo this\? \[y\/N\] .*nothing was changed/su);
  assert.deepEqual(await daemon.paths(project_id, true), ['lib/b.py']);
  const yes = await typing('y\n', 'lib');
  assert.equal(yes.status, 0, yes.stdout);
  assert.match(yes.stdout, /purged: 2 states, 1 copies in versions, 1 contents, 0 vectors, 0 backups\./u);
  assert.deepEqual(await daemon.paths(project_id, true), []);
  const nothing = await at('lib', '--yes');
  assert.equal(nothing.status, 0);
  assert.match(
    nothing.stdout,
    /^purged: nothing is known of it; the index and its backups are written anew/mu,
  );
});

test('versions and contents are named as history and call have them, and backups may be kept', async (t) => {
  const { at, daemon, project_id } = await staged(t);
  const { path } = await daemon.call('backup_database');
  const { versions } = await daemon.call('list_file_versions', { project_id, path: 'a.py' });
  const kept = await at('--sha256', sha256(secret), '--backups', 'keep', '--yes');
  assert.equal(kept.status, 4, kept.stderr);
  assert.ok(kept.stdout.includes(`${path}  it has what was purged, and is to be kept`), kept.stdout);
  const done = await at('--version-id', versions[1]?.version_id ?? '', '--backups', 'delete', '--yes');
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stdout, /backups that have it: 1\n {4}\S+ {2}to be deleted\n/u);
});

test('what is not said, or said twice, or unknown, is wrong usage or a failure in its own words', async (t) => {
  const { at } = await staged(t);
  for (const args of [
    [],
    ['a.py', '--sha256', 'a'.repeat(64)],
    ['--sha256', 'short'],
    ['a.py', '--backups', 'burn'],
  ]) {
    const { status, stderr } = await at(...args, '--yes');
    assert.deepEqual([status, stderr === ''], [2, false], args.join(' '));
  }
  const unknown = await at('nothing.py', '--yes');
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /Nothing is known of "nothing\.py"/u);
});

test('the root of the project is refused, wherever one stands; a folder in it is taken', async (t) => {
  const { root, at } = await staged(t);
  for (const path of ['.', root, 'lib/..']) {
    const { status, stdout, stderr } = await at(path, '--dry-run');
    assert.deepEqual([status, stdout], [2, ''], path);
    assert.match(stderr, /all that was ever in .*\n {2}Name the files and folders in it /u);
  }
  assert.match((await at('./lib', '--dry-run')).stdout, /lib\/b\.py/u);
});
