import { CommandError, exitStatus } from './output.js';

const timeOfDay = /^(?<hour>\d{1,2}):(?<minute>\d\d)(?::(?<second>\d\d))?$/u;
const dateAndTime =
  /^(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)(?:[T ](?<hour>\d{1,2}):(?<minute>\d\d)(?::(?<second>\d\d))?)?$/u;
const inZone = /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)$/iu;

/**
 * A moment as people type it, in words of the wire. A time of day is the last one that has been, a date its first instant, both
 * as the clock on the wall has them; a duration, a checkpoint, a version and what is none of these stay as they are.
 * @throws CommandError for a time that lies ahead, or no text
 */
export function momentOf(text: string, now: Date): string {
  if (text === '') throw wrong('No time is given');
  const at = lastTimeOfDay(text, now) ?? localTimeIn(text) ?? (inZone.test(text) ? new Date(text) : null);
  if (at === null || Number.isNaN(at.getTime())) return text;
  if (at > now) throw wrong(`${text} lies ahead`);
  return at.toISOString();
}

function wrong(what: string): CommandError {
  return new CommandError(
    `${what}.`,
    'Give one that has been, a duration such as 10m, or a checkpoint.',
    exitStatus.usage,
  );
}

/** As an argument or an option. */
export function parseWhen(text: string): string {
  return momentOf(text, new Date());
}

function lastTimeOfDay(text: string, now: Date): Date | null {
  const clock = clockIn(timeOfDay.exec(text)?.groups);
  if (clock === null) return null;
  const onDay = (day: number): Date => new Date(now.getFullYear(), now.getMonth(), day, ...clock);
  const today = onDay(now.getDate());
  return today > now ? onDay(now.getDate() - 1) : today;
}

function localTimeIn(text: string): Date | null {
  const groups = dateAndTime.exec(text)?.groups;
  const clock = clockIn(groups);
  if (groups === undefined || clock === null) return null;
  const [month, day] = [Number(groups['month']), Number(groups['day'])];
  const date = new Date(Number(groups['year']), month - 1, day, ...clock);
  // There is no 30th of February.
  return date.getMonth() === month - 1 && date.getDate() === day ? date : null;
}

/** Hour, minute and second; null where no clock shows that. */
function clockIn(groups: Record<string, string | undefined> | undefined): [number, number, number] | null {
  if (groups === undefined) return null;
  const { hour = '0', minute = '0', second = '0' } = groups;
  const isOnClock = Number(hour) < 24 && Number(minute) < 60 && Number(second) < 60;
  return isOnClock ? [Number(hour), Number(minute), Number(second)] : null;
}
