/** Decides when a project's model is trained. Pure: counts and times are arguments. */

/** A model is trained again when the project has so many times the chunks it was trained on, or as many times fewer. */
const growthFactor = 2;
/** Chunks that come or go within this (ms) belong to one change, such as the indexing of another branch. */
export const settledAfterMs = 1_000;
/** After so long (ms) of steady change a model of what is there is better than none. */
export const settlingMaxMs = 60_000;

/**
 * Whether a model is to be trained as soon as the project has come to rest. While the first index is under way none is: what
 * an early one made would be made again, and files are found by their words meanwhile.
 * @param isIndexed the first index is complete
 * @param trainedOn chunks that the project had when its model, or the one that is about to be its model, learned; null where
 * there is no usable one
 */
export function isTrainingDue(chunks: number, isIndexed: boolean, trainedOn: number | null): boolean {
  if (chunks === 0 || !isIndexed) return false;
  return trainedOn === null || chunks >= trainedOn * growthFactor || chunks < trainedOn / growthFactor;
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
