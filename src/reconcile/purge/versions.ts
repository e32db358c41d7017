import { randomUUID } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../../base/errors.js';
import { namesIn } from '../../base/folder-names.js';
import { relativePathProblem, splitPath, unstampedName } from '../../base/paths.js';
import { PinnedFolder } from '../../base/pinned-folder.js';
import { presenceAt } from '../../base/presence.js';
import { stampOfAny } from '../../base/stamp.js';
import { putBackLeftOver, removeIfSame } from '../../base/taken-file.js';
import { isTemporaryName } from '../../base/temporary-names.js';
import { Slicer } from '../../base/waiting.js';
import { hasContent } from '../../store/contents.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { ContentRow } from '../../store/purge-plan.js';
import { listProjects, type Project, versionDirs } from '../../store/projects.js';
import { removeEmptiedVersions } from '../repair/removals.js';
import { contentHashAt, VersionStore } from '../version-store.js';

/** Something that stays although somebody wants it gone, and why; relative to the project, or absolute. */
export interface Kept {
  path: string;
  versionId: string | null;
  reason: string;
}

/** A file of a versions directory that has a content which is to go. */
interface Copy {
  path: string;
  sha256: string;
}

/** What is found of a purge in the versions of one project. */
export interface CopiesInVersions {
  project: Project;
  /** Absolute. */
  root: string;
  copies: Copy[];
}

export interface FoundVersions {
  found: CopiesInVersions[];
  kept: Kept[];
  /** Why the project's own copies cannot be looked at. */
  problem: string | null;
}

/** Which files of versions are to go. */
export interface WantedVersions {
  /** Contents, each with its size: wherever they are. */
  gone: ReadonlyMap<string, number>;
  /** What rows of the project had that go, at their own paths only: others have the content. */
  atPath: readonly Pick<ContentRow, 'path' | 'sha256' | 'size'>[];
  /** Whether what is at a path of the project is to go, whatever it is. */
  isChosen: (path: string) => boolean;
}

/**
 * Looks through everything that is in versions, of any project and at any place that versions ever had: a file may be there under
 * the name of an older deletion.
 */
export async function findInVersions(
  index: IndexDatabase,
  project: Project,
  { gone, atPath, isChosen }: WantedVersions,
  signal: AbortSignal,
): Promise<FoundVersions> {
  const outcome: FoundVersions = { found: [], kept: [], problem: null };
  const sizes = new Set([...gone.values(), ...atPath.map(({ size }) => size)]);
  const placed = new Set(atPath.map(({ path, sha256 }) => `${path}\0${sha256}`));
  const slicer = new Slicer(signal);
  for (const place of placesOf(index)) {
    const isOwn = place.id === project.id;
    const keep = (path: string, reason: string): void =>
      void outcome.kept.push({ path, versionId: null, reason });
    const versions = new VersionStore(index, place);
    const bare = versions.bareReason() ?? (versions.isBlocked() ? 'something else is in its place' : null);
    if (bare !== null) {
      if (isOwn) outcome.problem = bare;
      continue;
    }
    const copies: Copy[] = [];
    for (const path of filesBelow(versions.root, '')) {
      await slicer.breathe();
      const isNamed = isOwn && isChosen(originalOf(path));
      const absolute = versions.pathOf(path);
      const look = hashIfWanted(absolute, (size) => isNamed || sizes.has(size));
      if (look === null) continue;
      if ('problem' in look) keep(absolute, `it cannot be looked at: ${look.problem}`);
      else if (gone.has(look.sha256) || (isOwn && placed.has(`${originalOf(path)}\0${look.sha256}`)))
        copies.push({ path, sha256: look.sha256 });
      else if (isNamed && !hasContent(index, look.sha256)) keep(absolute, unknownBytes);
    }
    if (copies.length > 0) outcome.found.push({ project: place, root: versions.root, copies });
  }
  return outcome;
}

