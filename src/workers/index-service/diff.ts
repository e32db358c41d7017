import { compareBytes } from '../../base/byte-order.js';
import { CodekeepError } from '../../base/errors.js';
import { assertRelativePath } from '../../base/paths.js';
import { Slicer } from '../../base/waiting.js';
import type { Params, Result } from '../../contract/index.js';
import { tooLarge } from '../../reconcile/index-file.js';
import { listCheckpoints } from '../../store/checkpoints.js';
import { sourceOf } from '../../store/contents.js';
import { fileByPath } from '../../store/files.js';
import {
  pathsChangedSince,
  type PathState,
  renamesBetween,
  statesOf,
  versionNamed,
  wasAnything,
} from '../../store/history.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { keptContent } from '../../store/kept-content.js';
import { type Project, requireProject } from '../../store/projects.js';
import { cursorAt, placeIn } from './cursors.js';
import { assertRecorded, momentNamed } from './moments.js';
import { patchOf, type Side } from './patch.js';
import { requireKnown, stateFor } from './states.js';

type FileDiff = Result<'diff'>['files'][number];
/** What a patch can tell of: a file or a symlink, or that it was one. Null: there was neither. */
type Something = (PathState & { state: Side['kind'] | 'purged' }) | null;

/** Of a larger patch nobody reads all, and a page ends behind so many characters: both together stay far below what a client may be sent. */
const patchMaxLength = 512 * 1024;

/** Later than all that is known, also where the clock was put back. */
const now = Number.MAX_SAFE_INTEGER - 1;

/** What is different between two moments of a project, in the order of paths. */
export async function diff(
  index: IndexDatabase,
  { path, path_prefix, from, to, limit, cursor, ...reference }: Params<'diff'>,
  signal: AbortSignal,
): Promise<Result<'diff'>> {
  const project = requireProject(index, reference);
  if (path !== undefined) {
    const before = await namedState(index, project, path, 'from', from);
    const after = await namedState(index, project, path, 'to', to);
    const file = await fileDiff(index, before, after);
    return { files: file === null ? [] : [file], next_cursor: null };
  }
  // A duration would name another moment for each page.
  const place = placeOf(cursor) ?? {
    from: await timeNamed(index, project, 'from', from),
    to: await timeNamed(index, project, 'to', to),
    after: '',
  };
  const files: FileDiff[] = [];
  let length = 0;
  const slicer = new Slicer(signal);
  for (const pair of statesIn(index, project, place, path_prefix ?? '')) {
    await slicer.breathe();
    const file = await fileDiff(index, ...pair);
    if (file === null) continue;
    files.push(file);
    length += file.patch?.length ?? 0;
    if (files.length === limit || length >= patchMaxLength)
      return { files, next_cursor: cursorAt('diff', `${place.from}/${place.to}/${file.path}`) };
  }
  return { files, next_cursor: null };
}

interface Place {
  /** Milliseconds since 1970. */
  from: number;
  to: number;
  /** The path that was listed last. */
  after: string;
}

function placeOf(cursor: string | undefined): Place | null {
  const place = placeIn('diff', cursor);
  if (place === null) return null;
  const [from = '', to = '', ...path] = place.split('/');
  return { from: Number(from), to: Number(to), after: path.join('/') };
}

/** What each path was at both moments that became something else since the earlier one. */
function* statesIn(
  index: IndexDatabase,
  { id }: Project,
  { from, to, after }: Place,
  prefix: string,
): Generator<[before: Something, after: Something], void, undefined> {
  const at = (path: string): [Something, Something] => [
    somethingAt(index, id, path, from),
    somethingAt(index, id, path, to),
  ];
  const origins = new Map<string, Something>();
  const renamed = new Set<string>();
  for (const [path, fromPath] of renamesBetween(index, id, from, to)) {
    if (!path.startsWith(prefix) || !fromPath.startsWith(prefix) || renamed.has(fromPath)) continue;
    const [[was, is], [origin, left]] = [at(path), at(fromPath)];
    if (was !== null || is === null || origin === null || left !== null) continue;
    origins.set(path, origin);
    renamed.add(fromPath);
  }
  for (const path of pathsChangedSince(index, id, Math.min(from, to))) {
    if (!path.startsWith(prefix) || renamed.has(path) || compareBytes(path, after) <= 0) continue;
    const [was, is] = at(path);
    yield [origins.get(path) ?? was, is];
  }
}

