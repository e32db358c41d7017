/** A project that is made what it was, at any moment, in any order, and back again. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { recoverRuns } from '#src/reconcile/repair/recover.js';
import {
  executeRewind,
  type PlannedRewind,
  planRewind,
  planRewindUndo,
} from '#src/reconcile/repair/rewind.js';
import { sha256 } from '../harness/trees.js';
import { renderContent } from '#src/store/contents.js';
import { fileByPath } from '#src/store/files.js';
import { pathsChangedSince, stateAt, statesBeforeChange } from '#src/store/history.js';
import { hasUnfinishedRun, requireRuns } from '#src/store/journal.js';
import { packPast } from '#src/store/packing.js';
import { waitFor } from '../harness/waiting.js';
import { copies, everyContent, snapshot, TestProject } from './project-fixture.js';

const everything = { paths: null, prefix: null };
const work = { signal: new AbortController().signal, progress: () => undefined };

/** A moment of a project that is indexed, and what was there then. */
interface Moment {
  at: number;
  tree: Record<string, string>;
}

/** Nothing that is done after it belongs to it. */
async function momentOf(project: TestProject): Promise<Moment> {
  await project.reconcile();
  const at = Date.now();
  await waitFor('the clock goes on', () => Date.now() > at);
  return { at, tree: snapshot(project.root) };
}

async function planTo(project: TestProject, at: number): Promise<PlannedRewind> {
  return await planRewind(project.index, project.project, at, everything, work);
}

/** As a process does it that is killed once so many actions were tried; gives the run's id. */
async function execute(project: TestProject, planned: PlannedRewind, killedAt = Infinity): Promise<string> {
  const killing = new AbortController();
  const context = {
    index: project.index,
    now: Date.now,
    signal: killing.signal,
    progress: (phase: string, done: number) => {
      if (phase === 'apply' && done >= killedAt) killing.abort(new Error('killed'));
    },
  };
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'command', undoes: null } as const;
  const outcome = await executeRewind(context, run, planned).catch((error: unknown) => {
    if (!killing.signal.aborted) throw error;
    return null;
  });
  if (outcome === null) await recoverRuns({ index: project.index, now: Date.now, ...work });
  else assert.deepEqual([outcome.errors, outcome.conflicts], [[], []]);
  return run.runId;
}

async function undo(project: TestProject, runId: string): Promise<void> {
  const run = project.lastRun;
  assert.equal(run.runId, runId);
  const planned = await planRewindUndo(project.index, project.project, run, work);
  assert.deepEqual(planned.kept, []);
  await takeBack(project, runId, planned);
}

/** Gives the id of the run that does it. */
async function takeBack(project: TestProject, undoes: string, planned: PlannedRewind): Promise<string> {
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'undo', undoes } as const;
  const outcome = await executeRewind({ index: project.index, now: Date.now, ...work }, run, planned);
  assert.deepEqual([outcome.errors, outcome.conflicts], [[], []]);
  return run.runId;
}

/** They differ by little: the past of a file is stored as what differs. */
const longTexts = ['3', '4', '5'].map(
  (first) => `${first}\n${Array.from({ length: 20 }, (_, line) => sha256(String(line))).join('\n')}\n`,
);

/** Each is a file at one time and a folder at another. */
const places = ['a', 'b', 'a/b', 'a/b/c', 'a/d', 'b/x', 'b/y/z', 'e'];
const path = fc.constantFrom(...places);
const deed = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('write'),
      path,
      text: fc.constantFrom('', '1', '2', ...longTexts),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mode'), path, mode: fc.constantFrom(0o600, 0o755) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove'), path }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rename'), path, to: path }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('folder'), path: fc.constantFrom('f', 'a/f', 'f/g', ...places) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('link'), path, target: fc.constantFrom('a', 'nowhere') }),
  },
);
type Deed = { do: string; path: string; text?: string; mode?: number; to?: string; target?: string };

function statsOf(absolute: string): Stats | undefined {
  try {
    return lstatSync(absolute);
  } catch {
    return undefined;
  }
}

