import * as z from 'zod';
import {
  absolutePath,
  cause,
  count,
  dryRun,
  durationMs,
  folderPath,
  limit,
  cursor,
  nextCursor,
  projectFields,
  sha256,
  since,
  timestamp,
  workerType,
} from './fields.js';
import { defineMethod } from './method.js';

const action = z.object({ id: z.int(), path: z.string() });
const refusal = action.extend({ reason: z.string() });

const projectRepair = z.object({
  project_id: z.string(),
  root_dir: z.string(),
  version_dir: z.string(),
  files_in_project_restored: z
    .array(action)
    .describe('Present in the project: the deleted mark is taken off'),
  files_in_versions_marked_deleted: z.array(action).describe('Only in versions: marked deleted'),
  files_restored_from_cst: z
    .array(action.extend({ targets: z.array(z.enum(['versions', 'project'])), sha256: sha256.nullable() }))
    .describe(
      'Not in the project: written again from the stored syntax tree, or moved back where that is too large',
    ),
  recently_deleted: z
    .array(z.object({ path: z.string(), cause: cause.nullable(), deleted_at: timestamp }))
    .describe(
      'Marked deleted in the last day, the newest first: nothing to mend, unless deleted_since says so',
    ),
  unrestorable: z.array(refusal),
  conflicts: z.array(refusal),
  unknown: z.array(refusal),
  errors: z.array(z.string()),
  totals: z.record(z.string(), count).describe('checked, and one count per verdict'),
});
export type ProjectRepair = z.infer<typeof projectRepair>;

export const workersStopped = z.object({
  stopped_count: count,
  stopped_workers: z.array(
    z.object({
      pid: z.int(),
      type: workerType,
      graceful: z.boolean(),
      how: z.string().describe('How it ended'),
      duration_ms: durationMs,
    }),
  ),
  errors: z.array(z.string()),
});
export type WorkersStopped = z.infer<typeof workersStopped>;

export const workersResumed = {
  workers_resumed: z.array(z.object({ pid: z.int(), type: workerType })),
  workers_not_resumed: z.array(z.object({ type: workerType, error: z.string() })),
};

const rebuilt = z.object({
  kept: z.record(z.string(), count).describe('Rows of the new index by table; what is derived is made again'),
  lost: z
    .array(
      z.object({
        project_id: z.string().nullable(),
        root_dir: z.string().nullable(),
        path: z.string().describe("Relative to root_dir; '' for what belongs to no file"),
        reason: z.string(),
      }),
    )
    .describe(
      'What neither the damaged index nor the backups, the disk and the versions have; 1,000 at most',
    ),
  lost_count: count,
  original_path: z.string().nullable().describe('Where the damaged index is now; null: it is where it was'),
});
export type Rebuilt = z.infer<typeof rebuilt>;

const repairReport = z.object({
  run_id: z.string(),
  dry_run: z.boolean(),
  workers_stopped: workersStopped,
  ...workersResumed,
  backup_path: z.string().nullable(),
  rebuilt: rebuilt
    .nullable()
    .describe('What became of the index where it was so damaged that it was made anew'),
  message: z.string(),
  duration_ms: durationMs,
});

/** For one project its fields stand at the top; for several, `projects` has them one by one. */
const repairResult = z.union([
  repairReport.extend(projectRepair.shape),
  repairReport.extend({ projects: z.array(projectRepair), errors: z.array(z.string()) }),
  z.object({ job_id: z.string() }),
]);
export type RepairResult = z.infer<typeof repairResult>;

export const repairDatabase = defineMethod({
  owner: 'supervisor',
  summary: 'Stop every worker, then mend the index and the project until they agree.',
  params: z.strictObject({
    ...projectFields,
    version_dir: folderPath
      .optional()
      .describe("Look for versions here, relative to root_dir, instead of in the project's own folder"),
    dry_run: dryRun,
    plan_id: z
      .string()
      .min(1)
      .optional()
      .describe("A dry run's run_id: do exactly what it said, or refuse with PLAN_STALE; with nothing else"),
    deleted_since: since
      .optional()
      .describe('What a watcher marked deleted since then counts as lost: a time, or a duration such as 10m'),
    resume_workers: z.boolean().default(true).describe('Start again what ran before'),
    force: z
      .boolean()
      .default(false)
      .describe(
        'What is missing shall come back, although the root folder is not the one that was registered',
      ),
    wait: z.boolean().default(true).describe('false: give a job_id at once'),
  }),
  result: repairResult,
  tool: { title: 'Repair the index and the project', readOnly: false, destructive: false, idempotent: true },
});

const undone = z.object({
  projects: z.array(z.object({ project_id: z.string(), root_dir: z.string() })),
  undone: z.array(
    action.extend({
      project_id: z.string(),
      verdict: z
        .enum(['clear_deleted', 'set_deleted', 'remove', 'restore_from_cst', 'restore', 'revert'])
        .describe('What took it back: a mark, or a file that was removed from the project or written again'),
    }),
  ),
  kept: z
    .array(refusal.extend({ project_id: z.string() }))
    .describe('What stays as it is, because somebody changed it since, or because it is right so'),
  errors: z.array(z.string()),
  totals: z.object({ undone: count, kept: count, failed: count }),
  message: z.string(),
});
export type Undone = z.infer<typeof undone>;

const undoResult = z.union([
  repairReport.extend(undone.shape).extend({ undoes: z.string().describe('The run that it takes back') }),
  z.object({ job_id: z.string() }),
]);
export type UndoResult = z.infer<typeof undoResult>;