/** What rules ignored then is taken for what it was before they did: it did not go. */
function somethingAt(index: IndexDatabase, projectId: string, path: string, at: number): Something {
  return somethingOf(statesOf(index, projectId, path, at + 1, 2).find(({ state }) => state !== 'ignored'));
}

function somethingOf(state: PathState | undefined): Something {
  const isSomething = state?.state === 'file' || state?.state === 'symlink' || state?.state === 'purged';
  return isSomething ? (state as Something) : null;
}

/** What a path was by one of its versions, or at a time. */
async function namedState(
  index: IndexDatabase,
  project: Project,
  path: string,
  param: 'from' | 'to',
  text: string | undefined,
): Promise<Something> {
  assertRelativePath(path);
  const fileId = fileByPath(index, project.id, path)?.id;
  if (fileId === undefined && !wasAnything(index, project.id, path)) requireKnown(index, project, path);
  if (fileId !== undefined && text !== undefined && versionNamed(text)?.fileId === fileId)
    return somethingOf(stateFor(index, project, path, fileId, text));
  return somethingAt(index, project.id, path, await timeNamed(index, project, param, text));
}

/** @throws CodekeepError INVALID_PARAMS; NOT_FOUND where nothing is known of that time */
async function timeNamed(
  index: IndexDatabase,
  project: Project,
  param: 'from' | 'to',
  text: string | undefined,
): Promise<number> {
  if (text === undefined && param === 'to') return now;
  const at =
    text === undefined ? newestCheckpoint(index, project) : await momentNamed(index, project, param, text);
  assertRecorded(index, project, at);
  return at;
}

function newestCheckpoint(index: IndexDatabase, { id, rootDir }: Project): number {
  const [newest] = listCheckpoints(index, id, 1);
  if (newest !== undefined) return newest.at;
  throw new CodekeepError(
    'INVALID_PARAMS',
    `${rootDir} has no checkpoint that could be compared with.`,
    'Say from when on: a time, a duration such as 10m, or a checkpoint once create_checkpoint has made one.',
    { issues: [{ param: 'from', message: 'is needed, since the project has no checkpoint' }] },
  );
}

/** Null where nothing is different. */
async function fileDiff(index: IndexDatabase, before: Something, after: Something): Promise<FileDiff | null> {
  const path = (after ?? before)?.path;
  if (path === undefined || isAlike(before, after)) return null;
  const isRenamed = before !== null && before.path !== path;
  const kind = before === null ? 'added' : after === null ? 'deleted' : isRenamed ? 'renamed' : 'changed';
  const file = { path, kind, from_path: isRenamed ? before.path : null } as const;
  const without = (reason: string): FileDiff => ({
    ...file,
    patch: null,
    reason,
    added_lines: null,
    removed_lines: null,
  });
  const [old, later] = [sideOf(index, before), sideOf(index, after)];
  if (old !== null && 'problem' in old) return without(old.problem);
  if (later !== null && 'problem' in later) return without(later.problem);
  const patch = await patchOf(old, later);
  if (patch === null) return without('it is binary');
  const { text, addedLines, removedLines } = patch;
  if (text.length > patchMaxLength) return without(`the patch is larger than ${patchMaxLength / 1024} KiB`);
  return { ...file, patch: text, reason: null, added_lines: addedLines, removed_lines: removedLines };
}

function isAlike(a: Something, b: Something): boolean {
  if (a === null || b === null) return a === b;
  // Of what is removed for good nobody can say that it is the same.
  if (a.state === 'purged' || b.state === 'purged') return a.seenAt === b.seenAt;
  const isSame = a.sha256 === b.sha256 && a.size === b.size;
  // A symlink has no mode of its own.
  const hasSameMode = a.mode === b.mode || a.state === 'symlink';
  return a.path === b.path && a.state === b.state && isSame && hasSameMode;
}

function sideOf(index: IndexDatabase, state: Something): Side | { problem: string } | null {
  if (state === null) return null;
  const { path, state: kind, mode, sha256 } = state;
  if (kind === 'purged') return { problem: 'it was removed for good' };
  if (sha256 === null) return { problem: `it is ${tooLarge}, and so not kept` };
  const source = sourceOf(index, sha256);
  if (source !== null) return { path, kind, mode, bytes: source };
  const kept = keptContent(index, sha256);
  return 'problem' in kept ? kept : { path, kind, mode, bytes: kept.bytes };
}
