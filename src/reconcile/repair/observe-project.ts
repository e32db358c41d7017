import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { countFiles, nthPath, type PathRange } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import type { Project } from '../../store/projects.js';
import { mergeObservations, type Observation, type ObservedProject, observeRange } from './observe.js';

/** Below so many rows a thread costs more than it saves. */
const rowsPerThreadMin = 10_000;
const threadsMax = 4;

/** What a thread is started with, and what it says; see observe-thread.ts. */
export interface ObserveTask {
  databasePath: string;
  project: ObservedProject;
  range: PathRange;
}
export type ObserveMessage = { done: number } | { observation: Observation };

/**
 * Looks at all rows of a project. Nearly all of the time goes into lstat, one by one, so a large project is
 * cut into ranges that threads look at side by side, each with its own read-only connection.
 */
export async function observeProject(
  index: IndexDatabase,
  project: Project,
  progress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<Observation> {
  const { total } = countFiles(index, project.id);
  const ranges = rangesOf(index, project.id, total);
  const done = ranges.map(() => 0);
  const report = (part: number) => (count: number) => {
    done[part] = count;
    progress(
      done.reduce((sum, one) => sum + one, 0),
      total,
    );
  };
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const { id, rootDir, versionDir } = project;
  const parts = ranges.map(async (range, part) =>
    part === 0
      ? await observeRange(index, project, range, report(part), both)
      : await observeInThread(
          { databasePath: index.path, project: { id, rootDir, versionDir }, range },
          report(part),
          both,
        ),
  );
  try {
    return mergeObservations(await Promise.all(parts));
  } finally {
    // Where one part failed, nobody waits for the others.
    stop.abort();
    await Promise.allSettled(parts);
  }
}

function rangesOf(index: IndexDatabase, projectId: string, total: number): PathRange[] {
  const count = Math.max(
    1,
    Math.min(availableParallelism(), threadsMax, Math.floor(total / rowsPerThreadMin)),
  );
  const cuts: string[] = [];
  for (let part = 1; part < count; part += 1) {
    const cut = nthPath(index, projectId, Math.floor((total * part) / count));
    if (cut !== null) cuts.push(cut);
  }
  return [...cuts, null].map((upTo, part) => ({ after: part === 0 ? null : (cuts[part - 1] ?? null), upTo }));
}

async function observeInThread(
  task: ObserveTask,
  progress: (done: number) => void,
  signal: AbortSignal,
): Promise<Observation> {
  signal.throwIfAborted();
  const thread = new Worker(new URL('./observe-thread.js', import.meta.url), { workerData: task });
  const end = (): void => void thread.terminate();
  signal.addEventListener('abort', end, { once: true });
  try {
    return await new Promise<Observation>((resolve, reject) => {
      thread.on('message', (message: ObserveMessage) => {
        if ('observation' in message) resolve(message.observation);
        else progress(message.done);
      });
      thread.once('error', reject);
      thread.once('exit', () =>
        reject(signal.aborted ? signal.reason : new Error('an observing thread ended early')),
      );
    });
  } finally {
    signal.removeEventListener('abort', end);
    await thread.terminate();
  }
}
