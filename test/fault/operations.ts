/** What changes an index or a project, each with what has to be true of it wherever it is cut off or disturbed. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { isTemporaryName } from '#src/base/temporary-names.js';
import { sha256 } from '#src/base/hash.js';
import { backup, backupsBeside } from '#src/store/backups.js';
import { treeOf } from '#src/store/contents.js';
import { markDeleted } from '#src/store/file-states.js';
import { canGiveBack } from '#src/store/compaction.js';
import { IndexDatabase, isOlder } from '#src/store/index-database.js';
import { listRuns } from '#src/store/journal.js';
import { checkContents, checkStructure, countRows } from '#src/store/maintenance.js';
import { settleReplacing } from '#src/store/replace-index.js';
import { filesWith } from '../harness/bytes.js';
import { waitFor } from '../harness/waiting.js';
import { rowSummary, snapshot, TestProject } from '../reconcile/project-fixture.js';
import { preciousIn, writeOlderIndex } from '../store/release-fixture.js';

export const operationNames = [
  'repair',
  'undo',
  'rewind',
  'delete',
  'backup',
  'rebuild',
  'restore',
  'migration',
  'purge',
] as const;
export type OperationName = (typeof operationNames)[number];

/** A project on which an operation is about to be done. */
export interface World {
  project: TestProject;
  indexPath: string;
  /** Further parameters of the process that does it. */
  parameters: string[];
  /** Whatever happened: nothing that anybody had is gone. */
  assertNothingLost: () => Promise<void>;
  /** It was done in the end, as if it had never been disturbed. */
  assertDone: (t: TestContext) => Promise<void>;
}

const projectId = '00000000-0000-4000-8000-000000000000';
const paths = Array.from({ length: 32 }, (_, number) => `d${number % 5}/e${number % 2}/f${number}.py`);

/** About 30 files in several folders; of each the index has what it was. */
async function wholeProject(
  t: Pick<TestContext, 'after'>,
  folders: readonly string[] = [],
): Promise<TestProject> {
  const project = new TestProject(t, { id: projectId });
  for (const [number, path] of paths.entries())
    project.write(path, `def f${number}():\n    return ${number}\n`, number % 3 === 0 ? 0o755 : 0o640);
  for (const folder of folders) mkdirSync(project.at(folder), { recursive: true });
  await project.reconcile();
  return project;
}

/** They need every kind of action. */
async function brokenProject(t: Pick<TestContext, 'after'>): Promise<TestProject> {
  const project = await wholeProject(t);
  for (const [number, path] of paths.entries()) {
    const kind = number % 8;
    if (kind === 0 || kind >= 6) markDeleted(project.index, project.row(path).id, 'unseen', 1);
    if (kind === 1) {
      mkdirSync(dirname(project.versions.pathOf(path)), { recursive: true });
      writeFileSync(project.versions.pathOf(path), project.read(path));
    }
    if (kind !== 0 && kind !== 2) project.remove(path);
  }
  return project;
}

/** What must not depend on where a run was cut off. */
function endState(project: TestProject): unknown {
  // A folder of versions that was made just before the kill keeps its first mode, which is the closest.
  const copies = Object.entries(snapshot(project.versions.root)).filter(([, what]) =>
    what.startsWith('file '),
  );
  return { files: snapshot(project.root), copies, rows: rowSummary(project) };
}

async function assertSound(index: IndexDatabase): Promise<void> {
  assert.deepEqual(checkStructure(index), []);
  assert.deepEqual((await checkContents(index)).problems, []);
  assert.ok(listRuns(index, null, 10).every(({ state }) => state !== 'running'));
}

function assertNoTemporaries(project: TestProject): void {
  const left = Object.keys(snapshot(project.root)).filter((path) =>
    isTemporaryName(path.slice(path.lastIndexOf('/') + 1)),
  );
  assert.deepEqual(left, [], 'temporary files are left over');
}

