import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { asNobody } from '../harness/folder.js';
import { snapshot, TestProject } from './project-fixture.js';

/** A project of a user whom permissions bind, with folders that the user made read-only. */
function ofNobody(t: TestContext, modes: Readonly<Record<string, number>>, files: number): TestProject {
  const project = new TestProject(t);
  for (const folder of Object.keys(modes))
    for (let number = 0; number < files; number += 1)
      project.write(`${folder}/f${number}.txt`, `${folder} ${number}\n`);
  if (process.geteuid?.() === 0) execFileSync('chown', ['-R', '65534:65534', project.folder]);
  // The deepest first: a folder that is closed lets nobody in.
  for (const [folder, mode] of Object.entries(modes).reverse()) chmodSync(project.at(folder), mode);
  return project;
}

test('a lost folder that its owner made read-only comes back whole, in more than one batch, with its mode', async (t) => {
  const modes = { a: 0o555, 'a/b': 0o500, c: 0o555 };
  const project = ofNobody(t, modes, 130);
  await asNobody(() => project.reconcile());
  const before = snapshot(project.root);
  for (const folder of ['a', 'c']) rmSync(project.at(folder), { recursive: true });
  const planned = await asNobody(() => project.plan());
  const { outcome } = await asNobody(() => project.repair());
  assert.deepEqual([outcome.conflicts, outcome.errors], [[], []]);
  assert.deepEqual(outcome.done, planned.plan.actions, 'the run does what was planned');
  assert.deepEqual(snapshot(project.root), before);
  assert.deepEqual((await asNobody(() => project.plan())).plan.actions, []);
});

for (const mode of [0o555, 0o500])
  test(`copies go on being kept of a folder that was once 0${mode.toString(8)}`, async (t) => {
    const project = ofNobody(t, { d: mode }, 3);
    await asNobody(() => project.reconcile());
    rmSync(project.at('d/f0.txt'));
    await asNobody(() => project.reconcile('seen'));
    chmodSync(project.at('d'), 0o755);
    rmSync(project.at('d/f1.txt'));
    await asNobody(() => project.reconcile('seen'));
    for (const name of ['f0.txt', 'f1.txt']) assert.equal(project.row(`d/${name}`).copyProblem, null, name);
    const kept = lstatSync(project.versions.pathOf('d')).mode & 0o777;
    assert.equal(kept & 0o077, mode & 0o077, 'nobody else can see more than in the project');
    rmSync(project.at('d/f2.txt'));
    const { outcome } = await asNobody(() => project.repair());
    assert.deepEqual([outcome.conflicts, outcome.errors, project.has('d/f2.txt')], [[], [], true]);
  });
