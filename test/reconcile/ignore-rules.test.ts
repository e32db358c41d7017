import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { IgnoreRules, isRuleFile } from '#src/reconcile/ignore-rules.js';
import { walkTree } from '#src/reconcile/walk.js';
import { pathsBelow, temporaryFolder } from '../harness/folder.js';

/**
 * The walk shows what `git ls-files -co --exclude-standard` shows, except, on purpose:
 * - files that git tracks although a rule ignores them: the rule counts;
 * - built-in ignores (node_modules/ and the like), which git has not; `!name/` includes them;
 * - repositories inside of the project: git stops there, the walk does not;
 * - the user's own core.excludesFile is not read;
 * - .codekeepignore, which git does not know.
 */
const environment = { ...process.env, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' };

type Tree = Record<string, string>;

function makeTree(root: string, tree: Tree): void {
  for (const name of pathsBelow(root).filter((path) => !path.includes('/')))
    if (name !== '.git') rmSync(join(root, name), { recursive: true });
  for (const [path, content] of Object.entries(tree)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

function repository(t: TestContext): string {
  const root = temporaryFolder(t);
  execFileSync('git', ['init', '-q', root], { env: environment });
  return root;
}

const shownByGit = (root: string): string[] =>
  execFileSync('git', ['-C', root, 'ls-files', '-z', '-co', '--exclude-standard'], {
    env: environment,
    encoding: 'utf8',
  })
    .split('\0')
    .filter((path) => path !== '')
    .sort();

async function shownByWalk(root: string, excluded: string[] = []): Promise<string[]> {
  const { files } = await walkTree(root, '', new IgnoreRules(root, excluded));
  return files.map(({ path }) => path).sort();
}

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
  await fc.assert(
    fc.asyncProperty(tree, ruleFiles, async (paths, files) => {
      const isFolder = (one: string): boolean =>
        [...paths, ...Object.keys(files)].some((other) => other.startsWith(`${one}/`));
      makeTree(root, { ...filesOf(...paths.filter((one) => !isFolder(one))), ...files });
      assert.deepEqual(await shownByWalk(root), shownByGit(root));
    }),
    { numRuns: Number(process.env['IGNORE_RUNS'] ?? 150) },
  );
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
  assert.ok(isRuleFile('.gitignore') && isRuleFile('a/b/.codekeepignore'));
  assert.ok(!isRuleFile('a/gitignore') && !isRuleFile('.gitignore/a'));
});

test('a rule file that is a symlink has no rules, as for git', async (t) => {
  const root = repository(t);
  makeTree(root, { ...wideTree, rules: 'a\n' });
  symlinkSync('rules', join(root, '.gitignore'));
  const shown = await shownByWalk(root);
  assert.ok(shown.includes('a'));
  assert.deepEqual(
    shown,
    shownByGit(root).filter((path) => path !== '.gitignore'),
  );
});
