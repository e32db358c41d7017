import assert from 'node:assert/strict';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Daemon } from '../harness/daemon.js';
import { manyFiles, program, Sandbox } from '../harness/sandbox.js';
import { sha256 } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

/** Unbounded, its parser takes 1.5 GB as C++, and more than 2 GiB as Java or C#. */
const generics = 'a<b<c<'.repeat(50_000);

const freshMaxMs = 60_000;

async function untilFresh(daemon: Daemon, project_id: string): Promise<void> {
  await waitFor(
    'fresh',
    async () => (await daemon.call('get_project_status', { project_id })).freshness === 'fresh',
    freshMaxMs,
  );
}

test('a poison file is kept whole, and costs the other files and the watcher nothing', async (t) => {
  const sandbox = await Sandbox.create(t);
  const poison = { 'a.cpp': generics, 'b.java': `${generics} `, 'c.cs': `${generics}  ` };
  const root = await sandbox.project({ ...poison, ...manyFiles(50) });
  const config = { autostart: ['file_watcher'], worker_memory_max_bytes: 256 * 1024 ** 2 };
  const daemon = await sandbox.startDaemon({ config });
  const pid = await waitFor('the watcher runs', () => daemon.workerPid('file_watcher'));
  const { project_id } = await daemon.addProject(root);
  await untilFresh(daemon, project_id);
  assert.equal((await daemon.paths(project_id)).length, 53);
  const { results } = await daemon.call('search', { query: 'f49', project_id, mode: 'fulltext' });
  assert.equal(results[0]?.path, 'folder0/file49.py');
  for (const [path, content] of Object.entries(poison)) {
    assert.equal((await daemon.call('get_file', { project_id, path })).content, content);
    const { not_parsed } = await daemon.call('get_ast', { project_id, path, max_depth: 1 });
    // On a slow machine its time may be over before its memory.
    assert.match(not_parsed ?? 'parsed', /^(?:out_of_memory|timeout)$/u, path);
  }
  assert.equal(await daemon.workerPid('file_watcher'), pid);
});

