import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { isTemporaryName } from '#src/base/temporary-names.js';
import { sha256 } from '#src/base/hash.js';
import { renderContent } from '#src/store/contents.js';
import { markDeleted } from '#src/store/file-states.js';
import { listRuns, requireRuns } from '#src/store/journal.js';
import { verifyActions } from '#src/reconcile/repair/apply.js';
import { damageContent } from '../store/index-fixture.js';
import { pathsBelow } from '../harness/folder.js';
import { assertAllKept, copies, everyContent, snapshot, TestProject } from './project-fixture.js';

/** How a file stands when the repair comes. */
interface FileModel {
  content: string;
  mode: number;
  inProject: 'present' | 'edited' | 'absent' | 'folder' | 'symlink';
  inVersions: 'present' | 'other' | 'absent' | 'folder' | 'symlink';
  deleted: boolean;
  damaged: boolean;
}

const names = ['a.py', 'b.txt', 'd/a.py', 'd/e/f.ts', 'g/h', 'x y', 'ä/ö.md', 'bin', '%.c'];
const fileModel: fc.Arbitrary<FileModel> = fc.record({
  content: fc.oneof(
    fc.constantFrom('', 'def f():\n  return 1\n', 'shared', '\r\n', '\uFEFFx', '\0binary'),
    fc.string({ unit: 'binary', maxLength: 40 }),
  ),
  mode: fc.constantFrom(0o644, 0o755, 0o600, 0o444, 0o4711),
  inProject: fc.constantFrom('present', 'edited', 'absent', 'absent', 'absent', 'folder', 'symlink'),
  inVersions: fc.constantFrom('present', 'other', 'absent', 'absent', 'absent', 'folder', 'symlink'),
  deleted: fc.boolean(),
  damaged: fc.boolean(),
});
const projectModel = fc.dictionary(fc.constantFrom(...names), fileModel, {
  minKeys: 1,
  maxKeys: names.length,
});

/** Indexes every file, then brings disk and rows into the modelled states. */
async function build(t: Pick<TestContext, 'after'>, model: Record<string, FileModel>): Promise<TestProject> {
  const project = new TestProject(t);
  for (const [path, { content, mode }] of Object.entries(model)) project.write(path, content, mode);
  await project.reconcile();
  for (const [path, file] of Object.entries(model)) {
    const { inProject, inVersions, deleted, damaged } = file;
    if (deleted) markDeleted(project.index, project.row(path).id, 'unseen', 1);
    const hash = project.row(path).sha256 ?? '';
    if (damaged && 'bytes' in renderContent(project.index, hash)) damageContent(project.index, hash, 90);
    if (inProject !== 'present') project.remove(path);
    place(project.at(path), inProject === 'edited' ? 'other' : inProject, file.content);
    place(project.versions.pathOf(path), inVersions, file.content);
  }
  return project;
}

function place(absolute: string, what: FileModel['inVersions'], content: string): void {
  if (what === 'absent') return;
  mkdirSync(dirname(absolute), { recursive: true });
  if (what === 'folder') mkdirSync(absolute, { recursive: true });
  else if (what === 'symlink') symlinkSync('/etc/hostname', absolute);
  else writeFileSync(absolute, what === 'other' ? `other than ${content}` : content);
}

test('whatever state a project is in, a repair loses and changes nothing and ends in agreement', async (t) => {
  await fc.assert(
    fc.asyncProperty(projectModel, async (model) => {
      const cleanups: (() => void)[] = [];
      const project = await build({ after: (work: () => void) => void cleanups.unshift(work) }, model);
      try {
        await checkRepair(project, model);
      } finally {
        for (const cleanup of cleanups) cleanup();
      }
    }),
    { numRuns: Number(process.env['REPAIR_RUNS'] ?? 60) },
  );
  t.diagnostic('invariants: no loss, no clobber, containment, pure dry run, byte-exact, idempotent');
});

