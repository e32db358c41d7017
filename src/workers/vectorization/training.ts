/** Decides when a project's model is trained. Pure: counts and times are arguments. */

/** A model is trained again when the project has so many times the chunks it was trained on, or as many times fewer. */
const growthFactor = 2;
/** Chunks that come or go within this (ms) belong to one change, such as the first indexing of a project. */
export const settledAfterMs = 1_000;
/** After so long (ms) of steady change a model of what is there is better than none. */
export const settlingMaxMs = 10_000;

/** @param trainedOn chunks that the project had when its model was trained; null where it has no usable one */
export function needsTraining(chunks: number, trainedOn: number | null): boolean {
  if (chunks === 0) return false;
  if (trainedOn === null) return true;
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