/** As a user does it, by brute force: what is in the way goes. */
function doIt(project: TestProject, { do: what, path: at, text, mode, to, target }: Deed): void {
  const absolute = project.at(at);
  const isThere = statsOf(absolute) !== undefined;
  const makeRoom = (place: string): void => {
    for (let folder = dirname(place); folder !== '.'; folder = dirname(folder)) {
      const stats = statsOf(project.at(folder));
      if (stats !== undefined && !stats.isDirectory()) rmSync(project.at(folder));
    }
    rmSync(project.at(place), { recursive: true, force: true });
    mkdirSync(dirname(project.at(place)), { recursive: true });
  };
  if (what === 'write') {
    const isFile = isThere && lstatSync(absolute).isFile();
    if (!isFile) makeRoom(at);
    writeFileSync(absolute, text ?? '');
  } else if (what === 'mode' && isThere && lstatSync(absolute).isFile()) chmodSync(absolute, mode ?? 0o644);
  else if (what === 'remove' && isThere) rmSync(absolute, { recursive: true, force: true });
  else if (what === 'rename' && isThere && to !== undefined) {
    const isInside = to === at || to.startsWith(`${at}/`) || at.startsWith(`${to}/`);
    if (isInside) return;
    makeRoom(to);
    if (statsOf(absolute) !== undefined) renameSync(absolute, project.at(to));
  } else if (what === 'folder') {
    makeRoom(at);
    mkdirSync(absolute);
  } else if (what === 'link') {
    makeRoom(at);
    symlinkSync(target ?? '', absolute);
  }
}

test('whatever was done, each moment comes back as it was, in any order, cut off or not, and can be undone', async (t) => {
  const steps = fc.array(fc.array(deed, { minLength: 1, maxLength: 6 }), { minLength: 2, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.array(fc.record({ pick: fc.nat(), killedAt: fc.option(fc.nat(8)), undoes: fc.boolean() }), {
        minLength: 1,
        maxLength: 5,
      }),
      async (stages, goings) => {
        const project = new TestProject(t);
        project.index.pace = { burstMs: 0, busyMs: 0 };
        project.write('a/b/kept', 'kept\n');
        const moments = [await momentOf(project)];
        const packing = { lastId: 0 };
        for (const stage of stages) {
          for (const one of stage) doIt(project, one);
          moments.push(await momentOf(project));
          await packPast(project.index, packing, work.signal);
        }
        for (const { pick, killedAt, undoes } of goings) {
          const { at, tree } = moments[pick % moments.length] ?? assert.fail('no moment');
          const before = snapshot(project.root);
          const contents = everyContent(project);
          const { index, projectId } = project;
          const since = pathsChangedSince(index, projectId, at);
          const each = since.map((one) => [one, stateAt(index, projectId, one, at)] as const);
          assert.deepEqual([...statesBeforeChange(index, projectId, at)], each);
          const planned = await planTo(project, at);
          assert.deepEqual(planned.plan.conflicts.concat(planned.plan.unknown), []);
          const runId = await execute(project, planned, killedAt ?? Infinity);
          assert.deepEqual(snapshot(project.root), tree);
          const kept = everyContent(project);
          for (const content of contents) assert.ok(isKept(content, kept), content);
          assert.deepEqual((await planTo(project, at)).actions, [], 'a second one has nothing to do');
          if (undoes && killedAt === null && planned.actions.length > 0) {
            await undo(project, runId);
            assert.deepEqual(snapshot(project.root), before);
          }
          await momentOf(project);
        }
        project.close();
      },
    ),
    { numRuns: Number(process.env['CODEKEEP_REWINDS'] ?? '25') },
  );
});

/** A symlink is kept by the hash of its target. */
function isKept(content: string, kept: ReadonlySet<string>): boolean {
  if (content.startsWith('folder ')) return true;
  return kept.has(content) || kept.has(sha256(content.replace('symlink ', '')));
}

/** A project with a moment, and a change after it. */
async function changed(t: TestContext): Promise<{ project: TestProject; moment: Moment }> {
  const project = new TestProject(t);
  for (const name of ['a', 'b', 'c', 'd']) project.write(name, `first ${name}\n`);
  const moment = await momentOf(project);
  for (const name of ['a', 'b']) project.write(name, `second ${name}\n`);
  project.remove('c');
  project.write('new', 'new\n');
  await momentOf(project);
  return { project, moment };
}

