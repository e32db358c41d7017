import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastMaintenance } from '#src/store/maintenance.js';
import { waitFor } from '../../harness/waiting.js';
import { TestProject } from '../../reconcile/project-fixture.js';
import { countRows } from '../../store/index-fixture.js';
import { TestWorker } from '../worker-fixture.js';

test('while a repair has the index nothing goes by itself, and what was due goes after it', async (t) => {
  const project = new TestProject(t);
  const { index } = project;
  project.write('a', 'one\n');
  await project.reconcile();
  project.write('a', 'two\n');
  await project.follow('a');
  assert.equal(countRows(index, 'revisions'), 1);
  const keep = { history_keep_all: 1, history_keep_hourly: 0, history_keep_daily: 0 };
  const worker = new TestWorker(t, 'index_service', project.stateDir, {}, false, {
    ...keep,
    check_interval: 1,
  });
  worker.send({ type: 'held', held: true });
  const startedAt = Date.now();
  // It is checked each time after it was looked whether something is to go.
  await waitFor('it is due', () => (lastMaintenance(index, 'check')?.at ?? 0) > startedAt + 4_000, 60_000);
  assert.equal(countRows(index, 'revisions'), 1);
  worker.send({ type: 'held', held: false });
  await waitFor('it goes', () => countRows(index, 'revisions') === 0);
  assert.ok((await worker.stop()).inOrder);
});
