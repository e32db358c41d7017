import { throttled } from '../base/throttle.js';

/** Progress goes out at most this often (ms), except for the beginning of a phase and its end. */
const progressEveryMs = 100;

export type ProgressListener = (phase: string, done: number, total: number) => void;

/** Thins out progress: the first and the last of each phase always go out, those between now and then. */
export function throttledProgress(report: ProgressListener): ProgressListener {
  const send = throttled(progressEveryMs, report);
  let last: string | null = null;
  return (phase, done, total) => {
    const isEdge = phase !== last || done === total;
    last = phase;
    send(isEdge, phase, done, total);
  };
}
