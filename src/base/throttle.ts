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
