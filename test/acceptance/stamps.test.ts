import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { editBackDated } from '../harness/back-dated.js';
import type { Daemon } from '../harness/daemon.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

async function contentOf(daemon: Daemon, project_id: string, path: string): Promise<string> {
  return (await daemon.call('get_file', { project_id, path })).content;
}

test('an edit of the same size whose time was given back is indexed: while watched, and while the daemon is down', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const path = join(root, 'a.py');
  // A time that a file system and utimes(2) both keep whole, so that nothing else tells.
  utimesSync(path, 1_000_000_000, 1_000_000_000);
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  editBackDated(path, 'a = 2\n');
  await daemon.call('wait_until_fresh', { project_id });
  assert.equal(await contentOf(daemon, project_id, 'a.py'), 'a = 2\n');
  await daemon.stop();
  editBackDated(path, 'a = 3\n');
  const next = await sandbox.startDaemon();
  await next.call('wait_until_fresh', { project_id });
  assert.equal(await contentOf(next, project_id, 'a.py'), 'a = 3\n');
});

test('a change through a hard link outside of the project is followed in seconds, and the status says so', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const outside = sandbox.path('outside.py');
  linkSync(join(root, 'a.py'), outside);
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  await waitFor('a watcher says so', async () => {
    const { reason } = await daemon.call('get_project_status', { project_id });
    return reason?.includes('hard links') === true;
  });
  appendFileSync(outside, 'b = 2\n');
  await waitFor('the change is indexed', async () =>
    (await contentOf(daemon, project_id, 'a.py')).includes('b = 2'),
  );
});

test('a project on a file system without reliable events is polled, and the status says so', async (t) => {
  const sandbox = await Sandbox.create(t);
  const lower = await sandbox.project({ 'a.py': 'a = 1\n' });
  const root = sandbox.path('merged');
  const isMounted = sandbox.mount(sandbox.path('layers'), '-t', 'tmpfs', 'tmpfs');
  if (!isMounted) return t.skip('nothing can be mounted here');
  const [upper, work] = [sandbox.path('layers/upper'), sandbox.path('layers/work')];
  for (const folder of [upper, work]) mkdirSync(folder);
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  if (!sandbox.mount(root, '-t', 'overlay', '-o', layers, 'overlay'))
    return t.skip('no overlay can be mounted here');
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  // A watcher that starts with the daemon may come later than the first client.
  const status = await waitFor('a watcher says so', async () => {
    const { freshness, reason } = await daemon.call('get_project_status', { project_id });
    return freshness !== 'unknown' && `${freshness}: ${reason}`;
  });
  assert.match(status, /^stale: .* on overlay/);
  // Through the layer below, of which the layer above hears nothing.
  writeFileSync(join(lower, 'b.py'), 'b = 1\n');
  await waitFor(
    'the change is indexed',
    async () => (await daemon.paths(project_id)).includes('b.py'),
    20_000,
  );
  return undefined;
});

/** Edits each file in a folder as soon as it has its name, until there are so many: same size, time put back. */
const eager = `
const { closeSync, openSync, readdirSync, statSync, utimesSync, writeSync } = require('node:fs');
const [, folder, count] = process.argv;
const seen = new Set();
const list = () => { try { return readdirSync(folder); } catch { return []; } };
while (seen.size < Number(count))
  for (const name of list()) {
    if (name.startsWith('.') || seen.has(name)) continue;
    seen.add(name);
    const path = folder + '/' + name;
    const { atime, mtime } = statSync(path);
    const fd = openSync(path, 'r+');
    writeSync(fd, 'DEF', 0);
    closeSync(fd);
    utimesSync(path, atime, mtime);
  }
`;

test('who edits files at the moment at which a repair brings them back is never taken for the repair', async (t) => {
  const sandbox = await Sandbox.create(t);
  const files = manyFiles(500);
  const root = await sandbox.project(
    Object.fromEntries(Object.entries(files).map(([path, text]) => [`all/${path.replace('/', '-')}`, text])),
  );
  const folder = join(root, 'all');
  for (const name of readdirSync(folder)) utimesSync(join(folder, name), 1_000_000_000, 1_000_000_000);
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const { project_id } = await daemon.addProject(root);
  rmSync(folder, { recursive: true });
  const editor = sandbox.spawn(process.execPath, ['-e', eager, folder, '500']);
  const edited = once(editor, 'exit');
  const { errors } = await daemon.repair({ project_id });
  assert.deepEqual([await edited, errors], [[0, null], []]);
  await daemon.call('update_indexes', { project_id });
  const { files: indexed } = await daemon.call('list_files', { project_id, limit: 1_000 });
  const onDisk = indexed.map(({ path }) => sha256(readFileSync(join(root, path))));
  assert.deepEqual(
    indexed.map((file) => file.sha256),
    onDisk,
  );
  assert.equal(indexed.length, 500);
});
