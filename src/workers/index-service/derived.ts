import { CodekeepError } from '../../base/errors.js';
import { DerivedDamageError } from '../../store/derived/damage.js';
import { type ChunkCounts, countVectors } from '../../store/derived/vectors.js';
import { outsideCause } from '../../store/sqlite-errors.js';
import { countFiles } from '../../store/files.js';
import type { Project } from '../../store/projects.js';
import type { SearchedProject } from '../../search/search.js';
import type { IndexContext } from './types.js';

/**
 * Runs `work` on what is made of the projects' contents; projects of which nothing is made yet are left out.
 * @throws CodekeepError INDEX_UNAVAILABLE where it is damaged: it is made again then
 */
export async function withDerived<T>(
  { readers, host }: IndexContext,
  projects: readonly Pick<Project, 'id'>[],
  work: (searched: readonly SearchedProject[]) => Promise<T> | T,
): Promise<T> {
  const ids = projects.map(({ id }) => id);
  return await readers.use(ids, async (open) => {
    const searched = [...open].map(([id, derived]): SearchedProject => ({ id, derived }));
    try {
      return await work(searched);
    } catch (error) {
      if (!(error instanceof DerivedDamageError)) throw error;
      host.log('warn', `what search knows is damaged, and is made again: ${error.message}`);
      for (const { id, derived } of searched) if (derived.path === error.path) readers.discard(id);
      throw madeAgain();
    }
  });
}

export function madeAgain(): CodekeepError {
  return new CodekeepError(
    'INDEX_UNAVAILABLE',
    'What search knows of the project is damaged.',
    'It is made again by itself, which takes as long as a first index; no file and no content is lost.',
  );
}

/** It was damaged or removed, and its watcher has not made another one yet. */
export function isLost({ index, readers }: IndexContext, projectId: string): boolean {
  try {
    // First what costs least: hardly ever is one lost.
    if (readers.look(projectId, () => true) !== null) return false;
  } catch (error) {
    if (outsideCause(error) !== null) return false;
    throw error;
  }
  return countFiles(index, projectId).chunks > 0;
}

/** Chunks of files that are there, and how many of them semantic search can see. */
export function chunkCountsOf({ index, readers }: IndexContext, projectId: string): ChunkCounts {
  const total = countFiles(index, projectId).chunks;
  const counts = vectorsOf(readers, projectId);
  if (counts.vectorized === 0) return { total, vectorized: 0 };
  // Documents get their vectors in order, whether a file still has them or not; files with one content share them.
  return { total, vectorized: Math.max(0, total - (counts.total - counts.vectorized)) };
}

function vectorsOf(readers: IndexContext['readers'], projectId: string): ChunkCounts {
  const nothing = { total: 0, vectorized: 0 };
  try {
    return readers.look(projectId, (derived) => derived.read(() => countVectors(derived))) ?? nothing;
  } catch (error) {
    if (error instanceof DerivedDamageError || outsideCause(error) !== null) return nothing;
    throw error;
  }
}
