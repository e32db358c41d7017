import * as z from 'zod';
import { count, freshness, workerState } from './fields.js';

/**
 * What the supervisor tells those who subscribed: notifications `event`, whose params are one of these with the
 * `subscription_id` it is for. A client passes over types it does not know, so that more can be added.
 */

export const topics = ['worker', 'repair', 'job', 'index'] as const;
export const topic = z.enum(topics);
export type Topic = z.infer<typeof topic>;

/** The notification's method. */
export const eventMethod = 'event';

const workerStateEvent = z.object({
  topic: z.literal('worker'),
  type: z.literal('state'),
  worker_type: z.string(),
  state: workerState,
  pid: z.int().nullable().describe('null while there is no process'),
  reason: z.string().nullable().describe('Why it ended, in backoff and failed'),
});

const ofRepair = {
  topic: z.literal('repair'),
  run_id: z.string(),
  phase: z.string(),
  done: count,
  total: count,
};
const repairEvent = z.discriminatedUnion('type', [
  z.object({ ...ofRepair, type: z.literal('started') }),
  z.object({ ...ofRepair, type: z.literal('progress') }),
  z.object({ ...ofRepair, type: z.literal('finished'), state: z.enum(['done', 'failed', 'cancelled']) }),
]);

export const progress = z.object({ done: count, total: count, message: z.string() });
export const jobState = z.enum(['running', 'done', 'failed', 'cancelled']);
const jobEvent = z.object({
  topic: z.literal('job'),
  type: z.enum(['started', 'progress', 'ended']),
  job_id: z.string(),
  method: z.string(),
  state: jobState,
  progress,
});

const indexEvent = z.discriminatedUnion('type', [
  z.object({
    topic: z.literal('index'),
    type: z.literal('freshness'),
    project_id: z.string(),
    freshness,
    pending: count.describe('Changed paths that are not indexed yet'),
    reason: z.string().nullable(),
  }),
  z.object({ topic: z.literal('index'), type: z.literal('projects') }).describe('Some were added or removed'),
]);

export const serviceEvent = z.union([workerStateEvent, repairEvent, jobEvent, indexEvent]);
export type ServiceEvent = z.infer<typeof serviceEvent>;
export type EventOf<T extends Topic> = Extract<ServiceEvent, { topic: T }>;
export type Progress = z.infer<typeof progress>;
