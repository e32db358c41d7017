import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, ConnectionLostError } from '#src/rpc/client/client.js';
import { addLostRows } from '../harness/daemon.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

test('a client that goes away in the middle of a repair does not stop it; its result is recorded', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const project = await daemon.addProject(await sandbox.project(manyFiles(40)));
  const lost = addLostRows(daemon, project, 600);
  const client = await connect({ socket: daemon.socket });
  const call = client.call('repair_database', { project_id: project.project_id });
  call.catch(() => undefined);
  await waitFor('the first files', async () => {
    const { repair } = await daemon.call('health');
    return repair?.phase === 'apply' && repair.done > 0 && repair.done < lost.size;
  });
  client.close();
  await assert.rejects(call, ConnectionLostError);
  const run = await waitFor('the end of the repair', async () => {
    const { runs } = await daemon.call('list_repairs', { project_id: project.project_id });
    const { status } = await daemon.call('health');
    return status === 'ok' && runs[0];
  });
  assert.equal(run.state, 'done');
  assert.equal(run.actions, lost.size);
  const files = filesOf(project.root_dir, ['data']);
  for (const [path, source] of lost) assert.deepEqual(files.get(path), files.get(source), path);
});
