import { sha256 } from '../../base/hash.js';
import { type StoredContent, unparsedContent } from '../../store/contents.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { projectById } from '../../store/projects.js';
import { readWhole } from '../read-entry.js';
import { VersionStore } from '../version-store.js';

/** Where a content that the index cannot give may still be; whatever is found there is proven by its hash. */

/** In a file of the project, or in its copy in versions. It is kept as one token until it is indexed again. */
export function contentOnDisk(
  index: IndexDatabase,
  hash: string,
  { projectId, path, size }: { projectId: string; path: string; size: number },
): StoredContent | null {
  const project = projectById(index, projectId);
  if (project === undefined) return null;
  for (const absolute of [`${project.rootDir}/${path}`, new VersionStore(index, project).pathOf(path)]) {
    const reading = readWhole(absolute, Math.max(size, 1));
    if (reading.kind === 'content' && sha256(reading.bytes) === hash)
      return unparsedContent(reading.bytes, hash);
  }
  return null;
}
