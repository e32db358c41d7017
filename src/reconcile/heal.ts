import { messageOf } from '../base/errors.js';
import type { EntryImage } from '../base/entry-image.js';
import {
  healContent,
  problemOfContent,
  renderContent,
  type Rendering,
  renderStored,
  type StoredContent,
} from '../store/contents.js';
import type { IndexDatabase } from '../store/index-database.js';
import { backupsBeside } from '../store/backups.js';
import { contentInBackups } from '../store/kept-content.js';
import { AttachedBackup } from '../store/salvage/attached-backup.js';
import {
  forgetDamaged,
  isWanted,
  noteDamaged,
  type Place,
  placesOf,
  placesOfDamaged,
  reparse,
} from '../store/scrub.js';
import { type ImagedRow, imageWith } from './image.js';
import { contentOnDisk } from './rebuild/sources.js';

export type Log = (level: 'warn' | 'error', message: string) => void;

/**
 * Proves a content. One that is damaged or missing is mended from a file in a project, a copy in versions, or a backup; where
 * none has it, that is noted.
 * @param isKnown whether it was noted before
 * @returns whether it was mended
 */
export async function heal(
  index: IndexDatabase,
  hash: string,
  isKnown: boolean,
  log: Log,
  sources: ContentSources,
): Promise<boolean> {
  const problem = problemOfContent(index, hash);
  if (problem === null) {
    if (isKnown) await index.write(() => forgetDamaged(index, hash));
    return false;
  }
  // It has left since it was listed.
  if (!isWanted(index, hash)) return false;
  const content = sources.find(hash);
  if (content === null) {
    await index.write(() => noteDamaged(index, { sha256: hash, problem }, Date.now()));
    if (!isKnown) log('error', `content ${hash}: ${problem}, and nothing else has it`);
    return false;
  }
  try {
    await index.write(() => {
      healContent(index, content, Date.now());
      reparse(index, hash);
    });
    log('warn', `content ${hash}: ${problem}; it is mended`);
    return true;
  } catch (error) {
    // The page itself is damaged: a rebuild takes what is found here.
    await index.write(() => noteDamaged(index, { sha256: hash, problem: messageOf(error) }, Date.now()));
    return false;
  }
}

/** As keptContent; also from what has it in a project, or as a copy in versions. Not in a transaction. */
export function findContent(
  index: IndexDatabase,
  hash: string | null,
  sources = new ContentSources(index),
): Rendering {
  const rendering = renderContent(index, hash);
  if (!('problem' in rendering) || hash === null) return rendering;
  const content = sources.find(hash);
  return content === null ? rendering : renderStored(content.tree, hash);
}

/** As imageOf, from wherever its content still is. */
export function findImage(index: IndexDatabase, row: ImagedRow): EntryImage | { problem: string } {
  const rendering = findContent(index, row.sha256);
  return 'problem' in rendering ? rendering : imageWith(row, rendering.bytes, rendering.sha256);
}

interface Known {
  /** The files that have a content that is known to be damaged, or is missing; by its hash. */
  places: ReadonlyMap<string, Place[]>;
  /** Which of them each backup has, the newest first. */
  backups: { path: string; hashes: ReadonlySet<string> }[];
}

/** Where contents may be that the index cannot give; looked up at once, since there may be thousands. */
export class ContentSources {
  readonly #index: IndexDatabase;
  readonly #warn: (message: string) => void;
  #known: Known | null = null;

  constructor(index: IndexDatabase, log: Log = () => undefined) {
    this.#index = index;
    this.#warn = (message) => log('warn', message);
  }

  /** What is found is proven by its hash. */
  find(hash: string): StoredContent | null {
    this.#known ??= this.#lookUp();
    const { places, backups } = this.#known;
    const isKnown = places.has(hash);
    for (const place of places.get(hash) ?? placesOf(this.#index, hash)) {
      const content = contentOnDisk(this.#index, hash, place);
      if (content !== null) return content;
    }
    const having = backups.filter(({ hashes }) => !isKnown || hashes.has(hash)).map(({ path }) => path);
    return contentInBackups(this.#index, hash, having, this.#warn);
  }

  #lookUp(): Known {
    const places = new Map<string, Place[]>();
    for (const { sha256: hash, ...place } of placesOfDamaged(this.#index))
      places.set(hash, [...(places.get(hash) ?? []), place]);
    const backups = backupsBeside(this.#index.path).map((path) => {
      const hashesIn = (backup: AttachedBackup): string[] => backup.hashesAmong([...places.keys()]);
      return { path, hashes: new Set(AttachedBackup.tryUse(this.#index, path, hashesIn, this.#warn)) };
    });
    return { places, backups };
  }
}
