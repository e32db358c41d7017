import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { leftByGit } from '#src/reconcile/git-left.js';
import { type GitState, readGitState } from '#src/reconcile/git-state.js';
import { withNested } from '#src/reconcile/project-git.js';
import { temporaryFolder } from '../harness/folder.js';
import { treeHash } from '../harness/trees.js';
import { git, loggedGit, repositoryIn, withVariables } from './repository.js';

const never = new AbortController().signal;
const read = async (root: string): Promise<GitState> => await readGitState(root, never);

function write(root: string, ...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `content of ${path}`);
  }
}

/** A repository with one commit of these files. */
function committed(t: TestContext, ...paths: string[]): string {
  const root = repositoryIn(temporaryFolder(t));
  write(root, ...paths);
  git(root, 'add', '--all');
  git(root, 'commit', '-qm', 'first');
  return root;
}

test('what git tracks is known, with the folders above it', async (t) => {
  const root = committed(t, 'a', 'd/e/b', 'd/ä\n', 'other');
  symlinkSync('a', join(root, 'link'));
  git(root, 'add', 'link');
  write(root, 'new', 'd/new');
  const state = await read(root);
  for (const path of ['a', 'd/e/b', 'd/ä\n', 'link']) assert.ok(state.isTracked(path), path);
  for (const path of ['new', 'd/new', 'd', 'd/e', '']) assert.ok(!state.isTracked(path), path);
  for (const folder of ['', 'd', 'd/e']) assert.ok(state.hasTrackedBelow(folder), folder);
  for (const folder of ['a', 'x', 'd/e/b', 'd/']) assert.ok(!state.hasTrackedBelow(folder), folder);
  assert.equal(state.head, git(root, 'rev-parse', 'HEAD').trim());
  assert.deepEqual([state.top, state.gitDir, state.problem], [root, join(root, '.git'), null]);
});

test('paths are relative to the project, also where it is a folder of the repository', async (t) => {
  const root = committed(t, 'a', 'd/e/b');
  const state = await read(join(root, 'd'));
  assert.ok(state.isTracked('e/b') && state.hasTrackedBelow('e') && state.hasTrackedBelow(''));
  assert.ok(!state.isTracked('a') && !state.isTracked('d/e/b') && !state.isTracked('../a'));
  assert.equal(state.top, root);
});

test('without a repository nothing is tracked', async (t) => {
  const root = temporaryFolder(t);
  for (const make of [
    () => write(root, 'a'),
    () => write(root, '.git'),
    () => rmSync(join(root, '.git')),
    () => mkdirSync(join(root, '.git')),
  ]) {
    make();
    const { head, top, infoExclude, isTracked, hasTrackedBelow } = await read(root);
    assert.deepEqual(
      [head, top, infoExclude, isTracked('a'), hasTrackedBelow('')],
      [null, null, null, false, false],
    );
  }
});

test('without git nothing is tracked, and what it says is not remembered', async (t) => {
  const root = committed(t, 'a');
  withVariables(t, { PATH: '/nowhere' });
  const state = await read(root);
  assert.deepEqual([state.head, state.isTracked('a'), state.problem], [null, false, 'git is not installed']);
  assert.equal(state.infoExclude, join(root, '.git/info/exclude'));
});