/** By the operation that ends in them: what an undisturbed one leaves. */
const undisturbed = new Map<OperationName, Promise<unknown>>();

/** A repair, an undo or a rewind: the same end, wherever it was cut off. */
function overProject(
  name: OperationName,
  prepare: (t: Pick<TestContext, 'after'>) => Promise<TestProject>,
  isKept: (path: string) => boolean,
): (t: TestContext, run: Run) => Promise<World> {
  return async (t, run) => {
    const expected = async (): Promise<unknown> => {
      const project = await prepare(t);
      assert.equal((await run(worldOf(project))).code, 0);
      const end = endState(project);
      project.close();
      return end;
    };
    if (!undisturbed.has(name)) undisturbed.set(name, expected());
    const end = await undisturbed.get(name);
    const project = await prepare(t);
    const before = snapshot(project.root);
    return {
      ...worldOf(project),
      async assertNothingLost() {
        const after = snapshot(project.root);
        for (const [path, what] of Object.entries(before))
          if (isKept(path)) assert.equal(after[path], what, path);
        await assertEveryContent(project);
      },
      async assertDone() {
        assert.deepEqual(endState(project), end);
        assertNoTemporaries(project);
        await assertSound(project.index);
      },
    };
  };
}

async function assertEveryContent(project: TestProject): Promise<void> {
  assert.deepEqual((await checkContents(project.index)).problems, []);
}

/** A third was edited, a third went, some with an empty folder in their place, and some came, also where there were empty folders. */
async function editedProject(t: Pick<TestContext, 'after'>): Promise<TestProject> {
  const folders = ['empty/a', 'empty/b', 'empty/c'];
  const project = await wholeProject(t, folders);
  await waitFor('the clock goes on', () => Date.now() > (project.project.recordedAt ?? 0));
  for (const [number, path] of paths.entries()) {
    if (number % 3 === 0) project.write(path, `def g${number}():\n    return 0\n`, 0o600);
    if (number % 3 === 1) project.remove(path);
    if (number % 6 === 1) mkdirSync(project.at(path), { recursive: true });
    if (number % 5 === 0) project.write(`new/n${number}.py`, `n = ${number}\n`);
  }
  for (const folder of folders) project.remove(folder);
  project.write('empty/a');
  mkdirSync(project.at('also-new'));
  await project.reconcile();
  return project;
}

function worldOf(project: TestProject): World {
  const nothing = async (): Promise<void> => undefined;
  return {
    project,
    indexPath: join(project.stateDir, 'index.db'),
    parameters: [],
    assertNothingLost: nothing,
    assertDone: nothing,
  };
}

async function deleteWorld(t: TestContext): Promise<World> {
  const project = await wholeProject(t);
  const gone = paths.slice(0, 6);
  const before = snapshot(project.root);
  return {
    ...worldOf(project),
    parameters: gone,
    async assertNothingLost() {
      const after = snapshot(project.root);
      const copies = existsSync(project.versions.root) ? snapshot(project.versions.root) : {};
      const takenAside = Object.values(after);
      for (const path of paths) {
        const isSomewhere = after[path] === before[path] || copies[path] !== undefined;
        assert.ok(isSomewhere || takenAside.includes(before[path] ?? ''), path);
      }
      await assertEveryContent(project);
    },
    async assertDone() {
      for (const path of paths) {
        const isGone = gone.includes(path);
        assert.deepEqual([project.has(path), project.row(path).deleted], [!isGone, isGone ? 1 : 0], path);
        const copy = isGone ? readFileSync(project.versions.pathOf(path), 'utf8') : null;
        if (copy !== null)
          assert.equal(copy, `def f${paths.indexOf(path)}():\n    return ${paths.indexOf(path)}\n`);
      }
      assertNoTemporaries(project);
      await assertSound(project.index);
    },
  };
}

