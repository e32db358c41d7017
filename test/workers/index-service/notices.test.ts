import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noticesOf } from '#src/workers/index-service/notices.js';
import { TestProject } from '../../reconcile/project-fixture.js';

test('a mass of deletions is told of once nothing is followed any more, or some time after the last one', async (t) => {
  const project = new TestProject(t);
  const paths = Array.from({ length: 30 }, (_none, number) => `${number}.py`);
  for (const path of [...paths, ...paths.map((name) => `kept/${name}`)]) project.write(path, path);
  await project.reconcile('seen');
  for (const path of paths) project.remove(path);
  await project.reconcile('seen');
  const now = Date.now();
  const told = (freshness: 'fresh' | 'stale' | 'rebuilding' | 'unknown', later = 0): number =>
    noticesOf(project.index, project.project, { withoutCopy: 0 }, freshness, now + later).length;
  assert.deepEqual([told('stale'), told('rebuilding'), told('unknown')], [0, 0, 0], 'it may be git at work');
  assert.deepEqual([told('fresh'), told('stale', 20_000), told('unknown', 20_000)], [1, 1, 1]);
});
