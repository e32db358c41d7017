import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { changesOf, keptPlan } from '#src/reconcile/repair/kept-plan.js';
import { type Action, planOf } from '#src/reconcile/repair/plan.js';

const action = fc.record<Action>({
  verdict: fc.constantFrom('clear_deleted', 'set_deleted', 'restore_from_cst'),
  id: fc.nat(9),
  path: fc.constantFrom('a', 'b', 'd/c', 'new\nline', '__proto__'),
  targets: fc.constantFrom(['versions'], ['versions', 'project'], []),
  source: fc.constantFrom('tree', 'versions'),
  cause: fc.constantFrom(null, 'git', 'repair'),
  sha256: fc.constantFrom(null, 'aa', 'bb'),
});
const actions = fc.uniqueArray(action, { selector: ({ path }) => path });
const keep = (project: string, list: readonly Action[]): ReturnType<typeof keptPlan> =>
  keptPlan(project, { ...planOf([], { rootDoubt: null, force: false }), actions: [...list] });

/** All of an action that makes a difference to anybody. */
const partsOf = ({ id: _id, ...parts }: Action): string =>
  JSON.stringify(parts.targets.length === 0 ? { ...parts, source: null } : parts);

test('plans differ exactly at the paths where they would do anything else, in either direction', () => {
  fc.assert(
    fc.property(actions, actions, (then, now) => {
      const changed = changesOf([keep('p', then), keep('q', [])], [keep('p', now), keep('q', [])]);
      const [before, after] = [then, now].map((list) => new Map(list.map((one) => [one.path, partsOf(one)])));
      const expected = [...new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])]
        .filter((path) => before?.get(path) !== after?.get(path))
        .sort();
      assert.deepEqual(
        changed.map(({ path }) => path),
        expected,
      );
      for (const { path, planned, now: today } of changed)
        assert.deepEqual([planned === null, today === null], [!before?.has(path), !after?.has(path)]);
      assert.deepEqual(changesOf([keep('p', then)], [keep('p', [...then].reverse())]), []);
    }),
  );
});

test('a project that came or went since is a change at each of its paths', () => {
  const [one] = fc.sample(action, 1);
  assert.ok(one !== undefined);
  assert.deepEqual(
    changesOf([], [keep('p', [one])]).map(({ project_id, planned }) => [project_id, planned]),
    [['p', null]],
  );
  assert.deepEqual(
    changesOf([keep('p', [one])], []).map(({ project_id, now }) => [project_id, now]),
    [['p', null]],
  );
});