async function checkRepair(project: TestProject, model: Record<string, FileModel>): Promise<void> {
  const filesBefore = snapshot(project.root);
  const contentsBefore = everyContent(project);
  const rowsBefore = project.rows();
  writeFileSync(join(project.folder, 'outside'), 'outside');
  const outsideBefore = snapshot(project.folder)['outside'];

  const dry = await project.plan();
  assert.deepEqual(snapshot(project.root), filesBefore, 'planning touched the disk');
  assert.deepEqual(project.rows(), rowsBefore, 'planning touched the rows');
  assert.equal(listRuns(project.index, null, 10).length, 0);

  const { plan, outcome } = await project.repair();
  assert.deepEqual(plan, dry.plan);
  assert.deepEqual(
    [...outcome.done].sort(byId),
    [...plan.actions].sort(byId),
    'done is not what was planned',
  );
  assert.deepEqual([outcome.errors, outcome.conflicts], [[], []]);

  const filesAfter = snapshot(project.root);
  for (const [path, what] of Object.entries(filesBefore))
    assert.equal(filesAfter[path], what, `${path} was changed`);
  assertAllKept(project, contentsBefore);
  for (const path of Object.keys(filesAfter))
    assert.ok(!isTemporaryName(path.slice(path.lastIndexOf('/') + 1)), `${path} is left over`);
  assert.equal(snapshot(project.folder)['outside'], outsideBefore);

  for (const { verdict, path, targets } of plan.actions) {
    const row = project.row(path);
    const { content, mode } = model[path] ?? { content: '', mode: 0 };
    assert.equal(
      row.deleted === 1,
      verdict === 'set_deleted' || (verdict === 'restore_from_cst' && targets.length === 1),
    );
    for (const target of targets) {
      const absolute = target === 'project' ? project.at(path) : project.versions.pathOf(path);
      assert.ok(readFileSync(absolute).equals(Buffer.from(content)), path);
      const seen = target === 'project' ? filesAfter : copies(project);
      assert.equal(seen[path], `file ${mode.toString(8)} ${sha256(Buffer.from(content))}`);
    }
  }
  const again = await project.plan();
  assert.deepEqual(again.plan.actions, []);
  assert.deepEqual(again.plan.conflicts.length, plan.conflicts.length);
}

const byId = (a: { id: number }, b: { id: number }): number => a.id - b.id;

test('rows with paths that lead elsewhere are conflicts, for a repair and for a comparison', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'a');
  await project.reconcile();
  const evil = ['../escaped', '../../../../escaped', '/escaped', 'd/../../escaped', './a', ''];
  const { index } = project;
  for (const path of evil) {
    index
      .sql(
        `INSERT INTO files (project_id, path, size, mtime_ns, ino, mode, sha256, updated_at)
         SELECT project_id, ?, size, mtime_ns, ino, mode, sha256, updated_at FROM files WHERE path = 'a'`,
      )
      .run(path);
  }
  const before = snapshot(project.folder);
  const { plan } = await project.repair();
  assert.deepEqual(plan.conflicts.map(({ path }) => path).sort(), [...evil].sort());
  await project.reconcile();
  const after = snapshot(project.folder);
  assert.deepEqual(
    Object.keys(after).filter((path) => path.includes('escaped')),
    [],
  );
  assert.deepEqual(filesIn(after), filesIn(before));
  assert.equal(project.row('a').deleted, 0);
});

/** Without the index, which a test may have written to. */
const filesIn = (seen: Record<string, string>): string[] =>
  Object.keys(seen).filter((path) => seen[path]?.startsWith('file ') && !path.startsWith('state/'));

test('a lost project comes back whole, with odd contents and modes', async (t) => {
  const project = new TestProject(t, { versionDir: '../versions' });
  const contents = {
    'a.py': 'x = 1\r\n',
    'd/b.bin': Buffer.from([0, 255, 128]),
    'd/empty': '',
    'e/ä': '\uFEFFx',
  };
  for (const [path, content] of Object.entries(contents)) project.write(path, content, 0o751);
  await project.reconcile();
  const before = filesIn(snapshot(project.root));
  for (const name of ['a.py', 'd', 'e']) project.remove(name);
  const { outcome } = await project.repair();
  assert.equal(outcome.done.length, 4);
  const applied = project.told.filter(([phase]) => phase === 'apply').map(([, done, total]) => [done, total]);
  assert.deepEqual(
    applied,
    [0, 1, 2, 3, 4].map((done) => [done, 4]),
  );
  assert.deepEqual(filesIn(snapshot(project.root)), before);
  for (const [path, content] of Object.entries(contents)) {
    assert.ok(readFileSync(project.at(path)).equals(Buffer.from(content)));
    assert.ok(readFileSync(project.versions.pathOf(path)).equals(Buffer.from(content)));
  }
  assert.deepEqual(project.marks().deleted, []);
  assert.deepEqual((await project.reconcile()).changed, 0);
});

