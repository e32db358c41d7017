/** What is made of contents follows them, and costs nothing where they only move. */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { sha256 as hashOf } from '#src/base/hash.js';
import { DerivedDamageError } from '#src/store/derived/damage.js';
import { derivedPath } from '#src/store/derived/derived-database.js';
import { Collecting, unusedKeptMs } from '#src/store/derived/collecting.js';
import { pageOfFiles, type FileRow } from '#src/store/files.js';
import { clearDeleted, markDeleted } from '#src/store/file-states.js';
import { fileByPath } from '#src/store/files.js';
import { contentsOf, type FileContents, mergeAll } from '../store/derived/contents-of.js';
import { TestProject } from './project-fixture.js';

const sources = [
  'export function parseHeader(text: string): string[] {\n  return text.split(":");\n}\n',
  'class Reader:\n    def read_all(self):\n        return self.source.read()\n',
  'just words of prose, and no code\n',
  'int main(void) {\n  return 0;\n}\n',
  '',
  '\u0000\u0001 binary \uFFFF',
] as const;
const names = ['a.ts', 'b.py', 'c.txt', 'd/e.c', 'd/f.ts', 'g.h', 'g.cpp'] as const;

type Change =
  | { kind: 'write'; path: string; source: string }
  | { kind: 'move' | 'copy'; path: string; to: string }
  | { kind: 'remove'; path: string };

const anyPath = fc.constantFrom(...names);
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('write'), path: anyPath, source: fc.constantFrom(...sources) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('move', 'copy'), path: anyPath, to: anyPath }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove'), path: anyPath }) },
);

function apply(project: TestProject, one: Change): void {
  if (one.kind === 'write') return project.write(one.path, one.source);
  if (!project.has(one.path)) return undefined;
  if (one.kind === 'remove') return rmSync(project.at(one.path));
  if (one.path === one.to) return undefined;
  project.write(one.to);
  if (one.kind === 'move') renameSync(project.at(one.path), project.at(one.to));
  else cpSync(project.at(one.path), project.at(one.to));
  return undefined;
}

function activeFiles({ index, projectId }: TestProject): FileRow[] {
  const page = { filter: 'active', prefix: '', after: '', limit: 1_000 } as const;
  return pageOfFiles(index, projectId, page).filter(({ kind }) => kind === 'file');
}

async function searchable(project: TestProject): Promise<FileContents[]> {
  const derived = await project.derived.of(project.projectId);
  await mergeAll(derived);
  return contentsOf(derived, activeFiles(project));
}

test('the index made step by step equals the index made from nothing', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(change, fc.constantFrom('paths', 'whole', 'later')), { maxLength: 12 }),
      async (steps) => {
        const project = new TestProject(t);
        let due: string[] = [];
        for (const [one, follow] of steps) {
          apply(project, one);
          due.push(one.path, ...('to' in one ? [one.to] : []), 'd');
          if (follow === 'later') continue;
          if (follow === 'paths') await project.follow(...due);
          else await project.reconcile();
          due = [];
        }
        await project.reconcile();
        const fresh = new TestProject(t);
        cpSync(project.root, fresh.root, { recursive: true, preserveTimestamps: true });
        await fresh.reconcile();
        assert.deepEqual(await searchable(project), await searchable(fresh));
      },
    ),
    { numRuns: 25 },
  );
});

/** Everything that was made of contents: what a switch there and back must not write. */
async function madeIn(project: TestProject): Promise<unknown[]> {
  const derived = await project.derived.of(project.projectId);
  return [
    'documents',
    'layouts',
    'paths',
    'vectors',
    'signatures',
    'posting_segments',
    'posting_blocks',
    'facts',
  ].map((table) => derived.sql(`SELECT * FROM ${table}`).all());
}

async function withFiles(t: TestContext): Promise<TestProject> {
  const project = new TestProject(t);
  for (const [at, name] of names.entries()) project.write(name, sources[at % sources.length]);
  await project.reconcile();
  return project;
}

