import assert from 'node:assert/strict';
import { symlinkSync, utimesSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { type Extractor, extractingWith, type ExtractionJob } from '#src/reconcile/extract.js';
import { ExtractorPool } from '#src/reconcile/extractor-pool.js';
import { indexPaths } from '#src/reconcile/index-paths.js';
import { readGitBelow } from '#src/reconcile/project-git.js';
import { reconcileProject } from '#src/reconcile/reconcile-project.js';
import { renderContent } from '#src/store/contents.js';
import { documentOf } from '#src/store/derived/documents.js';
import { createParser } from '#src/syntax/parser.js';
import { waitFor } from '../harness/waiting.js';
import { rowSummary, TestProject } from './project-fixture.js';

const mib = 1024 ** 2;
const here = extractingWith(createParser());

function withPool(t: TestContext, project: TestProject): TestProject {
  const memory = { share: 128 * mib, whole: 512 * mib };
  project.pool = new ExtractorPool({
    threads: 2,
    parseMemoryMaxBytes: memory,
    heapMaxBytes: memory,
    hangMs: 30_000,
    extractor: here,
  });
  t.after(() => project.pool?.close());
  return project;
}

/** Files of several kinds, some of them alike; as many as are extracted in threads. */
function fill(project: TestProject): void {
  for (let number = 0; number < 60; number += 1)
    project.write(`d${number % 7}/f${number}.py`, `def f${number}():\n    return ${number}\n`);
  for (let number = 0; number < 20; number += 1)
    project.write(`same/${number}.ts`, 'export const same = 1;\n');
  project.write('data.bin', Buffer.from([0, 1, 2, 255]));
  project.write('empty.go', '');
  project.write('large.json', ' '.repeat(project.maxFileBytes + 1));
  symlinkSync('data.bin', project.at('link'));
}

/** Counts what it is given, and has it done. */
function counting(jobs: ExtractionJob[]): Extractor {
  return {
    extract: async (job, slicer) => {
      jobs.push(job);
      return await here.extract(job, slicer);
    },
    close: () => undefined,
  };
}

test('what is extracted in threads is the same in the index', async (t) => {
  const [plain, pooled] = [new TestProject(t), withPool(t, new TestProject(t))];
  for (const project of [plain, pooled]) {
    fill(project);
    const { added, skipped, unsettled } = await project.reconcile();
    assert.deepEqual({ added, skipped, unsettled }, { added: 84, skipped: 0, unsettled: [] });
  }
  assert.ok((pooled.pool?.size ?? 0) > 0);
  assert.deepEqual(rowSummary(pooled), rowSummary(plain));
  const derived = await pooled.derived.of(pooled.projectId);
  for (const { path, kind, sha256, language, extractor } of pooled.rows().values()) {
    if (sha256 === null) continue;
    assert.ok('bytes' in renderContent(pooled.index, sha256), path);
    if (kind === 'file') assert.equal(documentOf(derived, sha256, language)?.extractor, extractor, path);
  }
  assert.equal((await pooled.reconcile()).changed, 0);
});

test('paths are committed in the order in which they are given', async (t) => {
  const project = withPool(t, new TestProject(t));
  fill(project);
  const paths = [...Array(60).keys()].reverse().map((number) => `d${number % 7}/f${number}.py`);
  const context = project.context();
  const git = await readGitBelow(project.root, [], context.signal);
  const told: number[] = [];
  await indexPaths(context, git, paths, (done) => told.push(done));
  const rows = [...project.rows().values()].sort((a, b) => a.id - b.id);
  assert.deepEqual(
    rows.map(({ path }) => path),
    paths,
  );
  assert.deepEqual(told, [...Array(61).keys()]);
});

test('a first index begins with what was changed most recently', async (t) => {
  const project = new TestProject(t);
  const modifiedAt = { a: 1_000, b: 3_000, c: 2_000 };
  for (const [path, seconds] of Object.entries(modifiedAt)) {
    project.write(path);
    utimesSync(project.at(path), seconds, seconds);
  }
  await project.reconcile();
  const rows = [...project.rows().values()].sort((a, b) => a.id - b.id);
  assert.deepEqual(
    rows.map(({ path }) => path),
    ['b', 'c', 'a'],
  );
});

test('the same content is extracted once, however many files have it', async (t) => {
  const project = new TestProject(t);
  fill(project);
  const jobs: ExtractionJob[] = [];
  await reconcileProject({ ...project.context(), extractor: counting(jobs) }, 'unseen');
  assert.equal(jobs.length, new Set(jobs.map(({ sha256, language }) => `${sha256} ${language}`)).size);
  assert.equal(project.marks().active.length, 84);
});

test('an abort ends the work in the middle, and the threads, and the next reconcile does the rest', async (t) => {
  const project = withPool(t, new TestProject(t));
  fill(project);
  const stop = new AbortController();
  const work = reconcileProject({ ...project.context(), signal: stop.signal }, 'unseen', (done) => {
    if (done === 30) stop.abort(new Error('enough'));
  });
  await assert.rejects(work, /enough/u);
  await waitFor('no threads', () => project.pool?.size === 0);
  assert.equal((await project.reconcile()).added, 84);
});
