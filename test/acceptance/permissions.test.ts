import assert from 'node:assert/strict';
import { chmodSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { addLostRows } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';

/** As most users have it, whatever this test runs under. */
const usualUmask = ['sh', '-c', 'umask 022; exec "$0" "$@"'];

const modeOf = (path: string): number => lstatSync(path).mode & 0o777;

test("the state directory's files are their user's only, also where it is 0755; projects keep usual modes", async (t) => {
  const sandbox = await Sandbox.create(t);
  const stateDir = sandbox.path('state');
  mkdirSync(stateDir);
  chmodSync(stateDir, 0o755);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', 'run.sh': { content: 'true\n', mode: 0o755 } });
  const daemon = await sandbox.startDaemon({ stateDir, under: usualUmask });
  const project = await daemon.addProject(root);
  const lost = addLostRows(daemon, project, 4);
  await daemon.stopWorkers('file_watcher');
  await daemon.repair({ project_id: project.project_id });
  await daemon.call('backup_database', {});

  const open = readdirSync(stateDir, { encoding: 'utf8' }).filter(
    (name) => (modeOf(join(stateDir, name)) & 0o077) !== 0,
  );
  assert.deepEqual(open, [], 'open to others');
  for (const name of readdirSync(join(stateDir, 'logs')))
    assert.equal(modeOf(join(stateDir, 'logs', name)), 0o600, name);

  for (const [path, source] of lost) {
    assert.equal(modeOf(join(root, path)), modeOf(join(root, source)), path);
    assert.equal(modeOf(join(root, path, '..')), 0o755, `the folder of ${path}`);
  }
  assert.equal(modeOf(join(root, 'lost')), 0o755);
});