test('a file that its parser died with twice is kept as one token, and the rest goes on', async (t) => {
  const sandbox = await Sandbox.create(t);
  // The C# grammar searches in it for a second and more: long enough to be killed meanwhile.
  const slow = 'abcdefghijklmnopqrstuvwxyz'.replaceAll(/./gu, '(($&)').repeat(3_000);
  const root = await sandbox.project({ 'a.cs': slow, 'b.py': 'def f(): pass\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
  daemon.mayLogErrors = true;
  // Refused where the watcher ends before it has looked; the project is there all the same.
  const added = daemon.call('add_project', { root_dir: root }).catch(() => null);
  const inHand = join(daemon.stateDir, 'in-hand');
  const entryOf = (pid: number | null): string | undefined => {
    const name = readdirSync(inHand).find((entry) => entry.startsWith(`${pid}.`));
    return name === undefined ? undefined : readFileSync(join(inHand, name), 'latin1');
  };
  for (let death = 1; death <= 2; death++) {
    const pid = await waitFor(
      `the file is in hand, ${death}`,
      async () => {
        const worker = await daemon.workerPid('file_watcher');
        return entryOf(worker)?.includes(sha256(slow)) === true ? worker : null;
      },
      freshMaxMs,
    );
    assert.ok(typeof pid === 'number');
    process.kill(pid, 'SIGKILL');
    await waitFor('it is gone', () => entryOf(pid) === undefined, freshMaxMs);
  }
  await added;
  const { projects } = await daemon.call('list_projects', {});
  const project_id = projects[0]?.project_id ?? '';
  await untilFresh(daemon, project_id);
  const { not_parsed } = await daemon.call('get_ast', { project_id, path: 'a.cs', max_depth: 1 });
  assert.equal(not_parsed, 'deadly');
  assert.equal((await daemon.call('get_file', { project_id, path: 'a.cs' })).content, slow);
  assert.equal((await daemon.call('get_ast', { project_id, path: 'b.py' })).not_parsed, null);
});

/** A copy of the package without its grammar of Python, and what puts that in its place. */
function packageWithoutPython(sandbox: Sandbox): { program: string; mend: () => void } {
  const [from, to] = [join(dirname(program), '..'), sandbox.path('package')];
  cpSync(dirname(program), join(to, 'dist'), { recursive: true });
  cpSync(join(from, 'package.json'), join(to, 'package.json'));
  const link = (folder: string, without: string): void => {
    mkdirSync(join(to, folder), { recursive: true });
    for (const name of readdirSync(join(from, folder)))
      if (name !== without) symlinkSync(realpathSync(join(from, folder, name)), join(to, folder, name));
  };
  const wasm = 'node_modules/@vscode/tree-sitter-wasm/wasm';
  const [grammar, manifest] = ['tree-sitter-python.wasm', `${dirname(wasm)}/package.json`];
  link('node_modules', '@vscode');
  link(wasm, grammar);
  cpSync(join(from, manifest), join(to, manifest));
  const mend = (): void => cpSync(join(from, wasm, grammar), join(to, wasm, grammar));
  return { program: join(to, 'dist', 'cli.js'), mend };
}

test('files whose grammar cannot be loaded are parsed soon after it can be, without an edit', async (t) => {
  const sandbox = await Sandbox.create(t);
  const { mend, ...without } = packageWithoutPython(sandbox);
  // So many are parsed by threads.
  const root = await sandbox.project({ ...manyFiles(60), 'b.css': 'p { color: red }\n' });
  const daemon = await sandbox.startDaemon(without);
  const { project_id } = await daemon.addProject(root);
  const reasonOf = async (): Promise<string> => {
    const { freshness, reason } = await daemon.call('get_project_status', { project_id });
    return `${freshness}: ${reason}`;
  };
  const entities = async (): Promise<number> =>
    (await daemon.call('list_code_entities', { project_id, limit: 1_000 })).entities.length;
  const notParsed = async (path: string): Promise<string | null> =>
    (await daemon.call('get_ast', { project_id, path })).not_parsed;
  // One that is parsed by itself.
  writeFileSync(join(root, 'saved.py'), 'def saved(): pass\n');
  await waitFor('it is known', async () => (await daemon.paths(project_id)).includes('saved.py'));
  await waitFor('the status says why', async () =>
    /^stale: .*not parsed yet: the grammar of python cannot be loaded: .*tree-sitter-python/u.test(
      await reasonOf(),
    ),
  );
  for (const path of ['saved.py', 'folder0/file49.py'])
    assert.equal(await notParsed(path), 'grammar_not_loaded');
  assert.equal(await notParsed('b.css'), null);
  const { results } = await daemon.call('search', { query: 'f49', project_id, mode: 'fulltext' });
  assert.equal(results[0]?.path, 'folder0/file49.py');
  const before = await entities();
  mend();
  await untilFresh(daemon, project_id);
  assert.equal(await entities(), before + 61);
  assert.equal(await notParsed('saved.py'), null);
  const { entries } = await daemon.call('view_worker_logs', {
    worker_type: 'file_watcher',
    search_pattern: 'grammar of python',
  });
  assert.equal(entries.length, 1, 'it was said once');
});

test('a file whose grammar could not be loaded is parsed by the next daemon', async (t) => {
  const sandbox = await Sandbox.create(t);
  const { mend, ...without } = packageWithoutPython(sandbox);
  const root = await sandbox.project({ 'a.py': 'def f(): pass\n' });
  const first = await sandbox.startDaemon({ ...without, config: { autostart: [] } });
  const { project_id } = await first.addProject(root);
  await first.call('update_indexes', { project_id });
  assert.equal((await first.call('get_ast', { project_id, path: 'a.py' })).not_parsed, 'grammar_not_loaded');
  await first.stop();
  mend();
  const next = await sandbox.startDaemon(without);
  await untilFresh(next, project_id);
  assert.equal((await next.call('get_ast', { project_id, path: 'a.py' })).not_parsed, null);
  assert.equal((await next.call('list_code_entities', { project_id })).entities.length, 1);
});
