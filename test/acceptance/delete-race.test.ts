import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Daemon, type Project, versionPath } from '../harness/daemon.js';
import { pathsBelow } from '../harness/folder.js';
import { canTrace, haltAt, killAt } from '../harness/strace.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, sha256 } from '../harness/trees.js';
import { waitFor, within } from '../harness/waiting.js';

/** A save is tried at so many instants of a call, so far apart (ms): more than the whole of one. */
const instants = 30;
const apartMs = 0.7;

const saves: Record<string, (path: string, text: string) => void> = {
  'by rename': (path, text) => {
    writeFileSync(`${path}~`, text);
    renameSync(`${path}~`, path);
  },
  'in place': (path, text) => writeFileSync(path, text),
};

async function watched(t: TestContext): Promise<{ daemon: Daemon; project: Project; path: string }> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 0\n', 'b.py': 'b = 0\n' });
  const daemon = await sandbox.startDaemon();
  return { daemon, project: await daemon.addProject(root), path: join(root, 'a.py') };
}

function isKept(daemon: Daemon, project: Project, text: string): boolean {
  const hash = sha256(Buffer.from(text));
  const folders = [project.root_dir, versionPath(project)];
  if (folders.some((folder) => [...filesOf(folder).values()].some(({ content }) => content === hash)))
    return true;
  return daemon.sql((db) => db.prepare('SELECT 1 FROM contents WHERE sha256 = ?').get(hash)) !== undefined;
}

