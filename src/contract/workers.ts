import * as z from 'zod';
import {
  count,
  folderPath,
  projectFields,
  stopTimeout,
  timestamp,
  workerState,
  workerType,
} from './fields.js';
import { defineMethod } from './method.js';

/** Options of the background repair worker. */
const repairOptions = {
  ...projectFields,
  version_dir: folderPath.optional().describe("Look for versions here instead of the project's own folder"),
  batch_size: z.int().min(1).max(10_000).default(10).describe('Rows looked at in one step'),
  poll_interval: z.number().positive().max(86_400).default(30).describe('Seconds between two rounds'),
};

const started = z.object({
  success: z.boolean().describe('false when it runs already'),
  worker_type: workerType,
  pid: z.int(),
  message: z.string(),
});

const stopped = z.object({
  success: z.boolean(),
  message: z.string(),
  killed: z.array(
    z.object({ pid: z.int(), graceful: z.boolean(), how: z.string(), duration_ms: z.number() }),
  ),
  failed: z.array(z.object({ pid: z.int(), error: z.string() })),
});
export type StopResult = z.infer<typeof stopped>;

const status = z.object({
  worker_type: z.string(),
  internal: z.boolean().describe('true for index_service, which is not started or stopped by request'),
  state: workerState,
  is_running: z.boolean(),
  processes: z.array(
    z.object({
      pid: z.int(),
      cpu_percent: z.number(),
      memory_mb: z.number(),
      create_time: timestamp,
      uptime_seconds: z.number(),
      status: z.string(),
    }),
  ),
  restarts: count,
  last_exit: z
    .object({
      code: z.int().nullable(),
      signal: z.string().nullable(),
      at: timestamp,
      reason: z.string(),
      stderr: z.array(z.string()).describe('Its last lines'),
    })
    .nullable(),
  current_operation: z.string().nullable(),
  progress: z.object({ done: count, total: count }).nullable(),
  last_progress_at: timestamp.nullable().describe('When it last said how far it is'),
  log_activity: z.object({ last_entry_at: timestamp.nullable(), errors: count, warnings: count }),
  summary: z.object({
    process_count: count,
    is_running: z.boolean(),
    total_cpu_percent: z.number(),
    total_memory_mb: z.number(),
    oldest_process_uptime_seconds: z.number(),
  }),
});
export type WorkerStatus = z.infer<typeof status>;

const repairStatus = status.extend({
  rounds: count,
  last_round: z.object({ checked: count, repaired: count, skipped: count }).nullable(),
  halted_reason: z.string().nullable(),
  scrub: z
    .object({
      checked: count,
      total: count,
      mended: count,
      damaged: count.describe('That neither disk nor versions nor a backup has'),
      last_pass_ended_at: timestamp.nullable(),
    })
    .nullable()
    .describe('How far the pass is that proves every stored content in the course of scrub_period'),
});

export const startWorker = defineMethod({
  owner: 'supervisor',
  summary: 'Start a worker and wait until it is ready.',
  params: z.strictObject({ worker_type: workerType, ...repairOptions }),
  result: started,
});

export const stopWorker = defineMethod({
  owner: 'supervisor',
  summary: 'Stop a worker: SIGTERM, then SIGKILL of all its processes after the timeout.',
  params: z.strictObject({
    worker_type: workerType,
    timeout: stopTimeout,
    force: z.boolean().default(false).describe('SIGKILL at once'),
  }),
  result: stopped,
});

export const getWorkerStatus = defineMethod({
  owner: 'supervisor',
  summary: 'Show state, processes and progress of one worker, or of all.',
  params: z.strictObject({ worker_type: workerType.optional() }),
  result: z.union([status, z.object({ workers: z.array(status) })]),
});

export const startRepairWorker = defineMethod({
  owner: 'supervisor',
  summary: 'Start the background repair loop, which mends what is proven safe.',
  params: z.strictObject(repairOptions),
  result: started,
  tool: { title: 'Start the repair worker', readOnly: false, destructive: false, idempotent: true },
});

export const stopRepairWorker = defineMethod({
  owner: 'supervisor',
  summary: 'Stop the background repair loop.',
  params: z.strictObject({ timeout: stopTimeout, force: z.boolean().default(false) }),
  result: stopped,
  tool: { title: 'Stop the repair worker', readOnly: false, destructive: false, idempotent: true },
});

export const repairWorkerStatus = defineMethod({
  owner: 'supervisor',
  summary: 'Show what the background repair loop is doing and has done.',
  params: z.strictObject(projectFields),
  result: repairStatus,
  tool: { title: 'Show the repair worker', readOnly: true, destructive: false, idempotent: true },
});
