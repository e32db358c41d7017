import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ContentRow, purgePlanOf } from '#src/store/purge-plan.js';

let lastId = 0;

function row(path: string, sha256: string, given: Partial<ContentRow> = {}): ContentRow {
  lastId += 1;
  const fixed = { table: 'revisions', projectId: 'p', isPresent: false, seenAt: lastId, size: 1 } as const;
  return { ...fixed, id: lastId, path, sha256, ...given };
}

const isInProject = ({ isPresent }: ContentRow): boolean => isPresent;

test('what a path was goes, with the contents that nothing else has', () => {
  const [first, second] = [row('a', 'S'), row('a', 'T')];
  const { going, present, sharing, contents } = purgePlanOf({
    chosen: [first, second],
    others: [],
    isInProject,
  });
  assert.deepEqual([going, present, sharing], [[first, second], [], []]);
  assert.deepEqual(contents, new Set(['S', 'T']));
});

test('what is in the project stays, and its content; the same content in the past goes from the past', () => {
  const [past, now] = [row('a', 'S'), row('a', 'S', { table: 'files', isPresent: true })];
  const { going, present, contents } = purgePlanOf({ chosen: [past, now], others: [], isInProject });
  assert.deepEqual([going, present, contents], [[past], [now], new Set()]);
});

test('a content that somebody else has stays with them, and they are named', () => {
  const chosen = [row('a', 'S'), row('a', 'T')];
  const others = [row('b', 'S', { projectId: 'q' })];
  const { going, sharing, contents } = purgePlanOf({ chosen, others, isInProject });
  assert.deepEqual([going, sharing, contents], [chosen, others, new Set(['T'])]);
});

test('where nothing is chosen nothing goes', () => {
  const { going, contents } = purgePlanOf({ chosen: [], others: [row('b', 'S')], isInProject });
  assert.deepEqual([going, contents], [[], new Set()]);
});
