import assert from 'node:assert/strict';
import { normalize } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  assertRelativePath,
  isWithin,
  relativePathProblem,
  splitPath,
  stampedPath,
} from '#src/base/paths.js';

const segment = fc.oneof(
  { weight: 5, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('.', '..', '', '...', '.a', ' ', '\n', '\0', '\u{1F600}', '\uD800'),
  },
);
const anyPath = fc.array(segment, { maxLength: 6 }).map((segments) => segments.join('/'));

test('exactly the canonical paths are accepted', () => {
  const isCanonical = (path: string): boolean =>
    path !== '' &&
    !path.includes('\0') &&
    path.isWellFormed() &&
    !path.startsWith('/') &&
    !path.endsWith('/') &&
    normalize(path) === path &&
    path !== '.' &&
    path !== '..' &&
    !path.startsWith('../');
  fc.assert(
    fc.property(anyPath, (path) => assert.equal(relativePathProblem(path) === null, isCanonical(path))),
    { numRuns: 2_000 },
  );
});

test('what is wrong with a path is said', () => {
  const problems = {
    '': 'is empty',
    '/etc/passwd': 'is absolute',
    'a\0b': 'contains a NUL character',
    'a//b': 'contains an empty segment',
    'a/': 'contains an empty segment',
    'a/./b': 'contains the segment "."',
    'a/../../b': 'contains the segment ".."',
    [`${'d/'.repeat(2_000)}f`]: 'is longer than 4000 bytes',
  };
  for (const [path, problem] of Object.entries(problems)) {
    assert.equal(relativePathProblem(path), problem);
    assert.throws(() => assertRelativePath(path), { code: 'PATH_OUTSIDE_ROOT' });
  }
  assert.match(relativePathProblem('\uD800') ?? '', /Unicode/);
  assert.doesNotThrow(() => assertRelativePath('a/..b/c..'));
});

test('a stamp comes before the last extension', () => {
  const stamped = {
    'a.py': 'a.S.py',
    'd/b.tar.gz': 'd/b.tar.S.gz',
    Makefile: 'Makefile.S',
    '.bashrc': '.bashrc.S',
    'v1.2/README': 'v1.2/README.S',
    'a.': 'a.S.',
  };
  for (const [path, expected] of Object.entries(stamped)) assert.equal(stampedPath(path, 'S'), expected);
});

test('a stamped path stays canonical, in its folder, and keeps its extension', () => {
  fc.assert(
    fc.property(anyPath, (path) => {
      fc.pre(relativePathProblem(path) === null);
      const stamped = stampedPath(path, '20240101T000000.000Z');
      assert.equal(relativePathProblem(stamped), null);
      assert.equal(splitPath(stamped).folder, splitPath(path).folder);
      assert.equal(stamped.length, path.length + 21);
    }),
  );
});

test('splitting loses nothing', () => {
  fc.assert(
    fc.property(anyPath, (path) => {
      const { folder, name } = splitPath(path);
      assert.equal(path.includes('/') ? `${folder}/${name}` : name, path);
      assert.ok(!name.includes('/'));
    }),
  );
});

test('a folder holds itself and what is below it, not what only begins like it', () => {
  assert.ok(isWithin('/a/b', '/a/b'));
  assert.ok(isWithin('/a/b', '/a/b/c'));
  assert.ok(!isWithin('/a/b', '/a/bc'));
  assert.ok(!isWithin('/a/b', '/a'));
  assert.ok(isWithin('/', '/a'));
});
