import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { rootMarkOf } from '#src/reconcile/project-root.js';
import { insertProject, requireProject } from '#src/store/projects.js';
import { TestProject } from '../../reconcile/project-fixture.js';
import { TestWorker } from '../worker-fixture.js';

const hashOf = (content: string): string => sha256(Buffer.from(content));
const freshness = (worker: TestWorker): string => worker.of('freshness').at(-1)?.project.freshness ?? 'none';

test('what is written is followed, and fresh is said only when the index has it', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'one');
  const worker = new TestWorker(t, 'file_watcher', project.stateDir);
  await worker.said(() => freshness(worker) === 'fresh');
  assert.equal(project.row('a').sha256, hashOf('one'));
  assert.equal(worker.of('freshness')[0]?.project.freshness, 'rebuilding');
  project.write('a', 'two');
  await worker.said(() => project.row('a').sha256 === hashOf('two'));
  await worker.said(() => freshness(worker) === 'fresh');
  assert.equal((await worker.stop()).inOrder, true);
});

test('folders that appear and are filled at once are followed to the last file', async (t) => {
  const project = new TestProject(t);
  const worker = new TestWorker(t, 'file_watcher', project.stateDir);
  await worker.said(() => freshness(worker) === 'fresh');
  for (let number = 0; number < 60; number += 1) {
    const folder = project.at(`d${number}/deep`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'temporary'), `content ${number}`);
    renameSync(join(folder, 'temporary'), join(folder, 'file'));
  }
  await worker.said(() => project.marks().active.length === 60);
  assert.equal(project.row('d59/deep/file').sha256, hashOf('content 59'));
});

test('a root that goes away makes the project unknown with a reason, and one that comes back fresh', async (t) => {
  const project = new TestProject(t, { versionDir: '../versions' });
  for (const path of ['a', 'd/b']) project.write(path);
  const worker = new TestWorker(t, 'file_watcher', project.stateDir);
  await worker.said(() => freshness(worker) === 'fresh');
  renameSync(project.root, join(project.folder, 'away'));
  await worker.said(() => freshness(worker) === 'unknown');
  assert.ok(worker.of('freshness').at(-1)?.project.reason);
  assert.deepEqual(project.marks(), { active: ['a', 'd/b'], deleted: [] });
  renameSync(join(project.folder, 'away'), project.root);
  await worker.said(() => freshness(worker) === 'fresh');
  assert.deepEqual(project.marks().deleted, []);
});

test('a save in one project is followed while another one is indexed for the first time', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'one');
  const worker = new TestWorker(t, 'file_watcher', project.stateDir);
  await worker.said(() => freshness(worker) === 'fresh');
  const other = join(project.folder, 'other');
  mkdirSync(other);
  // The C# grammar searches in it until its time is over, twice; what was written last is indexed first.
  writeFileSync(
    join(other, 'slow.cs'),
    'abcdefghijklmnopqrstuvwxyz'.replaceAll(/./gu, '(($&)').repeat(3_000),
  );
  for (let number = 0; number < 100; number += 1)
    writeFileSync(join(other, `${number}.py`), `def f${number}(): return ${number}\n`);
  const mark = rootMarkOf(other);
  assert.ok(mark !== null);
  const made = {
    id: randomUUID(),
    rootDir: other,
    versionDir: join(project.stateDir, 'versions'),
    name: 'other',
  };
  insertProject(project.index, { ...made, ...mark }, 1);
  worker.send({ type: 'nudge', about: 'projects' });
  await worker.said(() =>
    worker.of('activity').some(({ activity }) => (activity?.done ?? 0) > 0 && activity?.total === 101),
  );
  for (const content of ['two', 'three']) {
    project.write('a', content);
    await worker.said(() => project.row('a').sha256 === hashOf(content));
  }
  assert.equal(requireProject(project.index, { project_id: made.id }).lastVerifiedAt, null);
  assert.equal((await worker.stop()).inOrder, true);
});