test('a rename, a copy, and a switch there and back make nothing of contents', async (t) => {
  const project = await withFiles(t);
  // A switch and the next one lie more than a second apart.
  project.index.pace = { burstMs: 0, busyMs: 0 };
  const before = await searchable(project);
  for (const name of names) project.write(name, `other ${name}\n`);
  await project.reconcile();
  const made = await madeIn(project);
  for (const [at, name] of names.entries()) project.write(name, sources[at % sources.length]);
  await project.reconcile();
  for (const name of names) project.write(name, `other ${name}\n`);
  await project.reconcile();
  assert.deepEqual(await madeIn(project), made);
  for (const [at, name] of names.entries()) project.write(name, sources[at % sources.length]);
  await project.reconcile();
  assert.deepEqual(await madeIn(project), made);
  assert.deepEqual(await searchable(project), before);
  const derived = await project.derived.of(project.projectId);
  const documents = derived.sql('SELECT * FROM documents').all();
  renameSync(project.at('a.ts'), project.at('renamed.ts'));
  cpSync(project.at('b.py'), project.at('copied.py'));
  await project.reconcile();
  assert.deepEqual(derived.sql('SELECT * FROM documents').all(), documents);
});

test('what no file uses is kept for a day, and dropped then', async (t) => {
  const project = await withFiles(t);
  const { index, projectId } = project;
  const derived = await project.derived.of(projectId);
  const collect = async (now: number): Promise<void> => {
    const collecting = new Collecting(index, derived, projectId);
    while (await collecting.step(now));
    await mergeAll(derived);
  };
  const count = (): number =>
    Number(derived.sql<[], { n: number }>('SELECT count(*) AS n FROM documents').get()?.n);
  const all = count();
  await collect(1_000);
  assert.equal(count(), all);
  project.remove('a.ts');
  project.remove('b.py');
  await project.reconcile();
  await collect(2_000);
  await collect(2_000 + unusedKeptMs - 1);
  assert.equal(count(), all);
  // One comes back in time.
  project.write('b.py', sources[1]);
  await project.reconcile();
  await collect(2_000 + unusedKeptMs - 1);
  await collect(2_000 + unusedKeptMs);
  assert.equal(count(), all - 1);
  assert.equal(
    derived.facts.chunks,
    (await searchable(project)).reduce((sum, file) => sum + file.layout.chunks.length, 0) -
      sharedChunks(project),
  );
});

/** Chunks that more files than one have. */
function sharedChunks(project: TestProject): number {
  const rows = activeFiles(project);
  return rows.reduce((sum, row, at) => {
    const isFirst =
      rows.findIndex(({ sha256, language }) => sha256 === row.sha256 && language === row.language) === at;
    return sum + (isFirst ? 0 : row.chunks);
  }, 0);
}

test('a file that comes back after what was made of it is gone is searchable again', async (t) => {
  const project = await withFiles(t);
  const { index, projectId } = project;
  const derived = await project.derived.of(projectId);
  const id = fileByPath(index, projectId, 'a.ts')?.id ?? 0;
  markDeleted(index, id, 'seen', 1);
  const collecting = async (now: number): Promise<void> => {
    const pass = new Collecting(index, derived, projectId);
    while (await pass.step(now));
  };
  await collecting(1_000);
  await collecting(1_000 + unusedKeptMs);
  // As a restore and a repair do it, in a process that makes nothing of contents.
  clearDeleted(index, id, 'restore', 2);
  await project.reconcile();
  assert.equal((await searchable(project)).length, names.length);
});

test('what the derived database lost is made again by the next comparison, and nothing else is touched', async (t) => {
  const project = await withFiles(t);
  const before = await searchable(project);
  project.derived.discard(project.projectId);
  const contents = project.index.sql('SELECT * FROM contents ORDER BY sha256').all();
  const outcome = await project.reconcile();
  assert.deepEqual([outcome.added, outcome.changed, outcome.deleted], [0, 0, 0]);
  assert.deepEqual(await searchable(project), before);
  assert.deepEqual(project.index.sql('SELECT * FROM contents ORDER BY sha256').all(), contents);
});

