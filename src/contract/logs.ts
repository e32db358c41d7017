import * as z from 'zod';
import { count, since, timestamp, workerType } from './fields.js';
import { defineMethod } from './method.js';

/** Besides the workers of the contract, the daemon itself and index_service keep a log. */
const logType = z.enum([...workerType.options, 'index_service', 'supervisor']);
export type LogType = z.infer<typeof logType>;
export const logTypes: readonly LogType[] = logType.options;

const level = z.enum(['error', 'warn', 'info', 'debug']);

export const listWorkerLogs = defineMethod({
  owner: 'supervisor',
  summary: 'List the log files, newest first.',
  params: z.strictObject({ worker_type: logType.optional() }),
  result: z.object({
    log_files: z.array(
      z.object({ path: z.string(), worker_type: logType, size: count, modified: timestamp }),
    ),
  }),
});

export const viewWorkerLogs = defineMethod({
  owner: 'supervisor',
  summary: "Show a worker's log entries, oldest first.",
  params: z.strictObject({
    worker_type: logType,
    from_time: since.optional(),
    to_time: since.optional(),
    log_levels: z.array(level).min(1).optional(),
    search_pattern: z
      .string()
      .min(1)
      .max(1000)
      .optional()
      .describe('Regular expression (RE2: no lookaround, no backreferences) that the message has to match'),
    tail: z.int().min(1).max(10_000).optional().describe('Only the last so many of the entries that match'),
    limit: z.int().min(1).max(10_000).default(1000),
  }),
  result: z.object({
    entries: z.array(z.object({ timestamp, level, message: z.string() })),
    total_lines: count,
    filtered_lines: count,
    truncated: z.boolean().describe('true when older entries were left unread'),
  }),
});

export const rotateWorkerLogs = defineMethod({
  owner: 'supervisor',
  summary: 'Begin new log files and keep the old ones as numbered backups.',
  params: z.strictObject({
    worker_type: logType.optional(),
    backup_count: z.int().min(1).max(100).default(5),
  }),
  result: z.object({ rotated_paths: z.array(z.string()) }),
});