test('what was stored as a difference is stored whole, and parsed, as soon as a file has it again', async (t) => {
  const project = new TestProject(t);
  project.index.pace = { burstMs: 0, busyMs: 0 };
  const lines = Array.from(
    { length: 40 },
    (_, line) => `def f${line}():\n    return "${sha256(String(line))}"\n`,
  );
  const textOf = (number: number): string => `${lines.join('')}last = ${number}\n`;
  for (const number of [1, 2, 3, 4]) {
    project.write('a.py', textOf(number));
    await momentOf(project);
  }
  const hash = sha256(textOf(2));
  const as = (): unknown =>
    project.index
      .sql('SELECT base IS NULL AS isWhole, extractor IS NULL AS isUnparsed FROM contents WHERE sha256 = ?')
      .get(hash);
  await packPast(project.index, { lastId: 0 }, work.signal);
  assert.deepEqual(as(), { isWhole: 0, isUnparsed: 1 });
  project.write('a.py', textOf(2));
  const { unsettled } = await project.reconcile();
  assert.deepEqual([unsettled, as()], [[], { isWhole: 1, isUnparsed: 0 }]);
  const rendering = renderContent(project.index, hash);
  assert.ok('tree' in rendering && rendering.tree.language === 'python');
});

/** So many files that a rewind does them in several batches. */
async function large(t: TestContext): Promise<{ project: TestProject; moment: Moment; before: object }> {
  const project = new TestProject(t);
  const write = (text: string): void => {
    for (let number = 0; number < 250; number += 1)
      project.write(`d${number % 9}/f${number}`, `${text} ${number}\n`);
  };
  write('first');
  const moment = await momentOf(project);
  write('second');
  await momentOf(project);
  return { project, moment, before: snapshot(project.root) };
}

test('what was done and could not be noted is finished by the next run, and taken back as a whole', async (t) => {
  const { project, moment, before } = await large(t);
  const { db } = project.index;
  const context = {
    ...work,
    index: project.index,
    now: Date.now,
    progress: (phase: string, done: number) => {
      if (phase === 'apply' && done >= 150)
        db.exec(`CREATE TEMP TRIGGER IF NOT EXISTS full BEFORE UPDATE ON main.repair_actions BEGIN
          SELECT RAISE(ABORT, 'the disk is full'); END`);
    },
  };
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'command', undoes: null } as const;
  const planned = await planTo(project, moment.at);
  await assert.rejects(
    executeRewind(context, run, planned),
    /could not be noted in the index: the disk is full/u,
  );
  db.exec('DROP TRIGGER full');
  assert.equal(hasUnfinishedRun(project.index, project.projectId), true);
  await recoverRuns({ index: project.index, now: Date.now, ...work });
  assert.equal(hasUnfinishedRun(project.index, project.projectId), false);
  assert.deepEqual(snapshot(project.root), moment.tree);
  await undo(project, run.runId);
  assert.deepEqual(snapshot(project.root), before);
});

test('a root that goes away in the middle of it ends it in order, and what was done can be taken back', async (t) => {
  const { project, moment, before } = await large(t);
  const aside = `${project.root}-aside`;
  let isAway = false;
  const context = {
    ...work,
    index: project.index,
    now: Date.now,
    progress: (phase: string, done: number) => {
      if (isAway || phase !== 'apply' || done < 100) return;
      isAway = true;
      renameSync(project.root, aside);
    },
  };
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'command', undoes: null } as const;
  const planned = await planTo(project, moment.at);
  const { done, failed } = await executeRewind(context, run, planned);
  assert.ok(done.length >= 100 && failed.length > 0 && done.length + failed.length === 250);
  renameSync(aside, project.root);
  await project.reconcile();
  await undo(project, run.runId);
  assert.deepEqual(snapshot(project.root), before);
});

test('what somebody has written since the plan stays, and is told', async (t) => {
  const { project, moment } = await changed(t);
  const planned = await planTo(project, moment.at);
  assert.equal(planned.actions.length, 4);
  project.write('a', 'not indexed\n');
  project.write('c', 'not indexed either\n');
  project.write('new', 'nor this\n');
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'command', undoes: null } as const;
  const { done, conflicts, errors } = await executeRewind(
    { index: project.index, now: Date.now, ...work },
    run,
    planned,
  );
  assert.deepEqual(
    done.map(({ path: at, verdict }) => `${verdict} ${at}`),
    ['revert b'],
  );
  assert.deepEqual(errors, []);
  assert.deepEqual(conflicts.map(({ path: at }) => at).sort(), ['a', 'c', 'new']);
  assert.deepEqual(
    ['a', 'b', 'c', 'new'].map((name) => project.read(name)),
    ['not indexed\n', 'first b\n', 'not indexed either\n', 'nor this\n'],
  );
});

test('what somebody writes as soon as it is there is theirs, and no error', async (t) => {
  const { project, moment } = await changed(t);
  const planned = await planTo(project, moment.at);
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'command', undoes: null } as const;
  const progress = (phase: string): void => {
    if (phase !== 'verify') return;
    project.write('a', 'theirs\n');
    project.remove('b');
    project.write('new', 'theirs, too\n');
  };
  const context = { index: project.index, now: Date.now, ...work, progress };
  const { errors, done } = await executeRewind(context, run, planned);
  assert.deepEqual([errors, done.length], [[], 4]);
});