const unknownBytes = 'the index does not know its bytes: look at it, and remove it yourself';

/** Each project at each place that versions ever had. */
function placesOf(index: IndexDatabase): Project[] {
  return listProjects(index).flatMap((project) =>
    [...new Set([project.versionDir, ...versionDirs(index)])].map((versionDir) => ({
      ...project,
      versionDir,
    })),
  );
}

/** Without the time that an older deletion has in its name. */
function originalOf(path: string): string {
  const { folder, name } = splitPath(path);
  const original = unstampedName(name) ?? name;
  return folder === '' ? original : `${folder}/${original}`;
}

function* filesBelow(root: string, folder: string): Generator<string> {
  for (const name of namesIn(join(root, folder), 'EACCES')) {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (relativePathProblem(path) !== null) continue;
    const presence = presenceAt(`${root}/${path}`);
    if (presence === 'directory') yield* filesBelow(root, path);
    else yield path;
  }
}

/** Null where it is no file or symlink, or nobody wants to know. */
function hashIfWanted(
  absolute: string,
  isWanted: (size: number) => boolean,
): { sha256: string } | { problem: string } | null {
  try {
    const { size } = lstatSync(absolute);
    const sha256 = isWanted(size) ? contentHashAt(absolute, presenceAt(absolute)) : null;
    return sha256 === null ? null : { sha256 };
  } catch (error) {
    return { problem: reasonOf(error) };
  }
}

/**
 * Removes what was found, each where it still is that, with the folders in which nothing is then.
 * @returns how many files are gone, and why the first of the others is not
 */
export async function removeFromVersions(
  index: IndexDatabase,
  { project, root: versionsRoot, copies }: CopiesInVersions,
  now: number,
): Promise<{ removed: number; problem: string | null }> {
  const outcome = { removed: 0, problem: null as string | null };
  const folders = new Set<string>();
  const root = await PinnedFolder.open(versionsRoot);
  try {
    for (const { path, sha256 } of copies) {
      const absolute = `${versionsRoot}/${path}`;
      try {
        if (!(await isRemoved(root, absolute, path, sha256, now))) throw new Error('it changed meanwhile');
        outcome.removed += 1;
        folders.add(splitPath(path).folder);
      } catch (error) {
        outcome.problem ??= `${absolute}: ${reasonOf(error)}`;
      }
    }
  } finally {
    await root.close();
  }
  await removeEmptiedVersions(index, project.id, versionsRoot, folders);
  return outcome;
}

async function isRemoved(
  root: PinnedFolder,
  absolute: string,
  path: string,
  sha256: string,
  now: number,
): Promise<boolean> {
  const stats = lstatSync(absolute, { bigint: true });
  const expected = { stamp: stampOfAny(stats), sha256: stats.isFile() ? sha256 : null };
  const outcome = await removeIfSame(root, path, expected, randomUUID(), now);
  return outcome === 'removed' || outcome === 'absent';
}

/** What processes that were killed had in hand in versions is in its place again, or gone. */
export async function settleVersions(index: IndexDatabase, now: number): Promise<void> {
  for (const place of placesOf(index)) {
    const { root: versionsRoot } = new VersionStore(index, place);
    const folders = [...foldersWithLeftOvers(versionsRoot, '')];
    if (folders.length === 0) continue;
    const root = await PinnedFolder.open(versionsRoot);
    try {
      for (const folder of folders) await putBackLeftOver(root, folder, now);
    } finally {
      await root.close();
    }
  }
}

function* foldersWithLeftOvers(root: string, folder: string): Generator<string> {
  const names = namesIn(join(root, folder), 'EACCES');
  if (names.some(isTemporaryName)) yield folder;
  for (const name of names) {
    const path = folder === '' ? name : `${folder}/${name}`;
    if (!isTemporaryName(name) && presenceAt(`${root}/${path}`) === 'directory')
      yield* foldersWithLeftOvers(root, path);
  }
}