test('HEAD is another one exactly when it is another commit, or an unborn branch', async (t) => {
  const root = repositoryIn(temporaryFolder(t));
  const headAfter = async (...command: string[]): Promise<string | null> => {
    git(root, ...command);
    return (await read(root)).head;
  };
  const commit = ['commit', '-q', '--allow-empty', '-m', 'x'];
  assert.equal((await read(root)).head, 'refs/heads/main');
  assert.equal(await headAfter('symbolic-ref', 'HEAD', 'refs/heads/other'), 'refs/heads/other');
  const first = await headAfter(...commit);
  assert.equal(first, git(root, 'rev-parse', 'HEAD').trim());
  assert.equal(await headAfter('checkout', '-qb', 'same'), first, 'another branch at the same commit');
  const second = await headAfter(...commit, '--date=2001-01-01T00:00:00');
  assert.notEqual(second, first);
  assert.equal(await headAfter('pack-refs', '--all', '--prune'), second, 'refs in one file for all');
  assert.equal(await headAfter('checkout', '-q', '--detach', 'other'), first, 'no branch');
  assert.equal(await headAfter('update-ref', 'HEAD', second ?? ''), second);
  assert.notEqual(await headAfter('checkout', '-q', '--orphan', 'unborn'), second);
  assert.equal((await read(root)).head, 'refs/heads/unborn');
});

test('a linked work tree has a HEAD and an index of its own, and the rules of all', async (t) => {
  const root = committed(t, 'a');
  const tree = join(temporaryFolder(t), 'tree');
  git(root, 'worktree', 'add', '-q', '-b', 'second', tree);
  write(tree, 'b');
  git(tree, 'add', 'b');
  const state = await read(tree);
  assert.ok(lstatSync(join(tree, '.git')).isFile());
  assert.ok(state.isTracked('a') && state.isTracked('b') && !(await read(root)).isTracked('b'));
  assert.equal(state.infoExclude, join(root, '.git/info/exclude'));
  assert.equal(state.gitDir, join(root, '.git/worktrees/tree'));
  const { head } = state;
  git(tree, 'commit', '-qm', 'second');
  assert.notEqual((await read(tree)).head, head);
  assert.equal((await read(root)).head, head);
});

