import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

/** The kernel's queue of a process, so small that three projects fill it together and none of them alone. */
const queuedEvents = 2_048;
const filesEach = 700;
const limitPath = '/proc/sys/fs/inotify/max_queued_events';

test('three projects that overflow the one queue of events together miss no file', async (t) => {
  const usual = readFileSync(limitPath, 'utf8').trim();
  try {
    writeFileSync(limitPath, String(queuedEvents));
  } catch {
    return t.skip('fs.inotify.max_queued_events cannot be lowered here');
  }
  // Read by the kernel when a process begins to watch, and by the worker when it starts.
  t.after(() => writeFileSync(limitPath, usual));
  const sandbox = await Sandbox.create(t);
  const roots = await Promise.all([1, 2, 3].map(async () => await sandbox.project({ 'a.py': 'a = 1\n' })));
  const daemon = await sandbox.startDaemon({
    config: { autostart: ['file_watcher'], reconcile_interval: 3_600 },
  });
  const projects = [];
  for (const root of roots) projects.push(await daemon.addProject(root));
  const watcher = (await daemon.workerPid('file_watcher')) ?? assert.fail('no watcher');
  // It does not empty its queue, as while it parses something long.
  process.kill(watcher, 'SIGSTOP');
  for (let number = 0; number < filesEach; number += 1)
    for (const root of roots) writeFileSync(join(root, `f${number}.py`), `f = ${number}\n`);
  for (const root of roots) {
    mkdirSync(join(root, 'last'));
    writeFileSync(join(root, 'last/z.py'), 'z = 1\n');
  }
  process.kill(watcher, 'SIGCONT');
  const missing = (): number =>
    daemon.sql((db) => {
      const { files } = db.prepare('SELECT count(*) AS files FROM files WHERE deleted = 0').get() as {
        files: number;
      };
      return roots.length * (filesEach + 2) - files;
    });
  // Nobody asks: it notices by itself, far within its interval.
  await waitFor('every file is indexed', () => missing() === 0, 60_000);
  for (const { project_id } of projects)
    await waitFor('the project is fresh', async () => {
      return (await daemon.call('get_project_status', { project_id })).freshness === 'fresh';
    });
  return undefined;
});
