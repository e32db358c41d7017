import assert from 'node:assert/strict';
import { readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import type { Result } from '#src/contract/index.js';
import {
  type Daemon,
  moveIntoVersions,
  type Project,
  type RepairReport,
  versionPath,
} from '../harness/daemon.js';
import { actionsOf, markDeleted, pathsOf } from '../harness/repairs.js';
import { Sandbox } from '../harness/sandbox.js';
import { filesOf, sha256, treeHash, type TreeEntry } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

suite('a real source tree', () => {
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

  suite('its index', () => {
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
        ignored: 0,
        without_copy: 0,
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
      const path = 'zod/src/v4/core/errors.ts';
      const { entities } = await daemon.call('list_code_entities', {
        project_id,
        path,
        name: 'prettifyError',
      });
      assert.deepEqual([entities.length, entities[0]?.kind, entities[0]?.path], [1, 'function', path]);
      const { tree, language } = await daemon.call('get_ast', { project_id, path, max_depth: 2 });
      assert.deepEqual([language, tree.kind], ['typescript', 'program']);
      const { results } = await daemon.call('search', {
        query: 'prettifyError',
        mode: 'fulltext',
        project_id,
      });
      assert.ok(results.some((hit) => hit.path.includes('errors')));
    });

    test('gives entities in pages, each once', async () => {
      const asked = { project_id: project.project_id, kind: 'class' };
      const whole = await daemon.call('list_code_entities', { ...asked, limit: 10_000 });
      assert.equal(whole.next_cursor, null);
      const paged: typeof whole.entities = [];
      for (let cursor: string | null = ''; cursor !== null;) {
        const page: typeof whole = await daemon.call('list_code_entities', { ...asked, limit: 7, cursor });
        assert.ok(page.entities.length <= 7);
        paged.push(...page.entities);
        cursor = page.next_cursor;
      }
      assert.ok(paged.length > 20, `${paged.length}`);
      assert.deepEqual(paged, whole.entities);
    });

    test('looks again without changing anything', async () => {
      const result = await daemon.call('update_indexes', { project_id: project.project_id });
      assert.ok('files_added' in result);
      const { files_added, files_changed, files_deleted, files_unchanged } = result;
      assert.deepEqual([files_added, files_changed, files_deleted, files_unchanged], [0, 0, 0, onDisk.size]);
    });
  });

  suite('repair_database of it', () => {
    let lost: string[];
    let moved: string[];
    let marked: string[];
    let planned: RepairReport;
    let done: RepairReport;

    before(async () => {
      const root = project.root_dir;
      await daemon.stopWorkers('file_watcher', 'vectorization');
      // Spread over the tree, so that the three ways of losing a file meet in the same folders.
      const spread = [...onDisk.keys()].filter((_, index) => index % 13 === 0);
      [lost, moved, marked] = [spread.slice(0, 50), spread.slice(50, 70), spread.slice(70, 90)];
      for (const path of lost) unlinkSync(join(root, path));
      for (const path of moved) await moveIntoVersions(project, path);
      markDeleted(daemon, project, marked);
    });

    test('a dry run lists exactly what was lost, and changes nothing', async () => {
      const state = (): unknown => [treeHash(project.root_dir), treeHash(project.version_dir), daemon.dump()];
      const earlier = state();
      planned = await daemon.repair({ project_id: project.project_id, dry_run: true });
      assert.deepEqual(state(), earlier);
      assert.equal(planned.dry_run, true);
      assert.deepEqual(pathsOf(planned.files_restored_from_cst), lost);
      assert.deepEqual(pathsOf(planned.files_in_versions_marked_deleted), moved);
      assert.deepEqual(pathsOf(planned.files_in_project_restored), marked);
      assert.deepEqual(
        [planned.unrestorable, planned.conflicts, planned.unknown, planned.errors],
        [[], [], [], []],
      );
      const { checked, ok, restore_from_cst, set_deleted, clear_deleted } = planned.totals;
      assert.deepEqual(
        [checked, ok, restore_from_cst, set_deleted, clear_deleted],
        [onDisk.size, onDisk.size - 90, 50, 20, 20],
      );
      assert.equal(planned.backup_path, null);
    });

    test('the run does what the plan said', async () => {
      done = await daemon.repair({ project_id: project.project_id });
      assert.deepEqual(actionsOf(done), actionsOf(planned));
      assert.deepEqual([done.conflicts, done.errors, done.unrestorable], [[], [], []]);
      assert.equal(done.dry_run, false);
      for (const { targets } of done.files_restored_from_cst)
        assert.deepEqual(targets, ['versions', 'project']);
    });

    test('every lost file is back, in the project and in versions, with its bytes and its mode', () => {
      const inProject = filesOf(project.root_dir, ['data']);
      const inVersions = filesOf(versionPath(project));
      for (const path of lost) {
        assert.deepEqual(inProject.get(path), onDisk.get(path), path);
        assert.deepEqual(inVersions.get(path), onDisk.get(path), path);
      }
      for (const path of moved) assert.deepEqual(inVersions.get(path), onDisk.get(path), path);
      const expected = [...onDisk.keys()].filter((path) => !moved.includes(path));
      assert.deepEqual([...inProject.keys()], expected);
      assert.deepEqual([...inVersions.keys()], [...lost, ...moved].sort());
    });

    test('the marks are right', async () => {
      const { project_id } = project;
      assert.deepEqual(await daemon.paths(project_id, true), moved);
      const active = await daemon.paths(project_id);
      assert.deepEqual(
        active,
        [...onDisk.keys()].filter((path) => !moved.includes(path)),
      );
    });

    test('the index was backed up before, and passes its check after', async () => {
      assert.ok(done.backup_path !== null && filesOf(join(done.backup_path, '..')).size > 0);
      assert.deepEqual((await daemon.call('check_database', { deep: true })).problems, []);
    });

    test('get_repair pages through all actions of the run', async () => {
      type Action = Result<'get_repair'>['actions'][number];
      const actions: Action[] = [];
      let cursor: string | undefined;
      do {
        const page = await daemon.call('get_repair', {
          run_id: done.run_id,
          limit: 40,
          ...(cursor === undefined ? {} : { cursor }),
        });
        assert.ok(page.actions.length <= 40);
        assert.deepEqual([page.runs[0]?.state, page.runs[0]?.actions], ['done', 90]);
        actions.push(...page.actions);
        cursor = page.next_cursor ?? undefined;
      } while (cursor !== undefined);
      assert.deepEqual(pathsOf(actions), [...lost, ...moved, ...marked].sort());
      assert.ok(actions.every(({ state }) => state === 'done'));
      const { runs } = await daemon.call('list_repairs', { project_id: project.project_id });
      assert.deepEqual([runs[0]?.run_id, runs[0]?.origin], [done.run_id, 'command']);
    });

    test('a second run has no actions', async () => {
      const again = await daemon.repair({ project_id: project.project_id });
      assert.deepEqual(actionsOf(again), { unmarked: [], marked: [], restored: [] });
      assert.equal(again.totals['ok'], onDisk.size);
    });
  });
});
