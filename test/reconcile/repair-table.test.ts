/**
 * One lost file in every state that it can be in, on a real file system: what stands in the project and in versions, its mark,
 * its stored tree, the root, the file system, and git. Bytes and marks are compared after one repair and after two.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { deviceIdOf } from '#src/store/devices.js';
import { damageContent } from '../store/index-fixture.js';
import { assertAllKept, copies, everyContent, setMark, snapshot, TestProject } from './project-fixture.js';

// Hundreds of files are made durable here, which costs nothing in memory.
if (existsSync('/dev/shm')) process.env['TMPDIR'] = '/dev/shm';

const roots = ['verified', 'replaced and empty', 'replaced and full', 'unavailable'] as const;
const devices = ['same', 'another'] as const;
const gits = ['unmoved', 'left'] as const;

interface Surroundings {
  root: (typeof roots)[number];
  device: (typeof devices)[number];
  git: (typeof gits)[number];
}

interface Case {
  path: string;
  content: string;
  project: 'absent' | 'own' | 'other' | 'folder' | 'symlink';
  versions: 'absent' | 'own' | 'other' | 'revived' | 'folder';
  mark: 'none' | 'seen' | 'asked' | 'ignored';
  tree: 'sound' | 'damaged' | 'too large';
}

/** Longer ones have no tree. */
const maxFileBytes = 100;

const cases: Case[] = (['absent', 'own', 'other', 'folder', 'symlink'] as const).flatMap((project) =>
  (['absent', 'own', 'other', 'revived', 'folder'] as const).flatMap((versions) =>
    (['none', 'seen', 'asked', 'ignored'] as const).flatMap((mark) =>
      (['sound', 'damaged', 'too large'] as const).map((tree) => {
        const path = [project, versions, mark, tree].join('/');
        return {
          path,
          content: path.padEnd(tree === 'too large' ? maxFileBytes + 1 : 0),
          project,
          versions,
          mark,
          tree,
        };
      }),
    ),
  ),
);

function git(project: TestProject, ...given: string[]): void {
  const identity = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false'];
  execFileSync('git', [...identity, ...given], { cwd: project.root, stdio: 'ignore' });
}

/** Takes what stands there away and puts something else there. */
function put(absolute: string, what: Case['project'] | Case['versions'], content: string): void {
  rmSync(absolute, { recursive: true, force: true });
  if (what === 'absent') return;
  mkdirSync(dirname(absolute), { recursive: true });
  if (what === 'folder') mkdirSync(absolute);
  else if (what === 'symlink') symlinkSync('/etc/hostname', absolute);
  else writeFileSync(absolute, what === 'other' ? `other than ${content}` : content);
}

async function build(project: TestProject, { root, device, git: what }: Surroundings): Promise<Case[]> {
  // In a folder that is empty or not there nothing stands in anybody's place.
  const isBare = root === 'unavailable' || root === 'replaced and empty';
  const chosen = cases.filter((one) => !isBare || one.project === 'absent');
  const { index } = project;
  project.maxFileBytes = maxFileBytes;
  for (const { path, content } of chosen) project.write(path, content);
  for (let number = 0; number < 10; number += 1) project.write(`fine/${number}`);
  if (what === 'left') {
    git(project, 'init', '--quiet');
    git(project, 'add', '--all');
    git(project, 'commit', '--quiet', '--message=all');
  }
  await project.reconcile();
  if (what === 'left') {
    git(project, 'rm', '-r', '--cached', '--quiet', 'absent');
    git(project, 'commit', '--quiet', '--message=none of it');
  }
  // From now on: what is marked so by hand is what a comparison would find.
  writeFileSync(project.at('.codekeepignore'), 'ignored\n');
  const rows = project.rows();
  await index.write(() => {
    const elsewhere = deviceIdOf(index, project.projectId, { identity: 'a disk that is away', folder: '' });
    for (const one of chosen) {
      const id = rows.get(one.path)?.id;
      if (one.tree === 'damaged') damageContent(index, rows.get(one.path)?.sha256 ?? '', 90);
      setMark(project, one.path, one.mark === 'seen' || one.mark === 'asked' ? one.mark : null);
      if (one.mark === 'ignored') index.sql('UPDATE files SET ignored = 1 WHERE id = ?').run(id);
      if (one.versions === 'revived')
        index.sql('UPDATE files SET revived = 1 - deleted WHERE id = ?').run(id);
      if (device === 'another') index.sql('UPDATE files SET device_id = ? WHERE id = ?').run(elsewhere, id);
    }
  });
  for (const one of chosen) {
    put(project.at(one.path), one.project, one.content);
    put(project.versions.pathOf(one.path), one.versions, one.content);
  }
  if (root !== 'verified') renameSync(project.root, join(project.folder, 'away'));
  if (isBare && root !== 'unavailable') mkdirSync(project.root);
  if (root === 'replaced and full') {
    mkdirSync(project.root);
    execFileSync('cp', ['-a', '.', project.root], { cwd: join(project.folder, 'away') });
  }
  return chosen;
}