test('what does not read back is an error', async (t) => {
  const { project, moment } = await changed(t);
  const planned = await planTo(project, moment.at);
  const run = { runId: randomUUID(), projectId: project.projectId, origin: 'command', undoes: null } as const;
  const progress = (phase: string): void => {
    if (phase !== 'verify') return;
    // As a disk does that gives other bytes than it was given.
    project.write('a', 'torn\n');
    const { ctimeNs, ino } = lstatSync(project.at('a'), { bigint: true });
    project.index.sql("UPDATE files SET ctime_ns = ?, ino = ? WHERE path = 'a'").run(ctimeNs, ino);
  };
  const context = { index: project.index, now: Date.now, ...work, progress };
  const { errors } = await executeRewind(context, run, planned);
  assert.deepEqual(errors, ['a: it does not read back as written']);
});

test('an undo leaves alone what was changed since the rewind', async (t) => {
  const { project, moment } = await changed(t);
  const runId = await execute(project, await planTo(project, moment.at));
  project.write('a', 'third a\n');
  await momentOf(project);
  const planned = await planRewindUndo(project.index, project.project, project.lastRun, work);
  assert.deepEqual(
    planned.kept.map(({ path: at, reason }) => `${at}: ${reason}`),
    ['a: it was changed since'],
  );
  const undoing = await takeBack(project, runId, planned);
  assert.equal(project.read('a'), 'third a\n');
  assert.equal(project.read('b'), 'second b\n');
  assert.equal(project.has('c'), false);
  assert.equal(project.read('new'), 'new\n');
  // The undo is a run, and can be undone itself.
  await undo(project, undoing);
  assert.equal(project.read('b'), 'first b\n');
  assert.equal(project.has('new'), false);
});

test('two rewinds are taken back one after the other, the last one first', async (t) => {
  const project = new TestProject(t);
  project.index.pace = { burstMs: 0, busyMs: 0 };
  const moments: Moment[] = [];
  for (const text of ['first', 'second', 'third']) {
    project.write('a', text);
    moments.push(await momentOf(project));
  }
  const [first, second] = moments;
  assert.ok(first !== undefined && second !== undefined);
  const earlier = await execute(project, await planTo(project, second.at));
  await momentOf(project);
  const later = await execute(project, await planTo(project, first.at));
  await momentOf(project);
  const texts: string[] = [];
  for (const runId of [later, earlier]) {
    const [run] = requireRuns(project.index, runId);
    const planned = await planRewindUndo(project.index, project.project, run ?? assert.fail('no run'), work);
    assert.deepEqual(planned.kept, []);
    await takeBack(project, runId, planned);
    texts.push(project.read('a'));
  }
  assert.deepEqual(texts, ['second', 'third']);
});

test('a file comes back to where there is an empty folder now', async (t) => {
  const project = new TestProject(t);
  project.write('a/was-a-file', 'first\n');
  const { at } = await momentOf(project);
  project.remove('a/was-a-file');
  await momentOf(project);
  mkdirSync(project.at('a/was-a-file'));
  await momentOf(project);
  await execute(project, await planTo(project, at));
  assert.equal(project.read('a/was-a-file'), 'first\n');
});

test('an empty folder in the place of a file that is gone comes and goes, and the file stays a deleted one', async (t) => {
  const project = new TestProject(t);
  project.index.pace = { burstMs: 0, busyMs: 0 };
  project.write('a/file', 'first\n');
  const file = await momentOf(project);
  project.remove('a/file');
  mkdirSync(project.at('a/file'), 0o755);
  const folder = await momentOf(project);
  const isDeleted = (): unknown[] => {
    const row = fileByPath(project.index, project.projectId, 'a/file');
    return [row?.deleted, row?.kind, row?.folderMode];
  };
  assert.deepEqual(isDeleted(), [1, 'file', 0o755]);
  chmodSync(project.at('a/file'), 0o700);
  const closed = await momentOf(project);
  project.remove('a/file');
  const nothing = await momentOf(project);
  assert.deepEqual(isDeleted(), [1, 'file', null]);
  project.write('a/file/inner', 'inner\n');
  const filled = await momentOf(project);
  for (const { at, tree } of [nothing, closed, folder, filled, file, closed, nothing, file, folder]) {
    const before = snapshot(project.root);
    const runId = await execute(project, await planTo(project, at));
    assert.deepEqual(snapshot(project.root), tree);
    await undo(project, runId);
    assert.deepEqual(snapshot(project.root), before);
    await execute(project, await planTo(project, at));
    assert.deepEqual(snapshot(project.root), tree);
    await momentOf(project);
  }
  assert.deepEqual(isDeleted(), [1, 'file', 0o755]);
});

