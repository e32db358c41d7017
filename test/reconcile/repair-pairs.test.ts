/** Every pair of states of two rows whose paths have to do with each other: what a repair does for one harms no other. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { isTemporaryName } from '#src/base/temporary-names.js';
import { isWithin } from '#src/base/paths.js';
import { noProjectGit } from '#src/reconcile/project-git.js';
import { indexPaths } from '#src/reconcile/index-paths.js';
import type { FileKind } from '#src/store/files.js';
import { assertAllKept, copies, everyContent, setMark, snapshot, TestProject } from './project-fixture.js';

// Hundreds of files are made durable here, which costs nothing in memory.
if (existsSync('/dev/shm')) process.env['TMPDIR'] = '/dev/shm';

interface State {
  isPresent: boolean;
  copy: 'absent' | 'own' | 'older';
  isDeleted: boolean;
}

const states: State[] = [false, true].flatMap((isPresent) =>
  (['absent', 'own', 'older'] as const).flatMap((copy) =>
    [false, true].map((isDeleted) => ({ isPresent, copy, isDeleted })),
  ),
);
const pairs = states.flatMap((first) => states.map((second) => [first, second] as const));

interface Entry {
  kind: FileKind;
  path: string;
}

const relations: Record<string, [Entry, Entry]> = {
  'in the same folder': [{ kind: 'file', path: 'd/x' }, { kind: 'file', path: 'd/y' }],
  'a file and what is below it': [{ kind: 'file', path: 'a' }, { kind: 'file', path: 'a/b' }],
  'a symlink and what is below it': [{ kind: 'symlink', path: 'a' }, { kind: 'file', path: 'a/b' }],
  'an empty folder and what is below it': [{ kind: 'folder', path: 'a' }, { kind: 'file', path: 'a/b' }],
  'a file and what is far below it': [{ kind: 'file', path: 'a' }, { kind: 'file', path: 'a/b/c' }],
  'NFC and NFD': [{ kind: 'file', path: '\u00E9' }, { kind: 'file', path: 'e\u0301' }],
  'names that differ in case': [{ kind: 'file', path: 'Name' }, { kind: 'symlink', path: 'name' }],
}; // prettier-ignore

/** Puts an entry there with its own content, or with another one. */
function put(absolute: string, { kind, path }: Entry, isOwn: boolean): void {
  const content = `${isOwn ? 'content' : 'older content'} of ${path}`;
  mkdirSync(dirname(absolute), { recursive: true });
  if (kind === 'file') writeFileSync(absolute, content);
  else if (kind === 'symlink') symlinkSync(content, absolute);
  else mkdirSync(absolute, { recursive: true });
}

/** One file cannot lie below another, and an empty folder has no older state. */
function isPossible([a, b]: [Entry, Entry], [first, second]: readonly [State, State]): boolean {
  if (a.kind === 'folder') return first.copy !== 'older';
  if (!isWithin(a.path, b.path)) return true;
  const isBoth = first.isPresent && second.isPresent;
  return !isBoth && (first.copy === 'absent' || second.copy === 'absent');
}

/** A project with every possible pair, each in a folder of its own; the index knows all of them. */
async function build(project: TestProject, entries: [Entry, Entry]): Promise<void> {
  const possible = pairs
    .map((pair, number) => ({ pair, folder: `p${number}` }))
    .filter(({ pair }) => isPossible(entries, pair));
  const inFolder = (folder: string, entry: Entry): Entry => ({ ...entry, path: `${folder}/${entry.path}` });
  const eachRow = function* (): Generator<[Entry, State]> {
    for (const { pair, folder } of possible)
      for (const [position, entry] of entries.entries())
        yield [inFolder(folder, entry), pair[position] ?? pair[0]];
  };
  // They are indexed one after the other, because some cannot stand there together; what is below comes first, or there
  // would be no empty folder.
  for (const position of [1, 0] as const) {
    const placed = possible.map(({ folder }) => inFolder(folder, entries[position]));
    for (const entry of placed) put(project.at(entry.path), entry, true);
    await indexPaths(
      project.context(),
      noProjectGit,
      placed.map(({ path }) => path),
    );
    for (const { path } of placed) rmSync(project.at(path.split('/', 2).join('/')), { recursive: true });
  }
  for (const { folder } of possible) rmSync(project.at(folder), { recursive: true });
  project.write('stays');
  for (const [entry, state] of eachRow()) {
    setMark(project, entry.path, state.isDeleted ? 'seen' : null);
    if (state.isPresent) put(project.at(entry.path), entry, true);
    if (state.copy !== 'absent') put(project.versions.pathOf(entry.path), entry, state.copy === 'own');
  }
}

for (const [name, entries] of Object.entries(relations))
  for (const deletedSince of [null, 0])
    test(`two rows, ${name}${deletedSince === null ? '' : ', all deletions wanted back'}: no byte is lost, and the dry run is what the run does`, async (t) => {
      const project = new TestProject(t);
      await build(project, entries);
      assert.equal(project.rows().size % 2, 0, 'a row is missing');
      const filesBefore = snapshot(project.root);
      const contentsBefore = everyContent(project);
      const dry = await project.plan({ deletedSince });
      assert.deepEqual(snapshot(project.root), filesBefore, 'planning touched the disk');
      const { plan, outcome } = await project.repair({ deletedSince });
      assert.deepEqual(plan, dry.plan);
      assert.deepEqual([outcome.errors, outcome.conflicts], [[], []]);
      assert.equal(outcome.done.length, plan.actions.length);
      const filesAfter = snapshot(project.root);
      for (const [path, what] of Object.entries(filesBefore)) assert.equal(filesAfter[path], what, path);
      assertAllKept(project, contentsBefore);
      for (const path of [...Object.keys(filesAfter), ...Object.keys(copies(project))])
        assert.ok(!isTemporaryName(path.slice(path.lastIndexOf('/') + 1)), path);
      const again = await project.plan({ deletedSince });
      assert.deepEqual(again.plan.actions, []);
    });
