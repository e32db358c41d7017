import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cancelled } from '#src/base/errors.js';
import type { RequestCall } from '#src/workers/host.js';
import { repairDatabase } from '#src/workers/repair/task.js';
import { TestProject } from '../../reconcile/project-fixture.js';

const request = {
  run_id: 'run',
  origin: 'command',
  force: false,
  deleted_since: null,
  on_damage: 'stop',
  is_cancelled: false,
} as const;

/** Cancels when the repair comes to a phase. */
function cancelledAt(wanted: string): RequestCall {
  const cancel = new AbortController();
  return {
    signal: cancel.signal,
    progress: (phase) => {
      if (phase === wanted) cancel.abort(cancelled('The work'));
    },
    longStep: (_longestMs, work) => work(),
  };
}

for (const [phase, isDone] of [
  ['backup', false],
  ['verify', true],
] as const) {
  test(`a repair that is cancelled at its ${phase} is ${isDone ? 'done: that was too late' : 'cancelled'}`, async (t) => {
    const project = new TestProject(t);
    for (const path of ['kept', 'lost']) project.write(path);
    await project.reconcile();
    project.remove('lost');
    const repairing = repairDatabase(project.index, request, cancelledAt(phase), () => undefined);
    if (isDone) assert.equal((await repairing).projects[0]?.totals['restore_from_cst'], 1);
    else await assert.rejects(repairing, { code: 'CANCELLED' });
    assert.equal(project.has('lost'), isDone);
  });
}