test('a folder that had nothing in it has the mode of then, also where something is in it now', async (t) => {
  const project = new TestProject(t);
  mkdirSync(project.at('a/b'), { recursive: true });
  chmodSync(project.at('a/b'), 0o700);
  const { at, tree } = await momentOf(project);
  project.write('a/b/c');
  await momentOf(project);
  chmodSync(project.at('a/b'), 0o755);
  const now = await momentOf(project);
  const runId = await execute(project, await planTo(project, at));
  assert.deepEqual(snapshot(project.root), tree);
  assert.deepEqual((await planTo(project, at)).actions, []);
  await undo(project, runId);
  assert.deepEqual(Object.keys(snapshot(project.root)), Object.keys(now.tree));
  // What stays in it keeps the folder as it is.
  project.write('.gitignore', '*.local\n');
  project.write('a/b/x.local');
  await momentOf(project);
  await execute(project, await planTo(project, at));
  assert.ok('a/b/x.local' in snapshot(project.root));
});

test('an empty folder that a rewind takes away is in versions, and a repair has nothing to do', async (t) => {
  const project = new TestProject(t);
  project.write('a');
  const { at } = await momentOf(project);
  mkdirSync(project.at('new'));
  await momentOf(project);
  await execute(project, await planTo(project, at));
  assert.ok(lstatSync(project.versions.pathOf('new')).isDirectory());
  assert.deepEqual((await project.plan()).plan.actions, []);
});

test('the copy of a file takes the place in versions that the one of an empty folder had', async (t) => {
  const project = new TestProject(t);
  mkdirSync(project.at('a'));
  await project.reconcile();
  project.remove('a');
  await project.reconcile();
  project.write('a', 'file\n');
  await project.reconcile();
  project.remove('a');
  await project.reconcile();
  assert.deepEqual(Object.keys(copies(project)), ['a']);
  assert.equal(project.row('a').copyProblem, null);
});

test('an undo takes only those folders away that the rewind had made', async (t) => {
  const project = new TestProject(t);
  project.write('b/x');
  project.write('c/d/x');
  const { at } = await momentOf(project);
  for (const one of ['b', 'c']) project.remove(one);
  project.write('.gitignore', 'b/\n');
  mkdirSync(project.at('b'));
  const now = await momentOf(project);
  const runId = await execute(project, await planTo(project, at));
  assert.ok('b/x' in snapshot(project.root) && 'c/d/x' in snapshot(project.root));
  await undo(project, runId);
  assert.deepEqual(snapshot(project.root), now.tree);
});

test('names of one file go back together, and nobody is said to have written it', async (t) => {
  const project = new TestProject(t);
  project.write('one', 'first\n');
  for (const name of ['two', 'three']) linkSync(project.at('one'), project.at(name));
  const { at } = await momentOf(project);
  writeFileSync(project.at('two'), 'second\n');
  await momentOf(project);
  const runId = await execute(project, await planTo(project, at));
  const names = ['one', 'three', 'two'];
  assert.deepEqual(readdirSync(project.root).sort(), names);
  for (const name of names) assert.equal(project.read(name), 'first\n', name);
  await undo(project, runId);
  for (const name of names) assert.equal(project.read(name), 'second\n', name);
  assert.deepEqual(readdirSync(project.root).sort(), names);
});

test('what is ignored, too large or git’s own is not touched, and is named', async (t) => {
  const project = new TestProject(t);
  project.maxFileBytes = 1_000;
  project.write('small', 'small\n');
  project.write('grows', 'small\n');
  project.write('x.log', 'one\n');
  const { at } = await momentOf(project);
  project.write('small', 'changed\n');
  project.write('grows', 'g'.repeat(2_000));
  project.write('large', 'l'.repeat(2_000));
  project.write('x.log', 'two\n');
  await momentOf(project);
  project.write('.gitignore', '*.log\n');
  await momentOf(project);
  const { plan, actions } = await planTo(project, at);
  assert.deepEqual(
    actions.map((action) => `${action.verdict} ${action.path}`),
    ['remove .gitignore', 'revert small'],
  );
  assert.deepEqual(
    plan.untouched.map(({ path: named }) => named),
    ['grows', 'large', 'x.log'],
  );
});