test('a process that dies between the two databases leaves nothing that is not true', async (t) => {
  const project = await withFiles(t);
  const before = await searchable(project);
  project.write('a.ts', 'export const brandNew = 1;\n');
  const { index } = project;
  const write = index.write.bind(index);
  index.write = () => Promise.reject(new Error('died'));
  await assert.rejects(project.reconcile(), /died/u);
  index.write = write;
  const rows = activeFiles(project);
  assert.deepEqual(
    contentsOf(await project.derived.of(project.projectId), rows).map(({ path: name }) => name),
    before.map(({ path: name }) => name),
  );
  project.close();
  project.reopen();
  await project.reconcile();
  assert.equal((await searchable(project)).find(({ path: name }) => name === 'a.ts')?.chunks, 1);
});

test('an older copy of the derived database is told by what rows rely on, and brought up to date', async (t) => {
  const project = await withFiles(t);
  const path = derivedPath(project.index.path, project.projectId);
  const older = `${path}.older`;
  const derived = await project.derived.of(project.projectId);
  derived.db.pragma('wal_checkpoint(TRUNCATE)');
  copyFileSync(path, older);
  for (const name of names) project.write(name, `brand new ${name}\n`);
  await project.reconcile();
  const before = await searchable(project);
  project.close();
  for (const end of ['', '-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
  copyFileSync(older, path);
  project.reopen();
  const outcome = await project.reconcile();
  assert.deepEqual([outcome.added, outcome.changed, outcome.deleted], [0, 0, 0]);
  assert.deepEqual(await searchable(project), before);
});

test('what stands in the way of the derived database keeps no content from being kept, and is said', async (t) => {
  const project = await withFiles(t);
  const path = derivedPath(project.index.path, project.projectId);
  project.derived.discard(project.projectId);
  mkdirSync(path);
  project.write('a.ts', 'export const kept = 1;\n');
  await assert.rejects(project.reconcile(), /is a folder/u);
  await assert.rejects(project.follow('a.ts'), /is a folder/u);
  assert.equal(project.row('a.ts').sha256, hashOf(Buffer.from('export const kept = 1;\n')));
  rmSync(path, { recursive: true });
  await project.reconcile();
  assert.equal((await searchable(project)).find(({ path: name }) => name === 'a.ts')?.chunks, 1);
});

test('values that are not as they were written are seen when they are read, and all of it is made again', async (t) => {
  for (const [table, column] of [
    ['posting_blocks', 'entries'],
    ['posting_blocks', 'directory'],
    ['layouts', 'layout'],
  ] as const) {
    const project = await withFiles(t);
    const before = await searchable(project);
    const derived = await project.derived.of(project.projectId);
    const row = derived
      .sql<[], { id: number; bytes: Buffer }>(`SELECT rowid AS id, ${column} AS bytes FROM ${table}`)
      .get();
    assert.ok(row !== undefined);
    const bytes = Buffer.from(row.bytes);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 0x10, bytes.length >> 1);
    derived.sql(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`).run(bytes, row.id);
    project.close();
    project.reopen();
    await assert.rejects(searchable(project), DerivedDamageError, `${table}.${column}`);
    project.derived.discard(project.projectId);
    await project.reconcile();
    assert.deepEqual(await searchable(project), before);
  }
});

test('a comparison that finds the derived database damaged goes on until all of it is made again', async (t) => {
  const project = await withFiles(t);
  const before = await searchable(project);
  const derived = await project.derived.of(project.projectId);
  await derived.write(() => derived.sql('DELETE FROM facts').run());
  project.write('new.ts', 'export const found = 1;\n');
  await project.reconcile();
  const after = await searchable(project);
  assert.deepEqual(
    after.filter(({ path }) => path !== 'new.ts'),
    before,
  );
  assert.equal(after.length, before.length + 1);
});
