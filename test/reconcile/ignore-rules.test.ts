import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { presenceAt } from '#src/base/presence.js';
import { type IgnoreContext, IgnoreRules, isRuling } from '#src/reconcile/ignore-rules.js';
import { readGitBelow } from '#src/reconcile/project-git.js';
import { pathsBelow, temporaryFolder } from '../harness/folder.js';
import { type Walked, walkTree } from './walked.js';
import { git, repositoryIn, withVariables } from './repository.js';

/**
 * The walk shows what `git ls-files -co --exclude-standard` shows of what is there, except, on purpose:
 * - built-in ignores (node_modules/ and the like), which git has not; `!name/` includes them;
 * - repositories inside of the project: git stops there, the walk does not;
 * - a project that is a folder which its repository ignores: only its own rules count;
 * - empty folders, which git does not know;
 * - .codekeepignore, which git does not know.
 */
type Tree = Record<string, string>;

function makeTree(root: string, tree: Tree): void {
  for (const name of pathsBelow(root).filter((path) => !path.includes('/')))
    if (name !== '.git') rmSync(join(root, name), { recursive: true });
  for (const [path, content] of Object.entries(tree)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

/** A repository; what the user of the tests has configured has no part in it. */
function repository(t: TestContext): string {
  withVariables(t, { HOME: '/nowhere', XDG_CONFIG_HOME: undefined, GIT_CONFIG_NOSYSTEM: '1' });
  return repositoryIn(temporaryFolder(t));
}

/** Paths that git shows and that are there, once each. */
const shownByGit = (root: string): string[] =>
  [...new Set(git(root, 'ls-files', '-z', '-co', '--exclude-standard').split('\0'))]
    .filter((path) => path !== '' && presenceAt(join(root, path)) !== 'absent')
    .sort();

async function walkOf(root: string, excluded: string[] = [], context: IgnoreContext = {}): Promise<Walked> {
  const state = await readGitBelow(root, [], new AbortController().signal);
  return await walkTree(root, '', new IgnoreRules(root, excluded, { git: state, ...context }));
}

const shownOf = ({ files }: Walked): string[] =>
  files
    .filter(({ kind }) => kind !== 'folder')
    .map(({ path }) => path)
    .sort();

const shownByWalk = async (root: string, excluded: string[] = []): Promise<string[]> =>
  shownOf(await walkOf(root, excluded));

const filesOf = (...paths: string[]): Tree => Object.fromEntries(paths.map((path) => [path, '']));
const wideTree = filesOf(
  'a', 'b', 'A', 'a.log', 'a.LOG', '#a', '!a', 'a b', 'a ', 'ä', 'a*b', 'a[b', '\\a', '-', ']', 'z\n',
  'build/a', 'build/b/c', 'd/a', 'd/b', 'd/build/a', 'd/build/keep', 'd/d/a', 'd/e/f/a', 'd/x.log', 'foo/bar/a',
  'foobar', 'foox', 'foo/x', 'logs/a.log', 'logs/keep.log', 'logs/d/a.log',
); // prettier-ignore

const cases: Record<string, Tree> = {
  'names anywhere': { '.gitignore': 'a\nbuild\n' },
  'case counts': { '.gitignore': '*.LOG\nA\n' },
  'anchors': { '.gitignore': '/a\n/build\nd/a\n' },
  'folders only': { '.gitignore': 'a/\nbuild/\n' },
  'negation': { '.gitignore': '*.log\n!keep.log\n' },
  'negation below an ignored folder does nothing': { '.gitignore': 'logs/\n!logs/keep.log\n' },
  'negation below the content of a folder': { '.gitignore': 'logs/*\n!logs/keep.log\n' },
  'comments and escapes': { '.gitignore': '#a\n\\!a\n\\#a\n' },
  'spaces at the end': { '.gitignore': 'a   \nb\\ \na\\ b  \n' },
  'a carriage return at the end': { '.gitignore': 'a\r\nbuild/\r\n' },
  'a byte order mark': { '.gitignore': '\uFEFFa\nb\n' },
  'no line feed at the end': { '.gitignore': 'a\nb' },
  'stars between slashes': { '.gitignore': 'd/**/a\n**/build/b\nlogs/**\n!logs/d\n' },
  'stars elsewhere': { '.gitignore': 'foo**/x\nd**\n**a\n' },
  'stars at both ends': { '.gitignore': '**/e/**\n' },
  'question marks are bytes': { '.gitignore': '?\n!??\n' },
  'classes': { '.gitignore': '[ab]\n[!a-c]\n[[:upper:]]\n' },
  'odd classes': { '.gitignore': '[]]\n[a\n[]-]\n[[:nope:]]\n[\\a]\na[[]b\n[b-a]\n' },
  'escaped specials': { '.gitignore': 'a\\*b\na\\[b\n\\\\a\n' },
  'empty patterns': { '.gitignore': '/\n!\n!/\n//\n\\\n \n' },
  'a deeper file beats a higher one': { '.gitignore': 'a\n', 'd/.gitignore': '!a\n' },
  'a folder that a deeper file includes again': { '.gitignore': 'build\n', 'd/.gitignore': '!build\n' },
  'a deeper file that ignores itself': { 'd/.gitignore': '*\n' },
  'a deeper anchor': { 'd/.gitignore': '/a\n/e/f\n' },
  'info/exclude is weakest': { '.git/info/exclude': 'a\nb\n', '.gitignore': '!a\n' },
  'a rule file that is a folder': { '.gitignore/x': '' },
  'all': { '.gitignore': '*\n!*/\n!*.log\n' },
}; // prettier-ignore

for (const [name, rules] of Object.entries(cases)) {
  test(`as git does: ${name}`, async (t) => {
    const root = repository(t);
    makeTree(root, { ...wideTree, ...rules });
    assert.deepEqual(await shownByWalk(root), shownByGit(root));
  });
}

test('as git does: any rules in any tree', async (t) => {
  const root = repository(t);
  const name = fc.constantFrom('a', 'b', 'ab', 'a.x', 'b.x', 'c');
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
  const atom = fc.constantFrom(
    'a',
    'b',
    'c',
    '.x',
    '*',
    '**',
    '?',
    '/',
    '/',
    '[ab]',
    '[!a]',
    '[a-b',
    '\\',
    '\\a',
    ' ',
    '.',
  );
  const pattern = fc.tuple(
    fc.constantFrom('', '', '!', '/'),
    fc.array(atom, { minLength: 1, maxLength: 5 }),
    fc.constantFrom('', '', '/', ' '),
  );
  const line = pattern.map(([start, atoms, end]) => `${start}${atoms.join('')}${end}`);
  const rules = fc.array(line, { minLength: 1, maxLength: 4 }).map((lines) => lines.join('\n'));
  const folder = fc.constantFrom('', '', 'a/', 'b/', 'a/b/', 'a/a/');
  const ruleFiles = fc.dictionary(
    folder.map((prefix) => `${prefix}.gitignore`),
    rules,
    { minKeys: 1, maxKeys: 3 },
  );
  const tree = fc.array(path, { minLength: 4, maxLength: 14 });
  const tracked = fc.func(fc.boolean());
  const project = fc.constantFrom('', '', 'a', 'a/b');
  const exclude = fc.option(rules, { nil: '' });
  await fc.assert(
    fc.asyncProperty(
      tree,
      ruleFiles,
      exclude,
      tracked,
      project,
      async (paths, files, excluded, isTracked, below) => {
        const isFolder = (one: string): boolean =>
          [...paths, ...Object.keys(files)].some((other) => other.startsWith(`${one}/`));
        const plain = paths.filter((one) => !isFolder(one));
        rmSync(join(root, '.git/index'), { force: true });
        makeTree(root, { ...filesOf(...plain), ...files, '.git/info/exclude': excluded });
        const chosen = plain.filter(isTracked);
        if (chosen.length > 0) git(root, 'add', '--force', '--', ...chosen);
        const at = join(root, below);
        const isThere = presenceAt(at) === 'directory';
        if (!isThere || (below !== '' && isIgnoredByGit(root, below))) return;
        assert.deepEqual(await shownByWalk(at), shownByGit(at));
        for (const inner of ['a', 'b']) await assertAsGitInNested(root, inner, plain.filter(isTracked));
      },
    ),
    { numRuns: Number(process.env['IGNORE_RUNS'] ?? 100) },
  );
});

/** Makes a folder a repository of its own with some files tracked: each of the two judges what is its own, as git does. */
async function assertAsGitInNested(root: string, inner: string, tracked: readonly string[]): Promise<void> {
  const top = join(root, inner);
  if (presenceAt(top) !== 'directory') return;
  repositoryIn(top);
  const own = tracked.filter((path) => path.startsWith(`${inner}/`) && path.length % 2 === 0);
  if (own.length > 0) git(root, '-C', inner, 'add', '--force', '--', ...own.map((path) => path.slice(2)));
  const outer = shownByGit(root).filter((path) => !path.endsWith('/'));
  const isEntered = outer.some((path) => path.startsWith(`${inner}/`)) || !isIgnoredByGit(root, inner);
  const expected = [...outer, ...(isEntered ? shownByGit(top).map((path) => `${inner}/${path}`) : [])];
  const state = await readGitBelow(root, [inner], new AbortController().signal);
  const shown = shownOf(await walkTree(root, '', new IgnoreRules(root, [], { git: state })));
  assert.deepEqual(shown, [...new Set(expected)].sort());
  rmSync(join(top, '.git'), { recursive: true });
}

/** Whether rules ignore a folder, or one above it. */
function isIgnoredByGit(root: string, folder: string): boolean {
  try {
    git(root, 'check-ignore', '--quiet', '--no-index', folder);
    return true;
  } catch {
    return false;
  }
}

test("echo '*' > .gitignore: what git tracks stays content, what it does not is ignored by that rule", async (t) => {
  const root = repository(t);
  makeTree(root, filesOf('a', 'd/e/b', 'd/new', 'e/new', 'new'));
  git(root, 'add', 'a', 'd/e/b');
  writeFileSync(join(root, '.gitignore'), '*\n');
  const walk = await walkOf(root);
  assert.deepEqual(shownOf(walk), ['a', 'd/e/b']);
  assert.deepEqual(shownOf(walk), shownByGit(root));
  assert.deepEqual([...walk.ignored], [['.gitignore', 4]]);
  assert.deepEqual(new Set(walk.files.map(({ tracked }) => tracked)), new Set([1]));
  const plain = temporaryFolder(t);
  makeTree(plain, { ...filesOf('a', 'd/e/b'), '.gitignore': '*\n' });
  const without = await walkOf(plain);
  assert.deepEqual([without.files, [...without.ignored]], [[], [['.gitignore', 3]]]);
});

test('of an ignored folder only what git tracks is content, and its rule files include nothing', async (t) => {
  const root = repository(t);
  makeTree(root, filesOf('build/kept', 'build/new', 'build/d/kept', 'build/d/new', 'build/e/new'));
  mkdirSync(join(root, 'build/empty'));
  git(root, 'add', 'build/kept', 'build/d/kept');
  makeTree(root, { ...filesOf('build/kept', 'build/new', 'build/d/kept', 'build/d/new', 'build/e/new') });
  mkdirSync(join(root, 'build/empty'));
  writeFileSync(join(root, '.gitignore'), 'build/\n');
  writeFileSync(join(root, 'build/.gitignore'), '!*\n');
  const walk = await walkOf(root);
  const tracked = Object.fromEntries(walk.files.map((file) => [file.path, file.tracked]));
  assert.deepEqual(tracked, { '.gitignore': 0, 'build/d/kept': 1, 'build/kept': 1 });
  assert.equal(walk.ignored.get('.gitignore'), 5);
  const state = await readGitBelow(root, [], new AbortController().signal);
  const rules = new IgnoreRules(root, [], { git: state });
  for (const [path, isFolder, isIgnored] of [
    ['build', true, false], ['build/d', true, false], ['build/e', true, true], ['build/empty', true, true],
    ['build/kept', false, false], ['build/new', false, true], ['build/d/kept', false, false], ['build/d/new', false, true],
  ] as const) assert.equal(rules.ignoresPath(path, isFolder), isIgnored, path); // prettier-ignore
  const part = await walkTree(root, 'build/d', rules);
  assert.deepEqual(shownOf(part), ['build/d/kept'], 'also where the walk begins below it');
});

test("built-in ignores yield to what git tracks, version control's own files do not", async (t) => {
  const root = repository(t);
  makeTree(
    root,
    filesOf('node_modules/a/kept', 'node_modules/b/new', 'env/pyvenv.cfg', 'env/new', '.hg/x', 'c.pyc'),
  );
  git(root, 'add', '--force', 'node_modules/a/kept', 'env/pyvenv.cfg', '.hg/x', 'c.pyc');
  assert.deepEqual(await shownByWalk(root), ['c.pyc', 'env/pyvenv.cfg', 'node_modules/a/kept']);
});

test('core.excludesFile is weaker than info/exclude, and stronger than the built-in rules', async (t) => {
  const root = repository(t);
  const home = temporaryFolder(t);
  withVariables(t, { HOME: home });
  const global = join(home, '.config/git/ignore');
  makeTree(home, { '.config/git/ignore': 'a\nb\nc\n!node_modules/\n/d/x\n' });
  makeTree(root, {
    ...filesOf('a', 'b', 'c', 'node_modules/m', 'd/x', 'd/d/x'),
    '.git/info/exclude': '!b\n',
    '.gitignore': '!c\n',
  });
  const walk = await walkOf(root);
  assert.deepEqual(shownOf(walk), ['.gitignore', 'b', 'c', 'd/d/x', 'node_modules/m']);
  assert.deepEqual([...walk.ignored], [[global, 2]]);
  const plain = temporaryFolder(t);
  makeTree(plain, filesOf('a', 'd/x', 'other'));
  assert.deepEqual(await shownByWalk(plain), ['other'], 'also without a repository');
});

test('info/exclude counts in a linked work tree, too', async (t) => {
  const root = repository(t);
  git(root, 'commit', '-q', '--allow-empty', '-m', 'first');
  const tree = join(temporaryFolder(t), 'tree');
  git(root, 'worktree', 'add', '-q', tree);
  writeFileSync(join(root, '.git/info/exclude'), 'a\n');
  makeTree(tree, filesOf('b'));
  git(tree, 'worktree', 'repair', tree);
  makeTree(tree, filesOf('a', 'b'));
  assert.deepEqual(await shownByWalk(tree), shownByGit(tree));
  assert.deepEqual(await shownByWalk(tree), ['b']);
});

test('a project that its repository ignores as a whole has its own rules only', async (t) => {
  const root = repository(t);
  makeTree(root, {
    ...filesOf('d/project/a', 'd/project/b'),
    '.gitignore': '*\n',
    'd/project/.gitignore': 'b\n',
  });
  assert.deepEqual(await shownByWalk(join(root, 'd/project')), ['.gitignore', 'a']);
});

test('a clone in an ignored folder is ignored with it, whatever it tracks, and a submodule there is not', async (t) => {
  const [root, origin] = [repository(t), repository(t)];
  makeTree(origin, { tracked: 'yes\n' });
  git(origin, 'add', '--all');
  git(origin, 'commit', '-qm', 'all');
  makeTree(root, { '.gitignore': 'build/\nvendor/\n' });
  git(root, 'clone', '-q', origin, 'build/clone');
  git(root, '-c', 'protocol.file.allow=always', 'submodule', '-q', 'add', '-f', origin, 'vendor/sub');
  // The rules of the repository around it end where a submodule begins.
  writeFileSync(join(root, 'vendor/sub/new'), 'yes\n');
  const signal = new AbortController().signal;
  const state = await readGitBelow(root, ['build/clone', 'vendor/sub'], signal);
  const walk = await walkTree(root, '', new IgnoreRules(root, [], { git: state }));
  assert.deepEqual(shownOf(walk), ['.gitignore', '.gitmodules', 'vendor/sub/new', 'vendor/sub/tracked']);
  assert.deepEqual(walk.repositories, ['vendor/sub']);
});

test('what is below the root of another project is not content, tracked or not', async (t) => {
  const root = repository(t);
  makeTree(root, filesOf('a', 'd/inner/b', 'd/inner2/c', 'd/inner/e/f'));
  git(root, 'add', '--all');
  const projects = [root, join(root, 'd/inner'), dirname(root), `${root}-beside`];
  const walk = await walkOf(root, [], { projects });
  assert.deepEqual(shownOf(walk), ['a', 'd/inner2/c']);
  assert.deepEqual([...walk.ignored], [[`the project ${root}/d/inner`, 1]]);
  const rules = new IgnoreRules(root, [], { projects });
  assert.ok(rules.ignoresPath('d/inner/e/f', false) && rules.ignoresPath('d/inner', true));
  assert.ok(!rules.ignoresPath('d/inner2/c', false));
});

test('a file of rules that never ends holds up nothing', async (t) => {
  const root = repository(t);
  makeTree(root, filesOf('a'));
  git(root, 'config', 'core.excludesFile', '/dev/zero');
  assert.deepEqual(await shownByWalk(root), ['a']);
});

test('a virtual environment is known by its marker, and a folder that is only named so is content', async (t) => {
  const root = temporaryFolder(t);
  makeTree(root, filesOf('venv/__init__.py', 'env/pyvenv.cfg', 'env/lib/a.py', 'a.py'));
  assert.deepEqual(await shownByWalk(root), ['a.py', 'venv/__init__.py']);
});

test('built-in ignores hold, unless the project says otherwise', async (t) => {
  const root = temporaryFolder(t);
  const tree = filesOf('node_modules/a', 'd/node_modules/a', '__pycache__/a', 'a.pyc', '.venv/a', 'a');
  makeTree(root, tree);
  assert.deepEqual(await shownByWalk(root), ['a']);
  makeTree(root, { ...tree, '.gitignore': '!node_modules/\n', 'd/.codekeepignore': 'node_modules/\n' });
  assert.deepEqual(await shownByWalk(root), ['.gitignore', 'a', 'd/.codekeepignore', 'node_modules/a']);
});

test('.codekeepignore beats .gitignore of the same folder', async (t) => {
  const root = temporaryFolder(t);
  makeTree(root, { a: '', b: '', '.gitignore': 'a\n', '.codekeepignore': '!a\nb\n.*\n' });
  assert.deepEqual(await shownByWalk(root), ['a']);
});

test("version control's own files, temporary files and excluded folders are never content", async (t) => {
  const root = temporaryFolder(t);
  makeTree(root, {
    ...filesOf(
      '.git/HEAD',
      'd/.git/HEAD',
      '.hg/x',
      'data/versions/id/a',
      'data/versions2/a',
      'state/index.db',
    ),
    ...filesOf('.codekeep-12-3.tmp', 'd/.codekeep-x.tmp', 'a'),
    '.gitignore': '!.git\n!*.tmp\n!data/\n',
  });
  assert.deepEqual(await shownByWalk(root, [join(root, 'data/versions'), join(root, 'state')]), [
    '.gitignore',
    'a',
    'data/versions2/a',
  ]);
});

test('one path is judged as the walk judges it', async (t) => {
  const root = repository(t);
  makeTree(root, {
    ...wideTree,
    '.gitignore': 'build\nlogs/*\n!logs/keep.log\n',
    'd/.gitignore': '!build\n',
  });
  const rules = new IgnoreRules(root, []);
  const shown = new Set(await shownByWalk(root));
  for (const path of [...Object.keys(wideTree), '.gitignore'])
    assert.equal(rules.ignoresPath(path, false), !shown.has(path), path);
});

test('rule files are known by name, at any depth', () => {
  assert.ok(isRuling('.gitignore') && isRuling('a/b/.codekeepignore') && isRuling('a/.git'));
  assert.ok(!isRuling('a/gitignore') && !isRuling('.gitignore/a'));
});

test('a rule file that is a symlink has no rules, as for git', async (t) => {
  const root = repository(t);
  makeTree(root, { ...wideTree, rules: 'a\n' });
  symlinkSync('rules', join(root, '.gitignore'));
  const shown = await shownByWalk(root);
  assert.ok(shown.includes('a'));
  assert.deepEqual(shown, shownByGit(root));
});