export const undoRepair = defineMethod({
  owner: 'supervisor',
  summary:
    'Take back what a repair or a rewind did, as far as nobody has changed it since; an undo can be undone.',
  params: z.strictObject({
    run_id: z
      .string()
      .min(1)
      .describe('Of a repair, a rewind or an undo, as its result and list_repairs give it'),
    dry_run: dryRun,
    wait: z.boolean().default(true).describe('false: give a job_id at once'),
  }),
  result: undoResult,
  tool: { title: 'Undo a repair or a rewind', readOnly: false, destructive: true, idempotent: true },
});

const runSummary = z.object({
  run_id: z.string(),
  project_id: z.string(),
  state: z.enum(['running', 'done', 'failed', 'interrupted', 'cancelled']),
  origin: z.enum(['command', 'worker', 'recovery', 'undo']),
  undoes: z.string().nullable().describe('The run that an undo took back'),
  rewind_to: timestamp.nullable().describe('Of a rewind the moment it went to; null: it is none'),
  undone_by: z.string().nullable().describe('The undo that took it back'),
  started_at: timestamp,
  finished_at: timestamp.nullable(),
  actions: count,
  message: z.string().nullable(),
});

export const listRepairs = defineMethod({
  owner: 'index',
  summary: 'List the recorded repair runs, newest first.',
  params: z.strictObject({ ...projectFields, limit }),
  result: z.object({ runs: z.array(runSummary) }),
});

export const getRepair = defineMethod({
  owner: 'index',
  summary: 'Show one repair run with its actions, page by page.',
  params: z.strictObject({
    run_id: z.string().min(1),
    limit: z.int().min(1).max(1000).default(1000),
    cursor,
  }),
  result: z.object({
    runs: z.array(runSummary).describe('One per project that the run covered'),
    actions: z.array(
      z.object({
        project_id: z.string(),
        id: z.int(),
        path: z.string(),
        verdict: z.string(),
        state: z.enum(['intent', 'done', 'conflict', 'failed']),
        targets: z.array(z.string()),
        sha256: sha256.nullable(),
        detail: z.string().nullable(),
      }),
    ),
    next_cursor: nextCursor,
  }),
});

export const checkDatabase = defineMethod({
  owner: 'index',
  summary: 'Check the index for damage; deep renders and hashes every stored content.',
  params: z.strictObject({ deep: z.boolean().default(false) }),
  result: z.object({
    ok: z.boolean(),
    problems: z.array(z.string()),
    contents_checked: count,
    duration_ms: durationMs,
  }),
});

export const backupDatabase = defineMethod({
  owner: 'index',
  summary: 'Write a consistent copy of the index, and check it.',
  params: z.strictObject({
    path: absolutePath
      .optional()
      .describe("A file that does not exist yet; without it one in the state directory's backups folder"),
  }),
  result: z.object({
    path: z.string(),
    bytes: count,
    problems: z
      .array(z.string())
      .describe('What is damaged in the index, and so in the copy; none: it is whole'),
  }),
});

const restoredBackup = z.object({
  path: z.string(),
  original_path: z
    .string()
    .nullable()
    .describe('Where the index is now that was there; null: there was none'),
  workers_stopped: workersStopped,
  workers_resumed: repairReport.shape.workers_resumed,
  workers_not_resumed: repairReport.shape.workers_not_resumed,
  projects: z
    .array(
      z.object({
        project_id: z.string(),
        root_dir: z.string(),
        files_added: count,
        files_changed: count,
        files_deleted: count,
        error: z.string().nullable().describe('Why it could not be compared with what is on disk'),
      }),
    )
    .describe('What was newer on disk is indexed again'),
});
export type RestoredBackup = z.infer<typeof restoredBackup>;

const rebuildResult = rebuilt.extend({
  dry_run: z.boolean(),
  workers_stopped: workersStopped,
  workers_resumed: repairReport.shape.workers_resumed,
  workers_not_resumed: repairReport.shape.workers_not_resumed,
  projects: restoredBackup.shape.projects,
});
export type RebuildResult = z.infer<typeof rebuildResult>;

export const rebuildDatabase = defineMethod({
  owner: 'supervisor',
  summary: 'Make a new index of all that can be read of a damaged one, of backups and the disk; it is kept.',
  params: z.strictObject({
    dry_run: dryRun,
    wait: z.boolean().default(true).describe('false: give a job_id at once'),
  }),
  result: z.union([rebuildResult, z.object({ job_id: z.string() })]),
});

export const restoreBackup = defineMethod({
  owner: 'supervisor',
  summary: 'Put a backup in the place of the index, which is kept, and index again what is newer on disk.',
  params: z.strictObject({
    path: absolutePath.describe('Of a backup, as backup_database gives it'),
    wait: z.boolean().default(true).describe('false: give a job_id at once'),
  }),
  result: z.union([restoredBackup, z.object({ job_id: z.string() })]),
});

export const getDatabaseStatus = defineMethod({
  owner: 'index',
  summary: 'Give sizes and counts of the index.',
  params: z.strictObject({}),
  result: z.object({
    db_path: z.string(),
    exists: z.boolean(),
    file_size_mb: z.number(),
    wal_size_mb: z.number(),
    projects: count,
    files: count,
    chunks: count,
    contents: count,
    last_backup_at: timestamp.nullable(),
    integrity: z.enum(['ok', 'damaged', 'unchecked']).describe('Outcome of the last check'),
  }),
});
