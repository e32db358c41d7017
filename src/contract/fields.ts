import * as z from 'zod';

/** Fields that several methods share, so that each is described and bounded in one place. */

/** For `refine`: no system call takes it. */
const hasNoNul = (text: string): boolean => !text.includes('\0');
const nul = { message: 'contains a NUL character' };

export const folderPath = z.string().min(1).refine(hasNoNul, nul);
export const absolutePath = z.string().startsWith('/', 'is not absolute').refine(hasNoNul, nul);

export const projectFields = {
  root_dir: folderPath.optional().describe("The project's root folder, absolute"),
  project_id: z.uuid().optional().describe('The id that add_project gave'),
};

export function namesProject(params: {
  root_dir?: string | undefined;
  project_id?: string | undefined;
}): boolean {
  return params.root_dir !== undefined || params.project_id !== undefined;
}

/** For `refine`: names root_dir, because that is the param people know. */
export const projectRequired = { message: 'give root_dir or project_id', path: ['root_dir'] };

export const path = z.string().min(1).describe('Path relative to root_dir, with "/" between its parts');
export const pathPrefix = z
  .string()
  .refine((prefix) => !/^\.{0,2}\//u.test(prefix), {
    message: 'is relative to root_dir: no path begins with "/", "./" or "../"',
  })
  .optional()
  .describe('Only paths that start with this');
export const limit = z.int().min(1).max(1000).default(100).describe('At most so many entries');
export const cursor = z.string().optional().describe('next_cursor of the page before');
export const nextCursor = z.string().nullable().describe('For the next page; null: this is the last one');
export const dryRun = z.boolean().default(false).describe('Only say what would be done');
export const timestamp = z.iso.datetime().describe('ISO-8601, UTC');

const secondsOf = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 } as const;

const zoned = z.iso.datetime({ offset: true });
const unzoned = z.union([z.iso.date(), z.iso.datetime({ local: true })]);

/**
 * A point in time as people write it, in milliseconds since 1970: ISO-8601 (UTC where it names no zone; a date is its first
 * instant), or a duration that counts back from now, such as 90s, 10m, 2h, 3d. Null for any other text.
 */
export function pointInTime(text: string, now: number): number | null {
  const duration = /^(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])$/u.exec(text);
  if (duration !== null) {
    const [, number, unit] = duration;
    return now - Number(number) * secondsOf[unit as keyof typeof secondsOf] * 1_000;
  }
  if (zoned.safeParse(text).success) return Date.parse(text);
  if (!unzoned.safeParse(text).success) return null;
  return Date.parse(text.includes('T') ? `${text}Z` : text);
}

export const since = z
  .string()
  .refine((text) => pointInTime(text, 0) !== null, {
    message: 'is neither ISO-8601, such as 2026-11-30T14:03:00Z, nor a duration such as 10m',
  })
  .describe('ISO-8601, UTC where it names no zone, or a duration that counts back from now, such as 10m');
/** Resolved by the index, which knows the checkpoints. */
export const moment = z
  .string()
  .min(1)
  .max(200)
  .describe(
    'ISO-8601, UTC where it names no zone, a duration that counts back from now, such as 10m, or a checkpoint',
  );
export const versionId = z.string().min(1).max(100).describe('As list_file_versions has it');
export const mode = z.string().describe('Permission bits in octal, such as 0644');
export const cause = z
  .enum(['seen', 'unseen', 'git', 'asked', 'repair'])
  .describe(
    'Why it was marked deleted: a watcher saw it go, nobody watched, git switched to a state without it, delete_file or accept_deletions asked for it, a repair found only its copy',
  );
export const sha256 = z.string().length(64).describe('SHA-256 of the raw bytes, in hex');
export const durationMs = z.number().nonnegative();
export const count = z.int().nonnegative();

export const freshness = z.enum(['fresh', 'stale', 'rebuilding', 'unknown']);
export const workerType = z.enum(['file_watcher', 'vectorization', 'repair']);
export const workerState = z.enum(['stopped', 'starting', 'ready', 'stopping', 'backoff', 'failed']);
export const stopTimeout = z
  .number()
  .positive()
  .max(600)
  .default(10)
  .describe('Seconds between SIGTERM and SIGKILL');

export type Freshness = z.infer<typeof freshness>;
export type WorkerType = z.infer<typeof workerType>;
