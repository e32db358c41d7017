import * as z from 'zod';
import { jobState, progress, topic } from './events.js';
import { count, timestamp, workerState } from './fields.js';
import { defineMethod } from './method.js';

const problem = z.object({
  source: z.string().describe('A worker type, socket or start'),
  reason: z.string(),
  hint: z.string(),
  stderr: z.array(z.string()).optional().describe('The last lines that a worker wrote'),
});
export type Problem = z.infer<typeof problem>;

export const health = defineMethod({
  owner: 'supervisor',
  summary: 'Say whether the daemon is well; answers at once whatever else runs.',
  params: z.strictObject({}),
  result: z.object({
    status: z.enum(['ok', 'degraded', 'repairing']),
    version: z.string(),
    pid: z.int(),
    state_dir: z.string().optional().describe('Where its index is; an older version does not say'),
    uptime_seconds: z.number(),
    workers: z.record(z.string(), workerState),
    repair: z
      .object({ run_id: z.string(), phase: z.string(), done: count, total: count })
      .nullable()
      .describe(
        'Why status is repairing; in phase recover a start has not come yet to finishing what was cut off (run_id is empty where it could not be noted)',
      ),
    problems: z.array(problem).describe('What makes it degraded'),
  }),
});

export const discover = defineMethod({
  owner: 'supervisor',
  summary: 'Give the OpenRPC document of this service.',
  params: z.strictObject({}),
  result: z.looseObject({ openrpc: z.string() }),
});

export const shutdown = defineMethod({
  owner: 'supervisor',
  summary: 'Stop the daemon in order: workers first, then the socket.',
  params: z.strictObject({}),
  result: z.object({
    stopping: z.literal(true),
    index_lost: z
      .string()
      .optional()
      .describe('That the index was gone from its place, where what was open of it is saved, and what to do'),
  }),
});

const job = z.object({
  job_id: z.string(),
  method: z.string(),
  state: jobState,
  progress,
  started_at: timestamp,
  finished_at: timestamp.nullable(),
  result: z.unknown().nullable(),
  error: z.looseObject({ code: z.number(), message: z.string() }).nullable(),
});
export type Job = z.infer<typeof job>;

const jobId = z.string().min(1).max(100).describe('The id that a call with wait=false gave');

export const listJobs = defineMethod({
  owner: 'supervisor',
  summary: 'List the long calls that run or ran lately, newest first; get_job has their results.',
  params: z.strictObject({}),
  result: z.object({ jobs: z.array(job) }),
});

export const getJob = defineMethod({
  owner: 'supervisor',
  summary: 'Show one long call with its progress and, once it has ended, its result.',
  params: z.strictObject({ job_id: jobId }),
  result: job,
});

export const cancelJob = defineMethod({
  owner: 'supervisor',
  summary: 'Ask a long call to stop at its next safe point.',
  params: z.strictObject({ job_id: jobId }),
  result: job,
});

export const subscribe = defineMethod({
  owner: 'supervisor',
  summary: 'Send notifications "event" about these topics on this connection, until it ends.',
  params: z.strictObject({
    topics: z.array(topic).min(1).describe('worker: state changes; repair, job: progress; index: freshness'),
  }),
  result: z.object({ subscription_id: z.string() }),
});

export const unsubscribe = defineMethod({
  owner: 'supervisor',
  summary: 'End a subscription of this connection.',
  params: z.strictObject({
    subscription_id: z.string().min(1).describe('The id that subscribe gave'),
  }),
  result: z.object({ unsubscribed: z.literal(true) }),
});
