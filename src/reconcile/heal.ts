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
import type { FileRow } from '../store/files.js';
import type { IndexDatabase } from '../store/index-database.js';
import { contentInBackups } from '../store/kept-content.js';
import { forgetDamaged, noteDamaged, placesOf, reparse } from '../store/scrub.js';
import { imageWith } from './image.js';
import { contentOnDisk } from './rebuild/sources.js';

export type Log = (level: 'warn' | 'error', message: string) => void;

/**
 * Proves a content. One that is damaged or missing is mended from a file in a project, a copy in versions, or a backup; where
 * none has it, that is noted.
 * @param isKnown whether it was noted before
 * @returns whether it was mended
 */
export async function heal(index: IndexDatabase, hash: string, isKnown: boolean, log: Log): Promise<boolean> {
  const problem = problemOfContent(index, hash);
  if (problem === null) {
    if (isKnown) await index.write(() => forgetDamaged(index, hash));
    return false;
  }
  const content = elsewhere(index, hash, log);
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
export function findContent(index: IndexDatabase, hash: string | null): Rendering {
  const rendering = renderContent(index, hash);
  if (!('problem' in rendering) || hash === null) return rendering;
  const content = elsewhere(index, hash, () => undefined);
  return content === null ? rendering : renderStored(Buffer.from(content.tree), hash);
}

/** As imageOf, from wherever its content still is. */
export function findImage(index: IndexDatabase, row: FileRow): EntryImage | { problem: string } {
  const rendering = findContent(index, row.sha256);
  return 'problem' in rendering ? rendering : imageWith(row, rendering.bytes, rendering.sha256);
}

function elsewhere(index: IndexDatabase, hash: string, log: Log): StoredContent | null {
  for (const place of placesOf(index, hash)) {
    const content = contentOnDisk(index, hash, place);
    if (content !== null) return content;
  }
  const content = contentInBackups(index, hash, (message) => log('warn', message));
  return content === null ? null : { ...content, extractor: null };
}
