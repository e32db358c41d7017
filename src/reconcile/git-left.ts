import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { sha256 } from '../base/hash.js';
import type { FileRow } from '../store/files.js';
import type { HeadMark, HeadMarks } from '../store/repositories.js';
import { askGit } from './git-program.js';
import { type GitState, logFormat } from './git-state.js';
import {
  hasHeadMoved,
  isHeadMoved,
  nestedIn,
  noHead,
  pathIn,
  type ProjectGit,
  repositoriesAround,
  repositoriesOf,
} from './project-git.js';

/**
 * What git took out of the project since somebody looked the last time: HEAD had it, and now git does not have it. A file
 * that was indexed before it was committed counts, too; HEAD's log tells of commits that it came by in between.
 * @param content what the file had in the end: where that is given, HEAD is known to have had the path with this very
 *   content. What was edited and never committed is not in git, whoever took it. Null where it is not known.
 */
export type IsLeftByGit = (row: Pick<FileRow, 'path' | 'tracked'>, content?: () => Buffer | null) => boolean;

const commitName = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/u;

/** Entries of HEAD's log that are read at most, and commits that are compared with HEAD: a rebase makes hundreds. */
const entriesMax = 1_000;
const commitsMax = 100;

/**
 * Asks git only where HEAD has moved. A repository that is gone or cannot be asked has taken nothing away: its files are
 * lost with it, unless it was a submodule that the one around it took away.
 * @param git null where it was not asked
 * @throws the signal's reason
 */
export async function leftByGit(
  rootDir: string,
  known: HeadMarks,
  git: ProjectGit | null,
  signal: AbortSignal,
): Promise<IsLeftByGit> {
  if (git === null || !hasHeadMoved(known, git)) return () => false;
  const took = new Map<string, IsLeftByGit>(nestedIn(known).map((folder) => [folder, () => false]));
  for (const [folder, state] of repositoriesOf(git))
    took.set(folder, await takenBy(join(rootDir, folder), known.get(folder) ?? noHead, state, signal));
  const isBy = (folder: string, entry: string, tracked: 0 | 1, content?: () => Buffer | null): boolean =>
    took.get(folder)?.({ path: pathIn(folder, entry), tracked }, content) === true;
  return ({ path, tracked }, content) => {
    if (git.isTracked(path)) return false;
    const around = repositoriesAround(took, path);
    // One further out had the file itself, or a whole submodule that it was in.
    return around.some((folder, depth) =>
      depth === 0
        ? isBy(folder, path, tracked, content)
        : isBy(folder, path, 0, content) || around.slice(0, depth).some((entry) => isBy(folder, entry, 0)),
    );
  };
}

/** By one repository: paths are relative to the folder. One that never had the commit is another one in its place. */
async function takenBy(
  folder: string,
  known: HeadMark,
  git: GitState,
  signal: AbortSignal,
): Promise<IsLeftByGit> {
  if (git.head === null || !isHeadMoved(known, git)) return () => false;
  const then = commitOf(known.head);
  if (then !== null && !(await hasCommit(folder, git, then, signal))) return () => false;
  const hadTracked = known.head !== null && known.head !== git.head;
  const had = await hadSince(folder, known, git, signal);
  return ({ path, tracked }, content) => {
    if (git.isTracked(path) || !((hadTracked && tracked === 1) || had.has(path))) return false;
    const bytes = content?.() ?? null;
    return bytes === null || isOneOf(had.get(path) ?? [], bytes);
  };
}

/**
 * Whether a file's bytes are those of one of some blobs: as they are, with git's line ends, or where the blob says what they are
 * (Git LFS). What another filter makes of a blob is not known.
 */
function isOneOf(blobs: readonly string[], bytes: Buffer): boolean {
  const isBlob = (content: Buffer): boolean =>
    blobs.some((name) => name === blobNameOf(content, name.length));
  return isBlob(bytes) || isBlob(withGitsLineEnds(bytes)) || isBlob(lfsPointerOf(bytes));
}

/** By the format of git's objects; of SHA-1, or of SHA-256 where names are so long. */
function blobNameOf(content: Buffer, length: number): string {
  const hash = createHash(length === 40 ? 'sha1' : 'sha256');
  return hash.update(`blob ${content.length}\0`).update(content).digest('hex');
}

function withGitsLineEnds(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
}

/** What Git LFS commits in the place of a file; its specification, version 1. */
function lfsPointerOf(bytes: Buffer): Buffer {
  return Buffer.from(
    `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(bytes)}\nsize ${bytes.length}\n`,
  );
}

async function hasCommit(
  folder: string,
  git: GitState,
  commit: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await askGit(git, folder, ['cat-file', '-e', `${commit}^{commit}`], signal)) !== null;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/** What HEAD had at the last look or since then, and does not have: the blobs by their paths, relative to the folder. */
async function hadSince(
  folder: string,
  known: HeadMark,
  git: GitState,
  signal: AbortSignal,
): Promise<Map<string, string[]>> {
  const blobs = new Map<string, string[]>();
  const ask = async (...question: string[]): Promise<string> => {
    try {
      return (await askGit(git, folder, question, signal)) ?? '';
    } catch {
      signal.throwIfAborted();
      // A commit that was collected meanwhile, or an unborn HEAD, says nothing.
      return '';
    }
  };
  const log = await ask('log', '-g', '-z', `-${entriesMax}`, ...logFormat, 'HEAD');
  const since = entriesSince(log.split('\0'), known);
  const visited = new Set([known.head ?? '', ...since.map((entry) => entry.split(' ', 1)[0] ?? '')]);
  const head = commitOf(git.head);
  if (head !== null) visited.delete(head);
  const commits = [...visited].filter((name) => commitOf(name) !== null).slice(0, commitsMax);
  for (const commit of commits) {
    const listed =
      head === null
        ? entriesOfTree(await ask('ls-tree', '-r', '-z', commit))
        : removedEntries(await ask('diff-tree', '-r', '-z', ...onlyRemoved, commit, head));
    for (const [path, blob] of listed) {
      const before = blobs.get(path);
      if (before === undefined) blobs.set(path, [blob]);
      else if (!before.includes(blob)) before.push(blob);
    }
  }
  return blobs;
}

/** Of `mode type object`, a tab and the path. */
function* entriesOfTree(listed: string): Generator<[path: string, blob: string]> {
  for (const entry of listed.split('\0').slice(0, -1)) {
    const tab = entry.indexOf('\t');
    yield [entry.slice(tab + 1), entry.slice(0, tab).split(' ')[2] ?? ''];
  }
}

/** Of `:mode mode object object status`, and the path behind a NUL. */
function* removedEntries(listed: string): Generator<[path: string, blob: string]> {
  const parts = listed.split('\0');
  for (let at = 0; at + 1 < parts.length; at += 2)
    yield [parts[at + 1] ?? '', parts[at]?.split(' ')[2] ?? ''];
}

/** Null for the name of a branch that has no commit yet, and for none. */
function commitOf(head: string | null): string | null {
  return head !== null && commitName.test(head) ? head : null;
}

const onlyRemoved = ['--relative', '--no-renames', '--diff-filter=D'];

/** Those that are newer than the one that was the newest then; where HEAD had no log then, but a commit: none. */
function entriesSince(entries: readonly string[], known: HeadMark): readonly string[] {
  if (known.headLog === null) return commitOf(known.head) === null ? entries : [];
  const end = entries.indexOf(known.headLog);
  return end < 0 ? entries : entries.slice(0, end);
}
