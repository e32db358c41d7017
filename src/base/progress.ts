export type ProgressListener = (phase: string, done: number, total: number) => void;

/** What goes with a piece of work that takes long. */
export interface Work {
  /** Aborts when the work is to end; its reason is what the work then rejects with. */
  readonly signal: AbortSignal;
  readonly progress: ProgressListener;
}

/** Wraps `report` so that it runs at most once per `everyMs`, except for a call that says `final`. */
export function throttled<A extends unknown[]>(
  everyMs: number,
  report: (...args: A) => void,
): (final: boolean, ...args: A) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (final, ...args) => {
    const now = performance.now();
    if (!final && now - last < everyMs) return;
    last = now;
    report(...args);
  };
}

/** Progress goes out at most this often (ms), except for the beginning of a phase and its end. */
const progressEveryMs = 100;

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