interface Expected {
  isDeleted: boolean;
  /** What stands in the project then; null: what stood there. */
  isBack: boolean;
  isKept: boolean;
}

/** What becomes of a file, in words: the same after one repair and after two. */
function expectedOf(one: Case, { root, device, git: what }: Surroundings): Expected {
  const wasDeleted = one.mark === 'seen' || one.mark === 'asked';
  const hasCopy = one.versions === 'own' || one.versions === 'revived';
  const asItWas = { isDeleted: wasDeleted, isBack: false, isKept: hasCopy };
  if (one.project === 'own' || one.project === 'other') {
    // It is there, so it is not deleted; with the root away nobody can tell.
    return { ...asItWas, isDeleted: false };
  }
  const isLookedAt = root === 'verified' || root === 'replaced and full';
  if (one.project !== 'absent' || one.mark === 'ignored' || !isLookedAt || one.versions === 'folder')
    return asItWas;
  // An older state of it in versions gets another name.
  const canBeKept = hasCopy || one.tree === 'sound';
  if (wasDeleted) return { ...asItWas, isKept: canBeKept };
  if (device === 'another') return asItWas;
  if (what === 'left') return { isDeleted: true, isBack: false, isKept: canBeKept };
  if (one.versions === 'own') return { ...asItWas, isDeleted: true };
  if (!canBeKept) return asItWas;
  // What is too large to be in the index is moved back, and is in versions no more.
  return { isDeleted: false, isBack: true, isKept: one.tree !== 'too large' };
}

function check(
  project: TestProject,
  chosen: readonly Case[],
  around: Surroundings,
  before: Record<string, string>,
): void {
  const rows = project.rows();
  const inProject = existsSync(project.root) ? snapshot(project.root) : {};
  const inVersions = copies(project);
  for (const one of chosen) {
    const { isDeleted, isBack, isKept } = expectedOf(one, around);
    const own = sha256(Buffer.from(one.content));
    const row = rows.get(one.path);
    const seen = {
      deleted: row?.deleted,
      ignored: row?.ignored,
      project: inProject[one.path],
      isKept: inVersions[one.path]?.endsWith(own) === true,
    };
    const expected = {
      deleted: Number(isDeleted),
      ignored: Number(one.mark === 'ignored'),
      project: isBack ? `file 644 ${own}` : before[one.path],
      isKept,
    };
    assert.deepEqual(seen, expected, one.path);
    if (isBack && one.tree === 'too large')
      assert.equal(readFileSync(project.at(one.path), 'utf8'), one.content);
  }
}

for (const root of roots)
  for (const device of devices)
    for (const what of gits) {
      const around = { root, device, git: what };
      test(`a root that is ${root}, ${device} file system, HEAD ${what}: every file is as it should be after a repair`, async (t) => {
        const project = new TestProject(t);
        const chosen = await build(project, around);
        const isAway = root === 'unavailable';
        if (isAway) mkdirSync(project.root);
        const contents = everyContent(project);
        const before = snapshot(project.root);
        if (isAway) rmSync(project.root, { recursive: true });
        const dry = await project.plan();
        const { plan, outcome } = await project.repair();
        assert.deepEqual(plan, dry.plan);
        assert.deepEqual([outcome.errors, outcome.conflicts], [[], []]);
        assert.equal(outcome.done.length, plan.actions.length);
        check(project, chosen, around, before);
        const again = await project.repair();
        assert.deepEqual(again.plan.actions, []);
        check(project, chosen, around, before);
        if (isAway) mkdirSync(project.root);
        assertAllKept(project, contents);
      });
    }
