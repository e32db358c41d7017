/** A repair in a process of its own that is cut off or disturbed at a chosen system call, and what is left then. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { isTemporaryName } from '#src/base/temporary-names.js';
import { markDeleted } from '#src/store/files.js';
import { listRuns } from '#src/store/journal.js';
import { checkContents, checkStructure } from '#src/store/maintenance.js';
import { pathsBelow } from '../harness/folder.js';
import { injecting } from '../harness/strace.js';
import { rowSummary, snapshot, TestProject } from '../reconcile/project-fixture.js';

const child = join(import.meta.dirname, 'repair-child.js');
const projectId = '00000000-0000-4000-8000-000000000000';

/** About 30 files that need every kind of action, in several folders. */
async function brokenProject(t: Pick<TestContext, 'after'>): Promise<TestProject> {
  const project = new TestProject(t, { id: projectId });
  const paths = Array.from({ length: 32 }, (_, number) => `d${number % 5}/e${number % 2}/f${number}.py`);
  for (const [number, path] of paths.entries())
    project.write(path, `def f${number}():\n    return ${number}\n`, number % 3 === 0 ? 0o755 : 0o640);
  await project.reconcile();
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

interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Repairs in a fresh process, with the injection that strace is to make. */
async function repairIn(project: TestProject, injection: string | null): Promise<Ending> {
  const command = [process.execPath, child, join(project.stateDir, 'index.db')];
  const strace = injection === null ? [] : ['strace', '-qq', ...injecting(injection)];
  const [program = '', ...parameters] = [...strace, ...command];
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
  // What an undisturbed run complains of is for the reader of the test.
  const stderr = injection === null ? 'inherit' : 'ignore';
  const running = spawn(program, parameters, { stdio: ['ignore', 'ignore', stderr], env });
  const [code, signal] = (await once(running, 'exit')) as [number | null, NodeJS.Signals | null];
  return { code, signal };
}

/** The same project repaired without disturbance; made once. */
let undisturbed: Promise<unknown> | null = null;
async function expectedState(t: TestContext): Promise<unknown> {
  undisturbed ??= (async () => {
    const project = await brokenProject(t);
    assert.deepEqual(await repairIn(project, null), { code: 0, signal: null });
    assert.equal((await project.plan()).plan.actions.length, 0);
    return endState(project);
  })();
  return await undisturbed;
}

function removeTemporaries(project: TestProject): void {
  for (const root of [project.root, project.versions.root])
    for (const path of pathsBelow(root)) if (isTemporaryName(basename(path))) rmSync(join(root, path));
}

async function assertRepaired(project: TestProject, expected: unknown): Promise<void> {
  assert.deepEqual(endState(project), expected);
  const left = Object.keys(snapshot(project.root)).filter((path) =>
    isTemporaryName(path.slice(path.lastIndexOf('/') + 1)),
  );
  assert.deepEqual(left, [], 'temporary files are left over');
  assert.ok(listRuns(project.index, null, 10).every(({ state }) => state !== 'running'));
  assert.deepEqual(checkStructure(project.index), []);
  assert.deepEqual((await checkContents(project.index)).problems, []);
}

/** Nothing that was on disk before may be gone or changed, whatever happened. */
function assertNothingLost(before: Record<string, string>, project: TestProject): void {
  const after = snapshot(project.root);
  for (const [path, what] of Object.entries(before)) assert.equal(after[path], what, path);
}

/**
 * Kills a repair at the nth call of a system call, finishes it in a fresh process, and compares with an
 * undisturbed run. Gives false when the run had ended before.
 */
export async function killAt(t: TestContext, syscall: string, nth: number): Promise<boolean> {
  const expected = await expectedState(t);
  const project = await brokenProject(t);
  const before = snapshot(project.root);
  const ending = await repairIn(project, `${syscall}:signal=KILL:when=${nth}`);
  const wasKilled = ending.signal === 'SIGKILL' || ending.code === 137;
  assert.ok(wasKilled || ending.code === 0, JSON.stringify(ending));
  assertNothingLost(before, project);
  if (wasKilled) assert.deepEqual(await repairIn(project, null), { code: 0, signal: null });
  await assertRepaired(project, expected);
  return wasKilled;
}

/** Lets a system call fail at the nth time (and `step` further), then repairs again undisturbed. */
export async function failAt(
  t: TestContext,
  syscall: string,
  error: string,
  when: string,
): Promise<{ failed: string[]; first: Ending }> {
  const expected = await expectedState(t);
  const project = await brokenProject(t);
  const before = snapshot(project.root);
  const first = await repairIn(project, `${syscall}:error=${error}:when=${when}`);
  assertNothingLost(before, project);
  const failed = project.index
    .sql<[], { detail: string }>("SELECT detail FROM repair_actions WHERE state = 'failed'")
    .all()
    .map(({ detail }) => detail);
  assert.deepEqual(await repairIn(project, null), { code: 0, signal: null });
  // What the file system refuses to remove stays; its name keeps it out of every project.
  if (syscall === 'unlink') removeTemporaries(project);
  await assertRepaired(project, expected);
  return { failed, first };
}
