import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Observation, observeProject, plainCircumstances } from '#src/reconcile/repair/observe.js';
import { markDeleted } from '#src/store/file-states.js';
import { requireProject } from '#src/store/projects.js';
import { addFile } from '../store/index-fixture.js';
import { TestProject } from './project-fixture.js';

const never = new AbortController().signal;
/** More than one thread looks at. */
const many = 31_500;
/** Every so many-th row is another one than a file that is as it was. */
const odd = 1_000;

type Sort = 'ok' | 'changed' | 'missing' | 'deleted' | 'back' | 'folder' | 'blocked';
const sorts: readonly Sort[] = ['changed', 'missing', 'deleted', 'back', 'folder', 'blocked'];

/** Names of one file stand for many files: what is looked at is the stamp. */
async function manyRows(t: TestContext): Promise<{ project: TestProject; expected: Map<string, Sort> }> {
  const project = new TestProject(t);
  const expected = new Map<string, Sort>();
  await project.index.write(() => {
    for (let number = 0; number < many; number += 1) {
      const sort = number % odd === 7 ? sorts[Math.floor(number / odd) % sorts.length] : 'ok';
      if (sort !== undefined) expected.set(addRow(project, number, sort), sort);
    }
  });
  return { project, expected };
}

function addRow({ index, projectId, root }: TestProject, number: number, sort: Sort): string {
  const path = `d${number % 97}/${sort === 'blocked' ? 'link/' : ''}f${number}.py`;
  const absolute = join(root, path);
  if (sort === 'blocked') symlinkOnce(root, dirname(absolute));
  else mkdirSync(sort === 'folder' ? absolute : dirname(absolute), { recursive: true });
  if (sort === 'ok' || sort === 'changed' || sort === 'back') writeFileSync(absolute, 'x');
  const stats = lstatSync(absolute, { bigint: true, throwIfNoEntry: false });
  const id = addFile(index, projectId, path, {
    kind: sort === 'folder' ? 'folder' : 'file',
    size: sort === 'changed' ? 2 : 1,
    mtimeNs: String(stats?.mtimeNs ?? 1n),
    ctimeNs: String(stats?.ctimeNs ?? 1n),
  });
  if (sort === 'deleted' || sort === 'back') markDeleted(index, id, 'seen', 1, null);
  return path;
}

function symlinkOnce(root: string, place: string): void {
  mkdirSync(dirname(place), { recursive: true });
  if (lstatSync(place, { throwIfNoEntry: false }) === undefined) symlinkSync(root, place);
}

async function observe(
  { index, projectId }: TestProject,
  progress: (done: number, total: number) => void = () => undefined,
  signal = never,
): Promise<Observation> {
  const project = requireProject(index, { project_id: projectId });
  return await observeProject(index, project, plainCircumstances, progress, signal);
}

function assertSeen({ present, facts }: Observation, expected: ReadonlyMap<string, Sort>): void {
  const count = (sort: Sort): number => [...expected.values()].filter((one) => one === sort).length;
  assert.deepEqual(present, { ok: count('ok'), changed: count('changed') });
  const rest = [...expected].filter(([, sort]) => sort !== 'ok' && sort !== 'changed');
  assert.deepEqual(
    facts.map(({ path }) => path),
    rest.map(([path]) => path).sort(),
    'the facts are in the order of their paths, and each row has one',
  );
  const presences = {
    missing: 'absent',
    deleted: 'absent',
    back: 'file',
    folder: 'directory',
    blocked: 'blocked',
  };
  for (const { path, inProject, deleted } of facts) {
    const sort = expected.get(path);
    assert.ok(sort !== undefined && sort !== 'ok' && sort !== 'changed');
    assert.equal(inProject, presences[sort], path);
    assert.equal(deleted, sort === 'deleted' || sort === 'back', path);
  }
}

test('a project that two threads look at is seen whole, each row once', async (t) => {
  const { project, expected } = await manyRows(t);
  const told: [number, number][] = [];
  assertSeen(await observe(project, (done, total) => told.push([done, total])), expected);
  assert.ok(told.every(([done, total]) => done <= total && total === many));
});

test('where the second thread fails, the first one looks at everything', async (t) => {
  const { project, expected } = await manyRows(t);
  // The connection that is open goes on; another one finds nothing.
  renameSync(project.index.path, `${project.index.path}.moved`);
  assertSeen(await observe(project), expected);
});

test('a look with two threads ends when it is aborted', async (t) => {
  const { project } = await manyRows(t);
  const stop = new AbortController();
  const looking = observe(project, () => stop.abort(new Error('enough')), stop.signal);
  await assert.rejects(looking, /enough/u);
});
