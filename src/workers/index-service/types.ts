import type { ProjectFreshness } from '../../base/ipc.js';
import type { IndexMethod, Params, Result } from '../../contract/index.js';
import type { IndexingContext } from '../../reconcile/index-paths.js';
import type { DerivedReaders } from '../../store/derived/derived-databases.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';
import type { WorkerHost } from '../host.js';

/** What the methods of the index share. */
export interface IndexContext {
  index: IndexDatabase;
  /** What is made of contents. */
  readers: DerivedReaders;
  host: WorkerHost;
}

export interface IndexCall {
  signal: AbortSignal;
  /** How true a project's index is, as its watcher last said. */
  freshnessOf(projectId: string): Pick<ProjectFreshness, 'freshness' | 'pending' | 'reason'>;
}

export type IndexMethods = {
  [N in IndexMethod]: (params: Params<N>, call: IndexCall) => Promise<Result<N>> | Result<N>;
};

/** What a process that indexes has for it. */
export type Parsing = Pick<IndexingContext, 'extractor' | 'derived' | 'inHand'>;

/** For the small writes, which index what they are about. */
export function indexingContext(
  { index, host }: IndexContext,
  parsing: Parsing,
  project: Project,
  signal: AbortSignal,
): IndexingContext {
  const { stateDir, config } = host.start;
  return { index, ...parsing, project, stateDir, maxFileBytes: config.max_file_bytes, now: Date.now, signal };
}

/** A time in milliseconds since 1970 as the wire has it. */
export function iso(at: number): string {
  return new Date(at).toISOString();
}

export function isoOrNull(at: number | null): string | null {
  return at === null ? null : iso(at);
}

/** Permission bits as the wire has them. */
export function modeText(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
