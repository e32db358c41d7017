/**
 * Which of the states that a path was in are let go: pure, a function of times (milliseconds since 1970).
 *
 * The policy names moments: all of the last days, then the ends of hours, then the ends of days; and each checkpoint is one. A
 * state stays as long as it is what its path was at a moment that is kept. So all that is known of a kept moment stays
 * exactly so, also that a path was deleted then, and between two of them a path is at least what it was at the one before. A
 * moment that is kept later on is one that was kept before: how often something is forgotten in between makes no difference.
 */

/** The last moment of each `everyMs` (UTC) is kept for `forMs`; with 1 ms all are. */
export interface KeepRule {
  everyMs: number;
  forMs: number;
}

export type RetentionPolicy = readonly KeepRule[];

const hourMs = 3_600_000;
const dayMs = 86_400_000;

/** As the configuration has it, in seconds. */
export function policyOf(config: {
  history_keep_all: number;
  history_keep_hourly: number;
  history_keep_daily: number;
}): RetentionPolicy {
  return [
    { everyMs: 1, forMs: config.history_keep_all * 1_000 },
    { everyMs: hourMs, forMs: config.history_keep_hourly * 1_000 },
    { everyMs: dayMs, forMs: config.history_keep_daily * 1_000 },
  ];
}

/** Which moments of a project are kept. */
export interface Retention {
  policy: RetentionPolicy;
  now: number;
  /** Of before nothing was ever known. */
  recordedAt: number;
  /** The moments of its checkpoints, in order; all of them are kept. */
  checkpoints: readonly number[];
  /** Before it only checkpoints are kept: what was there takes too much room. 0: it does not. */
  cutAt: number;
}

/** A state that a path was in, until the next one began. */
export interface PastState {
  seenAt: number;
  /** When it was so no longer. */
  goneAt: number;
}

/** What a path is. */
export interface PresentState {
  seenAt: number;
  /** It is deleted, or a rewind made it this: what it was before stays as long as anything does, for whoever takes that back. */
  keepsBefore: boolean;
}

export interface JudgedState<S> {
  state: S;
  /** When the next state began; Infinity where none has. */
  endsAt: number;
  /** The latest of the kept moments at which it was so. Null: there is none, and it goes; Infinity: it always stays. */
  keptFor: number | null;
}

/**
 * Judges the states of one path.
 * @param past in the order of time
 * @param present null where the path is nothing of its own any more, such as a folder that something is in
 */
export function judgeStates<S extends PastState>(
  past: readonly S[],
  present: PresentState | null,
  retention: Retention,
): JudgedState<S>[] {
  const judged = past.map((state, at) => {
    const endsAt = past[at + 1]?.seenAt ?? present?.seenAt ?? Infinity;
    return { state, endsAt, keptFor: keptFor(state.seenAt, endsAt, retention) };
  });
  const last = judged.at(-1);
  if (last === undefined) return judged;
  if (present === null) {
    // It says that its path was nothing from then on, which need not be said where nothing is known of before.
    const isAlone = judged.slice(0, -1).every(({ keptFor: moment }) => moment === null);
    const { seenAt, goneAt } = last.state;
    if (isAlone) judged[judged.length - 1] = { ...last, ...until(seenAt, goneAt, retention) };
  } else if (present.keepsBefore && present.seenAt >= oldestOf(retention)) last.keptFor = Infinity;
  return judged;
}

function until(
  seenAt: number,
  endsAt: number,
  retention: Retention,
): { endsAt: number; keptFor: number | null } {
  return { endsAt, keptFor: keptFor(seenAt, endsAt, retention) };
}

/** Before it nothing is kept, whatever moment it is, but for checkpoints. */
export function oldestOf({ policy, now }: Pick<Retention, 'policy' | 'now'>): number {
  return now - Math.max(...policy.map(({ forMs }) => forMs));
}

/** Whether what a path was from then on, and until `before`, would be kept. */
export function isKeptFrom(
  seenAt: number,
  before: number,
  given: Pick<Retention, 'policy' | 'now'>,
): boolean {
  return keptFor(seenAt, before, { ...given, recordedAt: 0, checkpoints: [], cutAt: 0 }) !== null;
}

function keptFor(seenAt: number, endsAt: number, retention: Retention): number | null {
  const { policy, now, checkpoints, cutAt } = retention;
  if (hasMoment(checkpoints, seenAt, endsAt)) return Infinity;
  const moments = policy
    .filter(({ everyMs, forMs }) => lastEnd(endsAt, everyMs) >= Math.max(seenAt, now - forMs))
    .map(({ everyMs }) => lastEnd(endsAt, everyMs));
  const latest = Math.max(-1, ...moments);
  return latest < cutAt ? null : latest;
}

/** The last moment before `before` that ends one of these periods. */
function lastEnd(before: number, everyMs: number): number {
  return Math.floor(before / everyMs) * everyMs - 1;
}

function hasMoment(moments: readonly number[], from: number, before: number): boolean {
  return momentIn(moments, from, before) !== null;
}

/**
 * The first of them that is at `from` or later, and before `before`; null where there is none.
 * @param moments in order
 */
export function momentIn(moments: readonly number[], from: number, before: number): number | null {
  let [low, high] = [0, moments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((moments[middle] ?? 0) < from) low = middle + 1;
    else high = middle;
  }
  const moment = moments[low] ?? Infinity;
  return moment < before ? moment : null;
}

/** The oldest moment of the policy that is kept, of those of which anything is known. */
export function oldestKept({ policy, now, recordedAt, cutAt }: Retention): number {
  const firstEnd = ({ everyMs, forMs }: KeepRule): number =>
    Math.ceil((Math.max(now - forMs, recordedAt, cutAt) + 1) / everyMs) * everyMs - 1;
  return Math.min(...policy.map(firstEnd));
}

/**
 * From when on a project's history is whole once these states are gone: before it something was let go that it would take to
 * say what was there. -1: of that nothing goes.
 */
export function wholeSince(judged: readonly JudgedState<PastState>[], retention: Retention): number {
  const oldest = oldestKept(retention);
  const ends = judged
    .filter(({ keptFor: moment, endsAt }) => moment === null && endsAt <= oldest)
    .map(({ endsAt }) => endsAt);
  return Math.max(-1, ...ends);
}

/** A content that only past states have. */
export interface PastContent {
  bytes: number;
  /** The latest of what its states are kept for. */
  keptFor: number;
}

/**
 * Before when nothing is kept, so that contents take `maxBytes` at most: those go first that were needed longest ago. What
 * always stays may take more.
 */
export function cutFor(contents: readonly PastContent[], maxBytes: number): number {
  let bytes = contents.reduce((sum, content) => sum + content.bytes, 0);
  let cutAt = 0;
  for (const content of [...contents].sort((a, b) => a.keptFor - b.keptFor)) {
    if (bytes <= maxBytes || content.keptFor === Infinity) break;
    bytes -= content.bytes;
    cutAt = content.keptFor + 1;
  }
  return cutAt;
}