/** Null where nothing is. */
function textAt(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

for (const [how, save] of Object.entries(saves)) {
  test(`a save ${how} at any instant of a delete_file is kept somewhere`, async (t) => {
    const { daemon, project, path } = await watched(t);
    const { project_id } = project;
    for (let instant = 0; instant < instants; instant += 1) {
      writeFileSync(path, `before = ${instant}\n`);
      const deleting = daemon.client.callAny('delete_file', { project_id, path: 'a.py' }).catch(String);
      await delay(0);
      const saveAt = performance.now() + instant * apartMs;
      while (performance.now() < saveAt) await delay(0);
      const text = `saved = ${instant}\n`;
      save(path, text);
      const isThere = textAt(path) === text;
      await deleting;
      if (isThere) assert.ok(isKept(daemon, project, text), `the save at ${instant * apartMs} ms is lost`);
    }
  });
}

test('a save right after a delete_file stays, and its row is unmarked', async (t) => {
  const { daemon, project, path } = await watched(t);
  const { project_id } = project;
  for (let round = 0; round < 4; round += 1) {
    await daemon.call('delete_file', { project_id, path: 'a.py' });
    const text = `round = ${round}\n`;
    writeFileSync(path, text);
    await daemon.call('wait_until_fresh', { project_id });
    assert.equal(readFileSync(path, 'utf8'), text);
    assert.deepEqual(await daemon.paths(project_id), ['a.py', 'b.py']);
    assert.deepEqual(await daemon.paths(project_id, true), []);
  }
});

test('a daemon that dies while it deletes leaves the file at its path, or deleted with its copy', async (t) => {
  if (!canTrace()) return t.skip('strace cannot attach to a process');
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 0\n', 'b.py': 'b = 0\n' });
  const config = { autostart: [] };
  const path = join(root, 'a.py');
  let daemon = await sandbox.startDaemon({ config });
  const project = await daemon.addProject(root);
  const { project_id } = project;
  const outcomes = new Set<boolean>();
  for (const syscall of ['rename:when=1', 'unlink:when=2', 'rmdir:when=1']) {
    daemon.mayLogErrors = true;
    const text = `at = "${syscall}"\n`;
    writeFileSync(path, text);
    await daemon.call('update_indexes', { project_id });
    const { end } = await killAt(t, await indexServicePid(daemon), syscall);
    await daemon.client.callAny('delete_file', { project_id, path: 'a.py' }).catch(String);
    await daemon.stop('SIGKILL');
    await within('strace is detached', end);
    daemon = await sandbox.startDaemon({ config });
    await daemon.call('update_indexes', { project_id });
    const hidden = pathsBelow(root).filter((name) => name.includes('.codekeep-'));
    assert.deepEqual(hidden, [], syscall);
    const isThere = existsSync(path);
    assert.equal(readFileSync(isThere ? path : versionPath(project, 'a.py'), 'utf8'), text, syscall);
    assert.deepEqual(await daemon.paths(project_id), isThere ? ['a.py', 'b.py'] : ['b.py'], syscall);
    assert.deepEqual(await daemon.paths(project_id, true), isThere ? [] : ['a.py'], syscall);
    outcomes.add(isThere);
  }
  daemon.mayLogErrors = true;
  assert.deepEqual(outcomes, new Set([true, false]), 'killed before and after it was decided');
});

test('a deletion whose process dies half way did not happen, and can be asked for again', async (t) => {
  if (!canTrace()) return t.skip('strace cannot attach to a process');
  const { daemon, project, path } = await watched(t);
  const { project_id, root_dir } = project;
  const takenAside = (): string[] => readdirSync(root_dir).filter((name) => name.endsWith('.taken'));
  let said = 'fresh';
  const subscription = await daemon.client.subscribe(['index'], (event) => {
    if (event.type === 'freshness') said = event.freshness;
  });
  const pid = await indexServicePid(daemon);
  const { detach } = await haltAt(t, pid, 'rename:when=1');
  const deleting = daemon.client.callAny('delete_file', { project_id, path: 'a.py' }).catch(String);
  await waitFor('it is halted with the file aside', () => !existsSync(path) && takenAside().length === 1);
  await detach();

  await waitFor('the watcher has seen it', () => said === 'stale');
  daemon.mayLogErrors = true;
  process.kill(pid, 'SIGKILL');
  await deleting;
  await waitFor('it is called fresh again', () => said === 'fresh');
  assert.deepEqual(takenAside(), []);
  assert.equal(readFileSync(path, 'utf8'), 'a = 0\n');
  assert.deepEqual(causes(daemon), { 'a.py': null, 'b.py': null });

  await daemon.call('delete_file', { project_id, path: 'a.py' });
  assert.equal(readFileSync(versionPath(project, 'a.py'), 'utf8'), 'a = 0\n');
  assert.deepEqual(causes(daemon), { 'a.py': 'asked', 'b.py': null });
  await subscription.end();
});

test('a deletion that was cut off can be asked for again where nobody watches', async (t) => {
  if (!canTrace()) return t.skip('strace cannot attach to a process');
  const { daemon, project, path } = await watched(t);
  const { project_id } = project;
  await daemon.stopWorkers('file_watcher');
  const pid = await indexServicePid(daemon);
  const { detach } = await haltAt(t, pid, 'rename:when=1');
  const deleting = daemon.client.callAny('delete_file', { project_id, path: 'a.py' }).catch(String);
  await waitFor('it is halted with the file aside', () => !existsSync(path));
  await detach();
  daemon.mayLogErrors = true;
  process.kill(pid, 'SIGKILL');
  await deleting;
  await daemon.call('delete_file', { project_id, path: 'a.py' });
  assert.ok(!existsSync(path));
  assert.equal(readFileSync(versionPath(project, 'a.py'), 'utf8'), 'a = 0\n');
  assert.deepEqual(causes(daemon), { 'a.py': 'asked', 'b.py': null });
});

/** Why each path is marked deleted; null for what is not. */
function causes(daemon: Daemon): Record<string, unknown> {
  const rows = daemon.sql((db) => db.prepare('SELECT path, cause FROM files').raw().all());
  return Object.fromEntries(rows as [string, unknown][]);
}

async function indexServicePid(daemon: Daemon): Promise<number> {
  const status = await daemon.call('get_worker_status', {});
  assert.ok('workers' in status);
  const service = status.workers.find(({ worker_type: type }) => type === 'index_service');
  return service?.processes[0]?.pid ?? assert.fail('index_service runs');
}