async function backupWorld(t: TestContext): Promise<World> {
  const project = await wholeProject(t);
  const folder = join(project.stateDir, 'backups');
  const older = (await backup(project.index, 1)).path;
  const assertNothingLost = async (): Promise<void> => {
    await assertSound(project.index);
    const names = readdirSync(folder).filter((name) => name.endsWith('.db'));
    assert.ok(names.some((name) => older.endsWith(name)));
    // Whatever has the name of a backup is one, whole.
    for (const name of names) {
      const copy = IndexDatabase.openReadOnly(join(folder, name));
      await assertSound(copy);
      copy.close();
    }
  };
  return {
    ...worldOf(project),
    assertNothingLost,
    async assertDone() {
      await assertNothingLost();
      assert.ok(readdirSync(folder).filter((name) => name.endsWith('.db')).length >= 2);
    },
  };
}

const pageBytes = 4_096;

/** Rebuild and restore: the index that was there, or the new one; and what was there is kept. */
async function replacedWorld(t: TestContext, name: 'rebuild' | 'restore'): Promise<World> {
  const project = await wholeProject(t);
  const { path: copy } = await backup(project.index, 1);
  // As a crash leaves it: what came last is in its log only.
  project.write('late.py', 'late = 1\n');
  await project.reconcile();
  const rows = project.rows().size - (name === 'restore' ? 1 : 0);
  const indexPath = join(project.stateDir, 'index.db');
  const bytes = readFileSync(indexPath);
  const log = readFileSync(`${indexPath}-wal`);
  project.close();
  if (name === 'rebuild')
    for (let page = 7; page < bytes.length / pageBytes; page += 9)
      bytes.fill(0x5a, page * pageBytes, (page + 1) * pageBytes);
  writeFileSync(indexPath, bytes);
  writeFileSync(`${indexPath}-wal`, log);
  const replaced = join(project.stateDir, 'replaced');
  const openNow = async <R>(run: (index: IndexDatabase) => Promise<R>): Promise<R> => {
    const at = join(project.folder, 'looked-at.db');
    for (const end of ['', '-wal']) rmSync(`${at}${end}`, { force: true });
    copyFileSync(indexPath, at);
    const index = IndexDatabase.open(at);
    try {
      return await run(index);
    } finally {
      index.close();
    }
  };
  const isAsBefore = (): boolean =>
    readFileSync(indexPath).equals(bytes) &&
    existsSync(`${indexPath}-wal`) &&
    readFileSync(`${indexPath}-wal`).equals(log);
  const originals = (): Buffer[] => folderNames(replaced).map((file) => readFileSync(join(replaced, file)));
  const assertNew = async (): Promise<void> =>
    await openNow(async (index) => {
      await assertSound(index);
      const count = index.sql<[], { count: number }>('SELECT count(*) AS count FROM files').get()?.count;
      assert.equal(count, rows);
      const missing = index
        .sql('SELECT 1 FROM files WHERE sha256 IS NOT NULL AND sha256 NOT IN (SELECT sha256 FROM contents)')
        .get();
      assert.equal(missing, undefined);
    });
  return {
    ...worldOf(project),
    parameters: name === 'restore' ? [copy] : [],
    async assertNothingLost() {
      // As the next start does.
      await settleReplacing(indexPath);
      if (!isAsBefore()) {
        await assertNew();
        assert.ok(
          originals().some((original) => original.equals(bytes)),
          'the original is kept',
        );
      }
    },
    async assertDone() {
      await assertNew();
      assert.ok(
        originals().some((original) => original.equals(bytes)),
        'the original is kept',
      );
      assert.deepEqual(
        folderNames(project.stateDir).filter((file) => /incoming|ready/u.test(file)),
        [],
      );
    },
  };
}

