import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { type CallProgress, type Client, CodekeepError, connect } from 'codekeep/client';
import { addLostRows, type Daemon, type Project, versionPath } from '../../harness/daemon.js';
import { manyFiles, Sandbox } from '../../harness/sandbox.js';
import { waitFor } from '../../harness/waiting.js';

suite('the package client follows long calls', () => {
  const sandbox = Sandbox.ofSuite(() => client.close());
  let daemon: Daemon;
  let project: Project;
  let client: Client;

  before(async () => {
    daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    project = await daemon.addProject(await sandbox.project(manyFiles(40)));
    addLostRows(daemon, project, 600);
    client = await connect({ socket: daemon.socket });
  });

  /** Takes away what a repair has to write again: enough to be met in the middle of it. */
  const loseFiles = (): void => {
    for (const folder of [join(project.root_dir, 'lost'), versionPath(project, 'lost')])
      rmSync(folder, { recursive: true, force: true });
  };

  test('the result is that of the call without progress', async () => {
    const { project_id } = project;
    const steps: CallProgress[] = [];
    const followed = await client.call(
      'repair_database',
      { project_id, dry_run: true },
      { onProgress: (progress) => steps.push(progress) },
    );
    const plain = await client.call('repair_database', { project_id, dry_run: true });
    const { run_id: _a, duration_ms: _b, ...left } = followed as Record<string, unknown>;
    const { run_id: _c, duration_ms: _d, ...right } = plain as Record<string, unknown>;
    assert.deepEqual(left, right);
    assert.equal(new Set(steps.map(({ job_id }) => job_id)).size, 1);
  });

  test('progress comes in order, up to the last action', async () => {
    const steps: CallProgress[] = [];
    await client.call(
      'repair_database',
      { project_id: project.project_id },
      { onProgress: (progress) => steps.push(progress) },
    );
    assert.ok(steps.every(({ done, total }) => done <= total));
    const applied = steps.filter(({ message }) => message === 'apply').map(({ done }) => done);
    assert.deepEqual(
      applied,
      applied.toSorted((a, b) => a - b),
    );
    assert.equal(applied.at(-1), 600);
  });

  test('errors are those of the call without progress: refused at once, and in the job', async () => {
    const cases = [
      [{ project_id: '00000000-0000-4000-8000-000000000000' }, 'PROJECT_NOT_FOUND'],
      [{ version_dir: project.root_dir, project_id: project.project_id }, 'INVALID_PARAMS'],
    ] as const;
    for (const [params, code] of cases) {
      const plain = await client.call('repair_database', params).catch((error: unknown) => error);
      const followed = await client
        .call('repair_database', params, { onProgress: () => undefined })
        .catch((error: unknown) => error);
      assert.ok(plain instanceof CodekeepError && followed instanceof CodekeepError);
      assert.equal(followed.code, code);
      assert.deepEqual(followed.toShape(), plain.toShape());
    }
  });

  test('wait: false gives the job, and no progress', async () => {
    const onProgress = (): void => assert.fail('nobody waits');
    const begun = await client.call(
      'update_indexes',
      { project_id: project.project_id, wait: false },
      { onProgress },
    );
    assert.ok('job_id' in begun);
    await waitFor('its end', async () => {
      const { state } = await client.call('get_job', { job_id: begun.job_id });
      return state === 'done';
    });
    assert.equal((await client.call('cancel_job', { job_id: begun.job_id })).state, 'done', 'harmless');
  });

  for (const isFollowed of [true, false]) {
    test(`its signal cancels a repair ${isFollowed ? 'with' : 'without'} progress, at a safe point`, async () => {
      loseFiles();
      const abort = new AbortController();
      const options = isFollowed ? { onProgress: () => undefined } : {};
      const call = client.call(
        'repair_database',
        { project_id: project.project_id },
        { signal: abort.signal, ...options },
      );
      await waitFor('the first action', async () => {
        const { repair } = await client.call('health');
        return repair?.phase === 'apply' && repair.done > 0;
      });
      abort.abort();
      await assert.rejects(call, { code: 'CANCELLED' });
      const run = await waitFor('the end of the repair', async () => {
        const { status } = await client.call('health');
        const { runs } = await client.call('list_repairs', { project_id: project.project_id });
        return status !== 'repairing' && runs[0];
      });
      assert.equal(run.state, 'cancelled');
      const { errors } = await daemon.repair({ project_id: project.project_id });
      assert.deepEqual(errors, []);
    });
  }

  test('cancel_job by the id of the progress ends the call with CANCELLED, after the safe point', async () => {
    loseFiles();
    let jobId = '';
    const call = client.call(
      'repair_database',
      { project_id: project.project_id },
      { onProgress: ({ job_id }) => (jobId = job_id) },
    );
    call.catch(() => undefined);
    await waitFor('the job', () => jobId !== '');
    await client.call('cancel_job', { job_id: jobId });
    await assert.rejects(call, { code: 'CANCELLED' });
    assert.notEqual((await client.call('health')).status, 'repairing');
  });

  test('a timeout ends the waiting, not the work', async () => {
    const call = client.call(
      'update_indexes',
      { project_id: project.project_id },
      { timeoutMs: 1, onProgress: () => undefined },
    );
    await assert.rejects(call, { code: 'TIMEOUT' });
    await waitFor('the work is done all the same', async () => {
      const { jobs } = await client.call('list_jobs');
      return jobs.find(({ method }) => method === 'update_indexes')?.state === 'done';
    });
  });
});