test("what is below a submodule is another repository's", async (t) => {
  const inner = committed(t, 'inside');
  const root = committed(t, 'a');
  git(root, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', inner, 'lib/sub');
  const state = await read(root);
  assert.ok(state.isTracked('.gitmodules'));
  assert.ok(!state.isTracked('lib/sub') && !state.isTracked('lib/sub/inside'));
  assert.ok(state.hasTrackedBelow('lib') && state.hasTrackedBelow('lib/sub'));
  const below = await read(join(root, 'lib/sub'));
  assert.ok(below.isTracked('inside'));
  assert.equal(below.top, join(root, 'lib/sub'));
});

const formats: Record<string, (root: string) => void> = {
  'version 4': (root) => git(root, 'update-index', '--index-version', '4'),
  'split': (root) => git(root, 'update-index', '--split-index'),
  'sparse': (root) => {
    git(root, 'sparse-checkout', 'set', '--cone', '--sparse-index', 'd');
  },
}; // prettier-ignore
for (const [name, convert] of Object.entries(formats)) {
  test(`an index is read in any format: ${name}`, async (t) => {
    const root = committed(t, 'a', 'd/b', 'e/f/c');
    convert(root);
    const state = await read(root);
    for (const path of ['a', 'd/b', 'e/f/c']) assert.ok(state.isTracked(path), path);
    write(root, 'd/new');
    git(root, 'add', 'd/new');
    assert.ok((await read(root)).isTracked('d/new'));
  });
}

test('hashes may be SHA-256', async (t) => {
  const root = repositoryIn(temporaryFolder(t), '--object-format=sha256');
  write(root, 'a');
  git(root, 'add', 'a');
  git(root, 'commit', '-qm', 'first');
  const { head, isTracked } = await read(root);
  assert.equal(head?.length, 64);
  assert.ok(isTracked('a'));
});

test('an unchanged repository starts no process, and neither does a folder without one', async (t) => {
  const calls = loggedGit(t);
  const root = committed(t, 'a');
  const plain = temporaryFolder(t);
  await read(root);
  await read(plain);
  const before = calls().length;
  write(root, 'new');
  for (let time = 0; time < 3; time += 1) {
    assert.ok((await read(root)).isTracked('a'));
    await read(plain);
  }
  assert.equal(calls().length, before);
  git(root, 'add', 'new');
  assert.ok((await read(root)).isTracked('new'));
  git(root, 'rm', '-q', '--cached', 'a');
  assert.ok(!(await read(root)).isTracked('a'));
});

test('nothing in a repository is written or run, whatever it is configured to', async (t) => {
  const root = committed(t, 'a', 'd/b');
  const marker = join(temporaryFolder(t), 'ran');
  const program = join(root, '.git/run');
  writeFileSync(program, `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
  for (const hook of ['post-index-change', 'reference-transaction', 'fsmonitor-watchman'])
    symlinkSync(program, join(root, '.git/hooks', hook));
  for (const key of [
    'core.fsmonitor',
    'core.pager',
    'core.sshCommand',
    'filter.x.clean',
    'filter.x.process',
    'diff.external',
    'core.askPass',
    'alias.ls-files',
    'alias.rev-parse',
    'alias.log',
    'gpg.program',
    'diff.x.command',
    'diff.x.textconv',
  ])
    git(root, 'config', key, key.startsWith('alias') ? `!${program}` : program);
  git(root, 'config', 'log.showSignature', 'true');
  write(root, '.gitattributes');
  writeFileSync(join(root, '.gitattributes'), '* filter=x diff=x\n');
  writeFileSync(join(root, 'a'), 'racily changed');
  // Signed, so that git would have something to verify.
  const unsigned = git(root, 'cat-file', 'commit', 'HEAD');
  const signed = unsigned.replace(
    '\n\n',
    '\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n -----END PGP SIGNATURE-----\n\n',
  );
  writeFileSync(join(root, '.git/signed'), signed);
  const commit = git(root, 'hash-object', '-t', 'commit', '-w', '.git/signed').trim();
  git(root, 'update-ref', '-m', 'signed', 'HEAD', commit);
  rmSync(marker, { force: true });
  const before = treeHash(root);
  const state = await read(root);
  assert.ok(state.isTracked('a') && state.head !== null);
  await leftByGit(root, new Map(), withNested(state, new Map()), never);
  assert.equal(treeHash(root), before);
  assert.ok(!existsSync(marker));
});

test('the environment leads git nowhere else', async (t) => {
  const [root, other] = [committed(t, 'a'), committed(t, 'b')];
  const variables = {
    GIT_DIR: join(other, '.git'),
    GIT_INDEX_FILE: join(other, '.git/index'),
    GIT_WORK_TREE: other,
  };
  withVariables(t, variables);
  const state = await read(root);
  assert.ok(state.isTracked('a') && !state.isTracked('b'));
});

test('a repository of somebody else is read', async (t) => {
  if (process.geteuid?.() !== 0) return t.skip('only root can give files away');
  const root = committed(t, 'a');
  execFileSync('chown', ['-R', '65534:65534', root]);
  assert.ok((await read(root)).isTracked('a'));
});

test('an index that git cannot read: what it said before holds on, and the reason is given', async (t) => {
  const root = committed(t, 'a');
  const { head } = await read(root);
  const whole = readFileSync(join(root, '.git/index'));
  writeFileSync(join(root, '.git/index'), 'damaged');
  const damaged = await read(root);
  assert.ok(damaged.isTracked('a'));
  assert.equal(damaged.head, head);
  assert.match(damaged.problem ?? '', /^git failed: .*index/u);
  writeFileSync(join(root, '.git/index'), whole);
  assert.equal((await read(root)).problem, null);
});

test('reading ends when it is aborted', async (t) => {
  const root = committed(t, 'a');
  await assert.rejects(readGitState(root, AbortSignal.abort(new Error('to stop'))), /to stop/);
});

test('core.excludesFile is what git says it is, and its default otherwise', async (t) => {
  const home = temporaryFolder(t);
  const plain = temporaryFolder(t);
  const root = committed(t, 'a');
  withVariables(t, { HOME: home, XDG_CONFIG_HOME: undefined, GIT_CONFIG_GLOBAL: undefined });
  const both = async (): Promise<(string | null)[]> => [
    (await read(root)).excludesFile,
    (await read(plain)).excludesFile,
  ];
  const byDefault = join(home, '.config/git/ignore');
  assert.deepEqual(await both(), [byDefault, byDefault]);
  writeFileSync(join(home, '.gitconfig'), '[core]\n excludesFile = ~/my ignores\n');
  assert.deepEqual(await both(), [join(home, 'my ignores'), join(home, 'my ignores')]);
  writeFileSync(join(home, '.gitconfig'), '[include]\n path = more\n');
  assert.deepEqual(await both(), [byDefault, byDefault]);
  writeFileSync(join(home, 'more'), '[core]\n excludesFile = /in/included\n');
  git(root, 'config', 'core.excludesFile', 'of/the/repository');
  assert.deepEqual((await both())[0], join(root, 'of/the/repository'));
  writeFileSync(join(home, '.gitconfig'), '[core]\n excludesFile =\n');
  assert.deepEqual((await both())[1], null);
  withVariables(t, { XDG_CONFIG_HOME: join(home, 'xdg') });
  rmSync(join(home, '.gitconfig'));
  assert.deepEqual((await both())[1], join(home, 'xdg/git/ignore'));
});

test('configuration behind a symlink is followed when it changes', async (t) => {
  const home = temporaryFolder(t);
  withVariables(t, { HOME: home, XDG_CONFIG_HOME: undefined, GIT_CONFIG_GLOBAL: undefined });
  write(home, 'dotfiles/gitconfig');
  writeFileSync(join(home, 'dotfiles/gitconfig'), '[core]\n excludesFile = /first\n');
  symlinkSync('dotfiles/gitconfig', join(home, '.gitconfig'));
  const plain = temporaryFolder(t);
  chmodSync(plain, 0o755);
  assert.equal((await read(plain)).excludesFile, '/first');
  writeFileSync(join(home, 'dotfiles/gitconfig'), '[core]\n excludesFile = /other\n');
  assert.equal((await read(plain)).excludesFile, '/other');
});

/** Which of some paths git took away since a look, whether or not they were tracked then. */
async function leftSince(
  root: string,
  look: GitState,
  paths: readonly string[],
  tracked: 0 | 1 = 0,
): Promise<string[]> {
  const now = withNested(await read(root), new Map());
  const isLeft = await leftByGit(root, new Map([['', look]]), now, never);
  return paths.filter((path) => isLeft({ path, tracked }));
}

for (const format of ['sha1', 'sha256'])
  test(`what HEAD came by since the last look, and has no more, was left by git (${format})`, async (t) => {
    const root = repositoryIn(temporaryFolder(t), `--object-format=${format}`);
    write(root, 'kept');
    git(root, 'add', '--all');
    git(root, 'commit', '-qm', 'first');
    const look = await read(root);
    git(root, 'checkout', '-qb', 'other');
    write(root, 'ä\n', 'd/new');
    git(root, 'add', '--all');
    git(root, 'commit', '-qm', 'second');
    git(root, 'checkout', '-q', 'main');
    const paths = ['kept', 'ä\n', 'd/new', 'never'];
    assert.equal((await read(root)).head, look.head);
    assert.deepEqual(await leftSince(root, look, paths), ['ä\n', 'd/new']);
    assert.deepEqual(await leftSince(root, await read(root), paths), [], 'nothing since the newest look');
    git(root, 'checkout', '-q', 'other');
    assert.deepEqual(await leftSince(root, look, paths), [], 'HEAD has them again');
  });

test('content that no commit is known to have had was not left by git, however many there were', async (t) => {
  const root = committed(t, 'kept');
  const look = await read(root);
  git(root, 'checkout', '-qb', 'other');
  write(root, 'new');
  git(root, 'add', '--all');
  git(root, 'commit', '-qm', 'second');
  for (let number = 0; number < 101; number += 1) git(root, 'commit', '-qm', String(number), '--allow-empty');
  const had = readFileSync(join(root, 'new'));
  git(root, 'checkout', '-q', 'main');
  const now = withNested(await read(root), new Map());
  const isLeft = await leftByGit(root, new Map([['', look]]), now, never);
  const leftWith = (content: Buffer | null): boolean => isLeft({ path: 'new', tracked: 1 }, () => content);
  assert.deepEqual([leftWith(had), leftWith(Buffer.from('edited')), leftWith(null)], [true, false, true]);
});

test('what was committed and left since a look at a branch without a commit was left by git', async (t) => {
  const root = repositoryIn(temporaryFolder(t));
  write(root, 'kept', 'new');
  git(root, 'add', '--all');
  const look = await read(root);
  git(root, 'commit', '-qm', 'first');
  git(root, 'switch', '-qc', 'less');
  const had = readFileSync(join(root, 'new'));
  git(root, 'rm', '-q', 'new');
  git(root, 'commit', '-qm', 'second');
  const now = withNested(await read(root), new Map());
  const isLeft = await leftByGit(root, new Map([['', look]]), now, never);
  assert.deepEqual(
    [had, Buffer.from('edited')].map((content) => isLeft({ path: 'new', tracked: 1 }, () => content)),
    [true, false],
  );
});

test('what git left is relative to a project that is a folder of the repository', async (t) => {
  const root = committed(t, 'd/kept');
  const look = await read(join(root, 'd'));
  git(root, 'checkout', '-qb', 'other');
  write(root, 'd/new', 'new');
  git(root, 'add', '--all');
  git(root, 'commit', '-qm', 'second');
  git(root, 'checkout', '-q', 'main');
  assert.deepEqual(await leftSince(join(root, 'd'), look, ['kept', 'new', 'd/new']), ['new']);
});

test('a branch without a commit has left everything that HEAD had', async (t) => {
  const root = committed(t, 'a', 'd/b');
  const look = await read(root);
  git(root, 'checkout', '-q', '--orphan', 'bare');
  git(root, 'rm', '-rqf', '.');
  assert.deepEqual(await leftSince(root, look, ['a', 'd/b', 'c']), ['a', 'd/b']);
});

test('a repository that was made since the last look has left what it had and has no more', async (t) => {
  const root = temporaryFolder(t);
  write(root, 'a', 'b');
  const look = await read(root);
  repositoryIn(root);
  git(root, 'add', '--all');
  git(root, 'commit', '-qm', 'first');
  git(root, 'rm', '-q', 'b');
  git(root, 'commit', '-qm', 'second');
  assert.deepEqual(await leftSince(root, look, ['a', 'b']), ['b']);
});

test("another repository in a repository's place has left nothing of that one", async (t) => {
  const root = committed(t, 'a', 'b');
  const look = await read(root);
  rmSync(join(root, '.git'), { recursive: true });
  repositoryIn(root);
  git(root, 'add', 'b');
  git(root, 'commit', '-qm', 'first of others');
  git(root, 'rm', '-q', 'b');
  git(root, 'commit', '--allow-empty', '-qm', 'second of others');
  assert.deepEqual(await leftSince(root, look, ['a', 'b'], 1), []);
});

test('a repository that is gone has left nothing, and without a log HEAD itself tells', async (t) => {
  const root = committed(t, 'a', 'b');
  const look = await read(root);
  git(root, 'rm', '-q', 'b');
  git(root, 'commit', '-qm', 'second');
  rmSync(join(root, '.git', 'logs'), { recursive: true });
  assert.deepEqual(await leftSince(root, look, ['a', 'b']), ['b']);
  rmSync(join(root, '.git'), { recursive: true });
  assert.deepEqual(await leftSince(root, look, ['a', 'b'], 1), []);
});