test('only what is named goes back: a file, or a folder with all that is in it', async (t) => {
  const project = new TestProject(t);
  for (const name of ['a/x', 'a/y', 'ab', 'b']) project.write(name, 'first\n');
  const { at } = await momentOf(project);
  for (const name of ['a/x', 'a/y', 'ab', 'b']) project.write(name, 'second\n');
  await momentOf(project);
  const planned = await planRewind(
    project.index,
    project.project,
    at,
    { paths: ['a', 'b'], prefix: null },
    work,
  );
  await execute(project, planned);
  const texts = ['a/x', 'a/y', 'ab', 'b'].map((name) => project.read(name));
  assert.deepEqual(texts, ['first\n', 'first\n', 'second\n', 'first\n']);
});

test('what comes back has the mode and time it had; what gets another content is new for who builds by time', async (t) => {
  const project = new TestProject(t);
  project.write('gone.sh', 'echo\n', 0o750);
  project.write('edited', 'first\n', 0o600);
  const mtimes = new Map(['gone.sh', 'edited'].map((name) => [name, lstatSync(project.at(name)).mtimeMs]));
  const { at } = await momentOf(project);
  project.remove('gone.sh');
  project.write('edited', 'second\n', 0o644);
  const editedAt = lstatSync(project.at('edited')).mtimeMs;
  await momentOf(project);
  await execute(project, await planTo(project, at));
  assert.equal(lstatSync(project.at('gone.sh')).mode & 0o7777, 0o750);
  assert.ok(Math.abs(lstatSync(project.at('gone.sh')).mtimeMs - (mtimes.get('gone.sh') ?? 0)) < 0.01);
  assert.equal(lstatSync(project.at('edited')).mode & 0o7777, 0o600);
  assert.ok(lstatSync(project.at('edited')).mtimeMs >= editedAt);
  assert.equal(readFileSync(project.at('edited'), 'utf8'), 'first\n');
});

test('what rules ignored then and do not ignore any more was there, and stays', async (t) => {
  const project = new TestProject(t);
  project.write('.gitignore', '*.local\n');
  for (const name of ['a.local', 'edited.local', 'kept']) project.write(name);
  mkdirSync(project.at('folder.local'));
  // Files have their times by a coarser clock.
  const writtenAt = Date.now();
  await waitFor('that has gone on', () => Date.now() > writtenAt + 50);
  const { at } = await momentOf(project);
  await waitFor('it goes on again', () => Date.now() > at + 50);
  project.write('.gitignore', '# nothing\n');
  project.write('edited.local', 'edited\n');
  project.write('new');
  renameSync(project.at('kept'), project.at('moved'));
  await project.reconcile();
  assert.equal(project.row('a.local').deleted, 0);
  const planned = await planTo(project, at);
  assert.deepEqual(
    planned.plan.untouched,
    ['a.local', 'edited.local', 'folder.local'].map((name) => ({
      path: name,
      reason: 'it was there then, and was not followed',
    })),
  );
  await execute(project, planned);
  const there = Object.keys(snapshot(project.root)).sort();
  assert.deepEqual(there, ['.gitignore', 'a.local', 'edited.local', 'folder.local', 'kept']);
  assert.equal(project.read('edited.local'), 'edited\n');
});

test('what was moved with its folder, and its old name given to something else, was not there then', async (t) => {
  const project = new TestProject(t);
  project.write('a/b');
  const writtenAt = Date.now();
  await waitFor('the clock of files goes on', () => Date.now() > writtenAt + 50);
  const { at, tree } = await momentOf(project);
  mkdirSync(project.at('b'));
  renameSync(project.at('a'), project.at('b/x'));
  mkdirSync(project.at('a'));
  symlinkSync('a', project.at('a/b'));
  await project.reconcile();
  await execute(project, await planTo(project, at));
  assert.deepEqual(snapshot(project.root), tree);
});

test('a file that was too large at both moments is said to be left as it is', async (t) => {
  const project = new TestProject(t);
  project.write('large', 'x'.repeat(project.maxFileBytes + 1));
  const { at } = await momentOf(project);
  project.write('large', 'x'.repeat(project.maxFileBytes + 2));
  await project.reconcile();
  const { plan } = await planTo(project, at);
  assert.deepEqual([plan.actions, plan.untouched.map((one) => one.path)], [[], ['large']]);
});