/** What was in files that were edited or went is to go, from everywhere; all that nobody asked for stays. */
async function purgeWorld(t: TestContext): Promise<World> {
  const project = await wholeProject(t);
  await backup(project.index, 1);
  await backup(project.index, 2);
  const chosen = paths.slice(0, 4);
  const texts = chosen.map((path) => project.read(path));
  for (const path of chosen.slice(0, 2)) project.write(path, 'import os\n');
  for (const path of chosen.slice(2)) project.remove(path);
  await project.reconcile();
  const hashes = texts.map((text) => sha256(Buffer.from(text)));
  const needles = hashes.flatMap((hash) => [treeOf(project.index, hash) ?? assert.fail('no tree'), hash]);
  const count = (index: IndexDatabase): number => countRows(index)['contents'] ?? 0;
  const contents = count(project.index) - hashes.length;
  assert.ok(filesWith(project.stateDir, [...needles, ...texts]).length > 3, 'it is in files');
  const files = snapshot(project.root);
  project.close();
  const databases = (): string[] => [
    join(project.stateDir, 'index.db'),
    ...backupsBeside(worldOf(project).indexPath),
  ];
  const assertNothingLost = async (): Promise<void> => {
    assert.deepEqual(snapshot(project.root), files);
    assert.equal(databases().length, 3);
    for (const path of databases()) {
      const index = IndexDatabase.open(path);
      await assertSound(index);
      assert.ok(count(index) >= (path.includes('backups') ? paths.length - chosen.length : contents));
      index.close();
    }
  };
  return {
    ...worldOf(project),
    parameters: chosen,
    assertNothingLost,
    async assertDone() {
      await assertNothingLost();
      assert.deepEqual(filesWith(project.stateDir, [...needles, ...texts]), []);
      const left = Object.keys(snapshot(project.stateDir)).filter((path) =>
        path.split('/').some((name) => isTemporaryName(name)),
      );
      assert.deepEqual(left, [], 'temporary files are left over');
    },
  };
}

/** An index of the release before, that this one makes its own. */
async function olderWorld(t: TestContext): Promise<World> {
  const project = new TestProject(t, { id: projectId });
  project.close();
  const indexPath = join(project.stateDir, 'index.db');
  for (const name of readdirSync(project.stateDir))
    rmSync(join(project.stateDir, name), { recursive: true, force: true });
  writeOlderIndex(indexPath);
  const before = preciousIn(indexPath);
  const backups = join(project.stateDir, 'backups');
  return {
    ...worldOf(project),
    async assertNothingLost() {
      // Opened read-only, what a killed process left in the log is seen, too.
      assert.deepEqual(preciousIn(indexPath), before);
      if (isOlder(indexPath)) return;
      const names = folderNames(backups).filter((name) => name.endsWith('.db'));
      assert.ok(
        names.some((name) => isOlder(join(backups, name))),
        'it was changed without a backup',
      );
      for (const name of names) assert.deepEqual(preciousIn(join(backups, name)), before);
    },
    async assertDone() {
      assert.equal(isOlder(indexPath), false);
      const index = IndexDatabase.open(indexPath);
      try {
        await assertSound(index);
        assert.ok(canGiveBack(index));
      } finally {
        index.close();
      }
      assert.deepEqual(preciousIn(indexPath), before);
    },
  };
}

function folderNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
}
export type Run = (world: World) => Promise<Ending>;

export const worlds: Record<OperationName, (t: TestContext, run: Run) => Promise<World>> = {
  repair: overProject('repair', brokenProject, () => true),
  // What the repair brought goes again; everything else stays.
  undo: overProject(
    'undo',
    async (t) => {
      const project = await brokenProject(t);
      await project.repair();
      return project;
    },
    (path) => [0, 2].includes((paths.indexOf(path) + 8) % 8) && paths.includes(path),
  ),
  rewind: overProject('rewind', editedProject, (path) => paths.indexOf(path) % 3 === 2),
  delete: deleteWorld,
  backup: backupWorld,
  rebuild: async (t) => await replacedWorld(t, 'rebuild'),
  restore: async (t) => await replacedWorld(t, 'restore'),
  migration: olderWorld,
  purge: purgeWorld,
};
