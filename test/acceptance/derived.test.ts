/** What search knows can be lost at any time: it costs no file and no content, and comes back by itself. */
import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

const files = {
  'src/header.ts': 'export function parseHeader(text: string): string[] {\n  return text.split(":");\n}\n',
  'src/reader.py': 'class Reader:\n    def read_all(self):\n        return self.source.read()\n',
};

const derivedPath = (daemon: Daemon, projectId: string): string =>
  join(daemon.stateDir, 'derived', `${projectId}.db`);

async function finds(daemon: Daemon, query: string): Promise<string[]> {
  const { results } = await daemon.call('search', { query, mode: 'fulltext' });
  return results.map(({ path }) => path);
}

/** Also while what it knows is being made again, which is said by an error. */
async function isFound(daemon: Daemon, query: string, path: string): Promise<boolean> {
  try {
    return (await finds(daemon, query)).includes(path);
  } catch (error) {
    assert.match(String(error), /made again|damaged/u);
    return false;
  }
}

test('a derived database that is removed under the daemon is made again', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(await sandbox.project(files));
  assert.deepEqual(await finds(daemon, 'parse header'), ['src/header.ts']);
  for (const end of ['', '-wal', '-shm']) rmSync(`${derivedPath(daemon, project_id)}${end}`, { force: true });
  await waitFor('it is made again', async () => await isFound(daemon, 'parse header', 'src/header.ts'));
  const { entities } = await daemon.call('list_code_entities', { project_id, name: 'read_all' });
  assert.deepEqual(
    entities.map(({ path }) => path),
    ['src/reader.py'],
  );
});

test('a derived database that is overwritten while nothing runs is made again at the start', async (t) => {
  const sandbox = await Sandbox.create(t);
  const first = await sandbox.startDaemon();
  const { project_id } = await first.addProject(await sandbox.project(files));
  await first.stop();
  const path = derivedPath(first, project_id);
  writeFileSync(path, Buffer.alloc(statSync(path).size, 0x5a));
  const daemon = await sandbox.startDaemon();
  await waitFor('it is made again', async () => await isFound(daemon, 'read all', 'src/reader.py'));
  assert.equal((await daemon.call('get_project_status', { project_id })).files.active, 2);
});

test('pages that are damaged are found by whoever needs them, and all of it is made again', async (t) => {
  const sandbox = await Sandbox.create(t);
  const first = await sandbox.startDaemon();
  const { project_id } = await first.addProject(await sandbox.project(files));
  await first.stop();
  const path = derivedPath(first, project_id);
  // All but the first page, by which SQLite knows what it is.
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(statSync(path).size - 4_096, 0xff), 0, statSync(path).size - 4_096, 4_096);
  closeSync(fd);
  const daemon = await sandbox.startDaemon();
  await waitFor('it is made again', async () => await isFound(daemon, 'parse header', 'src/header.ts'));
  const { results } = await daemon.call('search', { query: 'read all', mode: 'hybrid' });
  assert.equal(results[0]?.path, 'src/reader.py');
});

test('an older copy that takes the place of the one in use is not believed, whatever the log beside it says', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const first = await sandbox.startDaemon();
  const { project_id } = await first.addProject(root);
  await first.stop();
  const path = derivedPath(first, project_id);
  const copy = sandbox.path('older.db');
  copyFileSync(path, copy);
  const second = await sandbox.startDaemon();
  writeFileSync(join(root, 'later.py'), 'def later():\n    return "the latest words"\n');
  await second.call('wait_until_fresh', { project_id });
  await second.stop();
  const daemon = await sandbox.startDaemon();
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await finds(daemon, 'latest words'), ['later.py']);
  copyFileSync(copy, `${path}-copy`);
  renameSync(`${path}-copy`, path);
  writeFileSync(join(root, 'last.py'), 'def last():\n    return "ultimate"\n');
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await finds(daemon, 'latest words'), ['later.py']);
  assert.deepEqual(await finds(daemon, 'ultimate'), ['last.py']);
  assert.deepEqual(await finds(daemon, 'parse header'), ['src/header.ts']);
});

test('what is lost of it is no answer that is called fresh, before the watcher has noticed it, too', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(await sandbox.project(files));
  const watcher = (await daemon.workerPid('file_watcher')) ?? assert.fail();
  process.kill(watcher, 'SIGSTOP');
  try {
    for (const end of ['', '-wal', '-shm'])
      rmSync(`${derivedPath(daemon, project_id)}${end}`, { force: true });
    const { results, freshness } = await daemon.call('search', { query: 'parse header', project_id });
    assert.deepEqual([results, freshness], [[], 'rebuilding']);
    const status = await daemon.call('get_project_status', { project_id });
    assert.deepEqual(
      [status.freshness, status.reason],
      ['rebuilding', 'what search knows of it is made again'],
    );
    await assert.rejects(daemon.call('list_code_entities', { project_id }), /made again|damaged/u);
  } finally {
    process.kill(watcher, 'SIGCONT');
  }
  await waitFor('it is made again', async () => await isFound(daemon, 'parse header', 'src/header.ts'));
});

