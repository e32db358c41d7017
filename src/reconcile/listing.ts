import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { errnoOf } from '../base/errors.js';
import { printOf } from '../base/stamp.js';

/** What is in a folder, in no order, as it is handed from a thread to another one: few and flat texts. */
export interface Listing {
  names: readonly string[];
  /** A character for each name, see `marks`. */
  marks: string;
  /** What lstat says of each entry (see lookAt); null where nobody has looked, and of folders. */
  looks: readonly string[] | null;
}

/** Of an entry: a folder or not, and whether its name is UTF-8. */
export const marks = { other: 'o', folder: 'd', oddOther: 'O', oddFolder: 'D' } as const;

/** Tells the program's own files, see own-files.ts. */
type IsOwn = (stats: BigIntStats) => boolean;

/** Stands in a name that was read as UTF-8 for bytes that are not; a name may also have it by itself. */
const replacement = '\uFFFD';

/** @throws what the system says, by its errno */
export function listFolder(absolute: string): Listing {
  const entries = readdirSync(absolute, { withFileTypes: true });
  const names = entries.map(({ name }) => name);
  if (names.some(mayBeOdd)) return listByBytes(absolute);
  let marked = '';
  for (const entry of entries) marked += entry.isDirectory() ? marks.folder : marks.other;
  return { names, marks: marked, looks: null };
}

/** Tells a name that is not UTF-8 from one that looks like it. */
function listByBytes(absolute: string): Listing {
  const entries = readdirSync(absolute, { withFileTypes: true, encoding: 'buffer' });
  const names = entries.map(({ name }) => name.toString());
  const marked = entries.map((entry, position) => {
    const isUtf8 = Buffer.from(names[position] ?? '').equals(entry.name);
    if (entry.isDirectory()) return isUtf8 ? marks.folder : marks.oddFolder;
    return isUtf8 ? marks.other : marks.oddOther;
  });
  return { names, marks: marked.join(''), looks: null };
}

/** Whether a name may stand for one that is not UTF-8. */
export function mayBeOdd(name: string): boolean {
  return name.includes(replacement);
}

/** Whether a folder has an entry that reads so and whose name is not UTF-8. */
export function hasOddName(absoluteFolder: string, name: string): boolean {
  const { names, marks: marked } = listFolder(absoluteFolder);
  return names.some((one, position) => {
    const mark = marked[position];
    return one === name && (mark === marks.oddOther || mark === marks.oddFolder);
  });
}

/** A listing, and a look at all in it that is no folder. */
export function listWithLooks(absolute: string, isOwn: IsOwn): Listing {
  const listing = listFolder(absolute);
  const looks = listing.names.map((name, position) =>
    listing.marks[position] === marks.other ? lookAt(`${absolute}/${name}`, isOwn) : '',
  );
  return { ...listing, looks };
}

/** What a look begins with. */
export const seen = { file: 'f', symlink: 's', problem: '!' } as const;

/**
 * What lstat says of an entry that was listed as no folder: 'f' or 's' (a symlink) and its print, '!' and why it cannot be
 * kept; '' for what is no content: gone or a folder by now, which is for the next walk, or the program's own.
 */
export function lookAt(absolute: string, isOwn: IsOwn): string {
  try {
    const stats = lstatSync(absolute, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined || stats.isDirectory() || isOwn(stats)) return '';
    if (stats.isFile()) return seen.file + printOf(stats);
    if (stats.isSymbolicLink()) return seen.symlink + printOf(stats);
    return `${seen.problem}not a regular file (${specialKindOf(stats)})`;
  } catch (error) {
    const errno = errnoOf(error);
    return errno === 'ENOTDIR' ? '' : seen.problem + whyUnread(errno);
  }
}

export function whyUnread(errno: string | null, subject = ''): string {
  if (errno === 'ENAMETOOLONG') return 'the path with that of the root is longer than the system takes';
  return `${subject}cannot be read (${errno ?? 'error'})`;
}

function specialKindOf(stats: BigIntStats): string {
  if (stats.isSocket()) return 'socket';
  return stats.isFIFO() ? 'fifo' : 'device';
}