test('a folder of versions that leads elsewhere is refused, and the other actions are done', async (t) => {
  const project = new TestProject(t, { versionDir: 'data/versions' });
  for (const path of ['a', 'b', 'c']) project.write(path);
  await project.reconcile();
  markDeleted(project.index, project.row('b').id, 'unseen', 1);
  project.remove('a');
  const elsewhere = join(project.folder, 'elsewhere');
  mkdirSync(elsewhere);
  symlinkSync(elsewhere, project.at('data'));
  const { plan, outcome } = await project.repair();
  assert.deepEqual(pathsBelow(elsewhere), []);
  assert.deepEqual(
    outcome.done.map(({ path }) => path),
    ['b'],
  );
  assert.match(plan.conflicts[0]?.reason ?? '', /in versions a parent of it is a symlink/u);
  assert.deepEqual([outcome.conflicts, outcome.errors], [[], []]);
  assert.equal(project.row('b').deleted, 0);
  assert.equal(project.has('a'), false);
});

test('a target that appears after the plan is a conflict and is left as it is', async (t) => {
  const project = new TestProject(t);
  for (const path of ['a', 'b']) project.write(path);
  await project.reconcile();
  for (const path of ['a', 'b']) project.remove(path);
  const planned = await project.plan();
  project.write('a', 'appeared');
  const outcome = await project.execute(planned);
  assert.deepEqual(
    outcome.conflicts.map(({ path }) => path),
    ['a'],
  );
  assert.equal(project.read('a'), 'appeared');
  assert.equal(project.read('b'), 'content of b\n');
  assert.deepEqual(pathsBelow(project.versions.root), ['b']);
});

test('a root that goes away between plan and execution changes nothing', async (t) => {
  const project = new TestProject(t, { versionDir: '../versions' });
  for (const path of ['a', 'b', 'c']) project.write(path);
  await project.reconcile();
  markDeleted(project.index, project.row('c').id, 'unseen', 1);
  mkdirSync(project.versions.root, { recursive: true });
  writeFileSync(project.versions.pathOf('a'), 'content of a\n');
  project.remove('a');
  const planned = await project.plan();
  assert.deepEqual(planned.plan.actions.map(({ verdict }) => verdict).sort(), [
    'clear_deleted',
    'set_deleted',
  ]);
  rmSync(project.root, { recursive: true });
  const { done } = await project.execute(planned);
  assert.deepEqual(done, []);
  assert.equal(project.row('a').deleted, 0);
});

test('a root that is away: every row that misses its file is unknown, with force too', async (t) => {
  const project = new TestProject(t, { versionDir: '../versions' });
  for (const path of ['a', 'b']) project.write(path);
  await project.reconcile();
  rmSync(project.root, { recursive: true });
  for (const force of [false, true]) {
    const { plan, outcome } = await project.repair({ force });
    assert.deepEqual([plan.actions, outcome.done], [[], []]);
    assert.equal(plan.totals.unknown, 2);
    assert.match(plan.unknown[0]?.reason ?? '', /cannot be (?:read|looked at)/);
  }
  assert.deepEqual(project.marks(), { active: ['a', 'b'], deleted: [] });
});

test('the journal says what was done', async (t) => {
  const project = new TestProject(t);
  project.write('a');
  await project.reconcile();
  project.remove('a');
  await project.repair();
  const [run] = listRuns(project.index, project.projectId, 10);
  assert.ok(run);
  assert.deepEqual([run.state, run.actions, run.origin], ['done', 1, 'command']);
  assert.ok(run.finishedAt !== null && requireRuns(project.index, run.runId).length === 1);
});

test('what somebody writes while a repair goes on is theirs, and no failure of the repair', async (t) => {
  const project = new TestProject(t);
  for (const path of ['edited.py', 'torn.py']) project.write(path);
  await project.reconcile();
  for (const path of ['edited.py', 'torn.py']) project.remove(path);
  const { outcome } = await project.repair();
  assert.deepEqual([outcome.done.length, outcome.errors], [2, []]);
  project.write('edited.py', 'saved right after it came back\n');
  writeFileSync(project.versions.pathOf('torn.py'), 'not what was written');
  const { signal } = new AbortController();
  const context = { index: project.index, project: project.project, rootDoubt: null, force: false, signal };
  assert.deepEqual(await verifyActions(context, outcome.done), [
    'torn.py: versions does not read back as written',
  ]);
});