test('a file in the place of the folder is said, and keeps nothing else from working', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const first = await sandbox.startDaemon();
  await first.stop();
  rmSync(join(first.stateDir, 'derived'), { recursive: true, force: true });
  writeFileSync(join(first.stateDir, 'derived'), '');
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.call('add_project', { root_dir: root });
  await waitFor('it is said', async () => {
    const { reason } = await daemon.call('get_project_status', { project_id });
    return reason?.includes('is no folder') === true;
  });
  const file = await daemon.call('get_file', { project_id, path: 'src/reader.py' });
  assert.equal(file.content, files['src/reader.py']);
  assert.deepEqual(await finds(daemon, 'parse header'), []);
  rmSync(join(daemon.stateDir, 'derived'));
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await finds(daemon, 'parse header'), ['src/header.ts']);
});

test('a project that is removed leaves nothing of what was made of it', async (t) => {
  const sandbox = await Sandbox.create(t);
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(await sandbox.project(files));
  assert.ok(existsSync(derivedPath(daemon, project_id)));
  await daemon.call('remove_project', { project_id });
  await waitFor('nothing is left', () => readdirSync(join(daemon.stateDir, 'derived')).length === 0);
  assert.deepEqual(await finds(daemon, 'parse header'), []);
  // As a process leaves it that was at work on it then.
  await daemon.stop();
  writeFileSync(derivedPath(daemon, project_id), 'left over');
  const next = await sandbox.startDaemon();
  // Once the index is open.
  assert.deepEqual((await next.call('list_projects', {})).projects, []);
  assert.equal(existsSync(derivedPath(next, project_id)), false);
});

test('an answer is given only of files that have the content still', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ ...files, 'copy.ts': files['src/header.ts'] });
  const daemon = await sandbox.startDaemon();
  const { project_id } = await daemon.addProject(root);
  assert.deepEqual((await finds(daemon, 'parse header')).sort(), ['copy.ts', 'src/header.ts']);
  writeFileSync(join(root, 'copy.ts'), 'export const nothing = 0;\n');
  rmSync(join(root, 'src/header.ts'));
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await finds(daemon, 'parse header'), []);
  writeFileSync(join(root, 'back.ts'), files['src/header.ts']);
  await daemon.call('wait_until_fresh', { project_id });
  assert.deepEqual(await finds(daemon, 'parse header'), ['back.ts']);
});

test('an index of the release before is taken over: backed up, searchable, with all that it can bring back', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'src/greet.ts': 'export const other = 1;\n' });
  const stateDir = sandbox.path('state');
  const release = fileURLToPath(new URL('../../test/store/release-10.db.gz', import.meta.url));
  sandbox.spawn('mkdir', ['-p', stateDir]);
  await waitFor('the folder', () => existsSync(stateDir));
  writeFileSync(join(stateDir, 'index.db'), gunzipSync(readFileSync(release)));
  const db = new Database(join(stateDir, 'index.db'));
  db.prepare('UPDATE projects SET root_dir = ?, version_dir = ?').run(root, join(stateDir, 'versions'));
  db.prepare('UPDATE version_dirs SET path = ?, furnished = 0').run(join(stateDir, 'versions'));
  db.close();
  const daemon = await sandbox.startDaemon({ stateDir });
  const [project] = (await daemon.call('list_projects', {})).projects;
  const reference = { project_id: project?.project_id ?? '' };
  assert.equal(readdirSync(join(stateDir, 'backups')).length, 1);
  // It is in another place by now, with fewer files: what they were is there all the same.
  const file = await daemon.call('get_file', { ...reference, path: 'src/parse.py' });
  assert.match(file.content, /def parse_header/u);
  await daemon.call('accept_deletions', reference);
  await daemon.call('wait_until_fresh', reference);
  await daemon.call('restore_deleted_files', { ...reference, paths: ['src/parse.py', 'notes.md'] });
  await waitFor(
    'it is searchable',
    async () => await isFound(daemon, 'parse header message', 'src/parse.py'),
  );
  assert.match(readFileSync(join(root, 'notes.md'), 'utf8'), /Words about nothing/u);
});
