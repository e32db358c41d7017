import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { type GitState, noGit } from '#src/reconcile/git-state.js';
import { gitProblemOf, hasHeadMoved, headsOf, isKnownAt, withNested } from '#src/reconcile/project-git.js';
import type { HeadMark } from '#src/store/repositories.js';

const mark = (head: string): HeadMark => ({ head, headLog: `${head} log` });

const repository = (head: string, problem: string | null = null): GitState => ({
  ...noGit,
  ...mark(head),
  gitDir: '/somewhere',
  problem,
  isTracked: (path) => path === `of ${head}` || path.endsWith(`/of ${head}`),
  hasTrackedBelow: (folder) => folder === '' || folder === `with ${head}`,
});

test('a path is asked of the repositories that it is in, and where one begins of the one around it', () => {
  const nested = new Map([
    ['lib/b', repository('b')],
    ['lib/b/c', repository('c')],
  ]);
  const git = withNested(repository('a'), nested);
  const tracked = ['of a', 'lib/of a', 'lib/b2/of a', 'lib/b/of b', 'lib/b/d/of b', 'lib/b/c/of c'];
  assert.deepEqual(
    tracked.filter((path) => !git.isTracked(path)),
    [],
  );
  // Tracked before there was another repository in between.
  assert.ok(git.isTracked('lib/b/of a') && git.isTracked('lib/b/c/of b'));
  const strange = ['of b', 'lib/b/of c', 'lib/of b', 'lib/b', 'lib/b/c'];
  assert.deepEqual(
    strange.filter((path) => git.isTracked(path)),
    [],
  );
  assert.ok(git.hasTrackedBelow('') && git.hasTrackedBelow('with a') && git.hasTrackedBelow('lib/b/with b'));
  assert.ok(!git.hasTrackedBelow('lib/b') && !git.hasTrackedBelow('lib/b/with a'));
});

test('a git that cannot be asked leaves what is known of HEAD and of what it tracks', () => {
  const known = new Map([
    ['', mark('old')],
    ['sub', mark('old sub')],
  ]);
  const silent = withNested(repository('', 'no answer'), new Map([['sub', repository('', 'damaged')]]));
  assert.deepEqual(headsOf(silent, known, true), known);
  assert.equal(hasHeadMoved(known, silent), false);
  assert.deepEqual([isKnownAt(silent, 'a'), isKnownAt(silent, 'sub/a')], [false, false]);
  assert.equal(gitProblemOf(silent), 'no answer');
  const halfSilent = withNested(repository('old'), new Map([['sub', repository('', 'damaged')]]));
  assert.deepEqual([isKnownAt(halfSilent, 'a'), isKnownAt(halfSilent, 'sub/a')], [true, false]);
  assert.equal(gitProblemOf(halfSilent), 'in sub, damaged');
});

const heads = fc.dictionary(fc.constantFrom('sub', 'a/b', 'c'), fc.constantFrom('1', '2'));
const marksOf = (states: Record<string, string>): Map<string, HeadMark> =>
  new Map(Object.entries(states).map(([folder, head]) => [folder, mark(head)]));

test('what was noted of HEADs has not moved since, and in doubt no repository is forgotten', () => {
  fc.assert(
    fc.property(heads, heads, fc.boolean(), (before, now, isSure) => {
      const nested = Object.entries(now).map(([folder, head]) => [folder, repository(head)] as const);
      const git = withNested(noGit, new Map(nested));
      const known = marksOf(before);
      const noted = headsOf(git, known, isSure);
      const gone = Object.keys(before).filter((folder) => !(folder in now));
      assert.equal(hasHeadMoved(noted, git), !isSure && gone.length > 0);
      assert.equal(hasHeadMoved(known, git), !isDeepStrictEqual({ ...before }, { ...now }));
      const expected = isSure ? now : { ...before, ...now };
      assert.deepEqual(Object.fromEntries(noted), Object.fromEntries(marksOf(expected)));
    }),
  );
});
