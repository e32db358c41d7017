/** ok: nothing to do; warn: works, with less than it could have; fail: does not work, or somebody else can get in. */
export type Verdict = 'ok' | 'warn' | 'fail';

export interface Finding {
  /** What was looked at, in a word or two. */
  check: string;
  verdict: Verdict;
  message: string;
  /** How to mend it, as a full sentence; null where nothing is wrong. */
  fix: string | null;
}

export function ok(check: string, message: string): Finding {
  return { check, verdict: 'ok', message, fix: null };
}

export function warn(check: string, message: string, fix: string): Finding {
  return { check, verdict: 'warn', message, fix };
}

export function fail(check: string, message: string, fix: string): Finding {
  return { check, verdict: 'fail', message, fix };
}
