import { CodekeepError } from './errors.js';

/** Longest relative path that is accepted, in bytes; Linux's PATH_MAX (4,096) less room for a short root. */
const pathMaxBytes = 4_000;

/** Longest name on nearly every file system (NAME_MAX). */
export const nameMaxBytes = 255;

/** A path of so many characters is within the limit, however many bytes each of them takes. */
const plainPathMaxChars = pathMaxBytes / 3;

/** An empty segment (also before a leading and behind a trailing slash), `.` or `..`, or a NUL. */
const oddSegment = /(?:^|\/)\.{0,2}(?:\/|$)|\0/;

/**
 * Why a stored or given path is not a canonical relative path, or null when it is one. Canonical:
 * `/`-separated, not empty, no leading or trailing slash, no `.`, `..` or empty segment, no NUL, valid Unicode.
 * Paths are stored one way only; everything that reads a row or a param asks here first.
 */
export function relativePathProblem(path: string): string | null {
  // Asked for every row of a project, so what is plainly in order is passed without taking it apart.
  if (path.length <= plainPathMaxChars && path.isWellFormed() && !oddSegment.test(path)) return null;
  if (path === '') return 'is empty';
  if (path.startsWith('/')) return 'is absolute';
  if (path.includes('\0')) return 'contains a NUL character';
  // A lone surrogate has no UTF-8 form: it would name another file than the text does.
  if (!path.isWellFormed()) return 'is not valid Unicode';
  if (Buffer.byteLength(path) > pathMaxBytes) return `is longer than ${pathMaxBytes} bytes`;
  for (const segment of path.split('/')) {
    if (segment === '') return 'contains an empty segment';
    if (segment === '.' || segment === '..') return `contains the segment "${segment}"`;
  }
  return null;
}

/** @throws CodekeepError PATH_OUTSIDE_ROOT unless `path` is canonical (see relativePathProblem). */
export function assertRelativePath(path: string): void {
  const problem = relativePathProblem(path);
  if (problem !== null) {
    throw new CodekeepError(
      'PATH_OUTSIDE_ROOT',
      `The path ${JSON.stringify(path)} ${problem}.`,
      'Give the path relative to root_dir, with "/" between its parts and no "." or "..".',
    );
  }
}

/** The folder part of a relative path ('' for a file directly below the root) and its last segment. */
export function splitPath(path: string): { folder: string; name: string } {
  const slash = path.lastIndexOf('/');
  return slash < 0
    ? { folder: '', name: path }
    : { folder: path.slice(0, slash), name: path.slice(slash + 1) };
}

/**
 * `path` with `.stamp` before its last extension: `a/b.tar.gz` gives `a/b.tar.<stamp>.gz`. What makes the name too long
 * for the file system is cut from before the stamp, or from an extension that leaves no room for one.
 */
export function stampedPath(path: string, stamp: string): string {
  const { folder, name } = splitPath(path);
  const dot = name.lastIndexOf('.');
  const [stem, extension] = dot <= 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot)];
  const room = nameMaxBytes - Buffer.byteLength(stamp) - 1;
  const end = cutToBytes(extension, room - 1);
  const cut = `${cutToBytes(stem, room - Buffer.byteLength(end))}.${stamp}${end}`;
  return folder === '' ? cut : `${folder}/${cut}`;
}

/** The longest beginning of whole characters that takes `bytes` at most. */
function cutToBytes(text: string, bytes: number): string {
  const encoded = Buffer.from(text);
  if (encoded.byteLength <= bytes) return text;
  let end = Math.max(bytes, 0);
  // The bytes of a character after its first are 10xxxxxx.
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return encoded.toString('utf8', 0, end);
}

const stamped = /^(?<stem>.+)\.\d{8}T\d{6}\.\d{3}Z(?<extension>\.[^.]*)?$/su;

/** The name that stampedPath was given with a time, unless it was too long for that; null where it has none. */
export function unstampedName(name: string): string | null {
  const groups = stamped.exec(name)?.groups;
  return groups === undefined ? null : `${groups['stem'] ?? ''}${groups['extension'] ?? ''}`;
}

/** A time for stampedPath: ISO 8601 basic format, which sorts and needs no quoting in a shell. */
export function timeStamp(now: number): string {
  return new Date(now).toISOString().replaceAll(/[-:]/g, '');
}

/** True when `inner` is `outer` or lies below it; both absolute and normalised. */
export function isWithin(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(outer.endsWith('/') ? outer : `${outer}/`);
}
