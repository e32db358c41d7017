/** Decides when a project's model is trained. Pure: counts and times are arguments. */

/** A model is trained again when the project has so many times the chunks it was trained on, or as many times fewer. */
const growthFactor = 2;
/** The same for one that learned while the first index was under way: what came later may be of another kind. */
const growthSinceEarly = 1.25;
/** Chunks of a project so large that it gets a model before its first index is complete: some minutes of indexing. */
export const largeProjectChunks = 50_000;
/** Chunks that come or go within this (ms) belong to one change, such as the indexing of another branch. */
export const settledAfterMs = 1_000;
/** After so long (ms) of steady change a model of what is there is better than none. */
export const settlingMaxMs = 10_000;

export interface ProjectSize {
  readonly chunks: number;
  /** Its first index is complete. */
  readonly isComplete: boolean;
}

/** The model that a project has, or is about to have. */
export interface Learned {
  /** Chunks that the project had. */
  readonly trainedOn: number;
  /** Its first index was under way. */
  readonly isEarly: boolean;
}

/**
 * Whether a model is to be trained: not, at once, or as soon as the project has come to rest.
 * @param learned null where there is no usable model
 */
export function trainingDue(
  { chunks, isComplete }: ProjectSize,
  learned: Learned | null,
): 'not' | 'now' | 'at rest' {
  if (chunks === 0) return 'not';
  if (!isComplete) return learned === null && chunks > largeProjectChunks ? 'now' : 'not';
  return learned === null || isOutgrown(chunks, learned) ? 'at rest' : 'not';
}

function isOutgrown(chunks: number, { trainedOn, isEarly }: Learned): boolean {
  if (isEarly && chunks >= trainedOn * growthSinceEarly) return true;
  return chunks >= trainedOn * growthFactor || chunks < trainedOn / growthFactor;
}

/** A project that needs training, since when; times in milliseconds of one monotonic clock. */
export interface Settling {
  readonly chunks: number;
  readonly unchangedSince: number;
  readonly since: number;
}

export function settlingNow(before: Settling | undefined, chunks: number, now: number): Settling {
  if (before === undefined) return { chunks, unchangedSince: now, since: now };
  return before.chunks === chunks ? before : { ...before, chunks, unchangedSince: now };
}

export function isSettled(settling: Settling, now: number): boolean {
  return now - settling.unchangedSince >= settledAfterMs || now - settling.since >= settlingMaxMs;
}

/** What the project had at two looks; documents get ascending ids. */
export interface Ages {
  /** Ids below it were given ripeAfterMs ago, or earlier. */
  readonly ripeBelow: number;
  /** Ids below it were given at `at` (ms of a monotonic clock), or earlier. */
  readonly seenBelow: number;
  readonly at: number;
}

/** A document comes before its content (ms): a batch of files is written between the two, or never where the process died. */
export const ripeAfterMs = 10_000;

export function agesNow(before: Ages | undefined, nextChunk: number, now: number): Ages {
  if (before === undefined) return { ripeBelow: 0, seenBelow: nextChunk, at: now };
  if (now - before.at < ripeAfterMs) return before;
  return { ripeBelow: before.seenBelow, seenBelow: nextChunk, at: now };
}
