import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import type { Daemon, Project } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, sha256, type TreeEntry } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

suite('the index of a real source tree', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let project: Project;
  let onDisk: Map<string, TreeEntry>;

  before(async () => {
    const root = await sandbox.projectCopy();
    onDisk = filesOf(root);
    daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
    project = await daemon.addProject(root);
  });

  test('counts what an independent walk counts', async () => {
    assert.ok(onDisk.size >= 1_000, `a real tree has 1,000 files, this one ${onDisk.size}`);
    const { files } = await daemon.call('get_project_status', { project_id: project.project_id });
    assert.deepEqual(files, {
      total: onDisk.size,
      active: onDisk.size,
      deleted: 0,
      pending: 0,
      skipped: 0,
      not_restorable: 0,
    });
  });

  test('lists every file once, page by page, with its mode, size and hash', async () => {
    const listed = await daemon.files(project.project_id, false, 100);
    const expected = [...onDisk].map(([path, { mode, content }]) => [path, mode.padStart(4, '0'), content]);
    assert.deepEqual(
      listed.map(({ path, mode, sha256: hash }) => [path, mode, hash]),
      expected,
    );
  });

  test('renders every file to the bytes on disk', async () => {
    for (const [path, { content: hash }] of onDisk) {
      const file = await daemon.call('get_file', { project_id: project.project_id, path });
      const bytes = readFileSync(join(project.root_dir, path));
      const rendered = Buffer.from(file.content, file.encoding);
      assert.ok(rendered.equals(bytes), `${path} is rendered as it is on disk`);
      assert.equal(file.sha256, hash);
      assert.equal(sha256(rendered), hash);
      assert.equal(file.size, bytes.length);
    }
  });

  test('passes its own deep check', async () => {
    const { ok, problems, contents_checked } = await daemon.call('check_database', { deep: true });
    assert.deepEqual({ ok, problems }, { ok: true, problems: [] });
    assert.equal(contents_checked, new Set([...onDisk.values()].map(({ content }) => content)).size);
  });

  test('is fresh once all is indexed, and the watcher says that it waits', async () => {
    await waitFor('fresh', async () => {
      const { freshness } = await daemon.call('get_project_status', { project_id: project.project_id });
      return freshness === 'fresh';
    });
    const status = await daemon.call('get_worker_status', { worker_type: 'file_watcher' });
    assert.ok('state' in status);
    assert.deepEqual([status.state, status.current_operation, status.progress], ['ready', null, null]);
  });

  test('finds entities, a syntax tree and words of it', async () => {
    const { project_id } = project;
    const path = 'zod/src/v4/core/util.ts';
    const { entities } = await daemon.call('list_code_entities', { project_id, path, name: 'assertEqual' });
    assert.deepEqual([entities.length, entities[0]?.kind, entities[0]?.path], [1, 'function', path]);
    const { tree, language } = await daemon.call('get_ast', { project_id, path, max_depth: 2 });
    assert.deepEqual([language, tree.kind], ['typescript', 'program']);
    const { results } = await daemon.call('search', { query: 'assertEqual', mode: 'fulltext', project_id });
    assert.ok(results.some((hit) => hit.path.includes('util')));
  });

  test('looks again without changing anything', async () => {
    const result = await daemon.call('update_indexes', { project_id: project.project_id });
    assert.ok('files_added' in result);
    const { files_added, files_changed, files_deleted, files_unchanged } = result;
    assert.deepEqual([files_added, files_changed, files_deleted, files_unchanged], [0, 0, 0, onDisk.size]);
  });
});
