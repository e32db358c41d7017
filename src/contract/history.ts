import * as z from 'zod';
import {
  count,
  cursor,
  dryRun,
  durationMs,
  limit,
  mode,
  moment,
  namesProject,
  nextCursor,
  path,
  pathPrefix,
  projectFields,
  projectRequired,
  sha256,
  timestamp,
  versionId,
} from './fields.js';
import { workersStopped, workersResumed } from './database.js';
import { defineMethod } from './method.js';

const cameBy = z
  .enum(['found', 'edit', 'rename', 'repair', 'rewind', 'restore', 'seen', 'unseen', 'git', 'asked', 'rules'])
  .describe(
    'found: it was there when the project was first looked at; edit: somebody wrote it; rename, repair, rewind, restore; of a deletion why it was marked; rules: they ignore it since then',
  );

export const listFileVersions = defineMethod({
  owner: 'index',
  summary: 'List what a file was, and from when to when, the newest first.',
  params: z
    .strictObject({
      ...projectFields,
      path,
      since: moment.optional().describe('Only what it was from then on: a time, a duration, or a checkpoint'),
      limit,
      cursor,
    })
    .refine(namesProject, projectRequired),
  result: z.object({
    versions: z.array(
      z.object({
        version_id: versionId,
        kind: z.enum(['file', 'symlink', 'folder']),
        sha256: sha256.nullable().describe('null: it was too large to be kept'),
        size: count,
        mode,
        seen_at: timestamp.describe('When it was first so'),
        gone_at: timestamp.nullable().describe('When it was so no longer; null: it still is'),
        change: z
          .enum(['found', 'added', 'changed', 'renamed'])
          .nullable()
          .describe('What happened then; null: what was before is not known any more, or rules ignored it'),
        cause: cameBy.describe('How it became that'),
        gone_to: z
          .enum(['deleted', 'ignored'])
          .nullable()
          .describe('What it was then; null: another version, or it still is so'),
        gone_cause: cameBy.nullable().describe('How it became something else'),
        from_path: z.string().nullable().describe('What it was called before it was renamed'),
      }),
    ),
    next_cursor: nextCursor,
  }),
  tool: {
    name: 'file_history',
    title: 'What a file was',
    readOnly: true,
    destructive: false,
    idempotent: true,
  },
});

export const listChanges = defineMethod({
  owner: 'index',
  summary: 'List what was added, changed, deleted and renamed in a project, the newest first.',
  params: z
    .strictObject({
      ...projectFields,
      since: moment.optional().describe('Only what changed after it: a time, a duration, or a checkpoint'),
      until: moment.optional().describe('Only what changed until then'),
      path_prefix: pathPrefix,
      limit,
      cursor,
    })
    .refine(namesProject, projectRequired),
  result: z.object({
    changes: z.array(
      z.object({
        path: z.string(),
        kind: z.enum(['added', 'changed', 'deleted', 'renamed']),
        from_path: z.string().nullable().describe('What a renamed file was called before'),
        at: timestamp,
        cause: cameBy,
        version_id: versionId.nullable().describe('What it became; null: it was deleted'),
        previous_version_id: versionId
          .nullable()
          .describe('What it was before; null: it was not there, or that is not kept any more'),
        size: count.nullable(),
        previous_size: count.nullable(),
      }),
    ),
    next_cursor: nextCursor,
    recorded_since: timestamp
      .nullable()
      .describe('Nothing is known of before; null: the first comparison of the project has not ended'),
  }),
  tool: { title: 'What changed in a project', readOnly: true, destructive: false, idempotent: true },
});

export const diff = defineMethod({
  owner: 'index',
  summary: 'Show what changed in files between two moments, as unified patches.',
  params: z
    .strictObject({
      ...projectFields,
      path: path.optional().describe('Only this file'),
      path_prefix: pathPrefix,
      from: moment
        .optional()
        .describe(
          'A time, a duration, a checkpoint, or with path a version_id; the newest checkpoint by default',
        ),
      to: moment.optional().describe('As from; now by default'),
      limit,
      cursor,
    })
    .refine(namesProject, projectRequired)
    .refine(({ path: one, path_prefix }) => one === undefined || path_prefix === undefined, {
      message: 'give path or path_prefix, not both',
      path: ['path'],
    }),
  result: z.object({
    files: z.array(
      z.object({
        path: z.string(),
        kind: z.enum(['added', 'changed', 'deleted', 'renamed']),
        from_path: z.string().nullable().describe('What a renamed file was called before'),
        patch: z
          .string()
          .nullable()
          .describe('With git\'s headers: "git apply" takes it; null: reason says why'),
        reason: z.string().nullable(),
        added_lines: count.nullable(),
        removed_lines: count.nullable(),
      }),
    ),
    next_cursor: nextCursor,
  }),
});

const checkpoint = z.object({
  checkpoint_id: z.string(),
  label: z.string().nullable(),
  at: timestamp,
});

const checkpointId = z.string().min(1).max(100).describe('The id that create_checkpoint gave');

export const createCheckpoint = defineMethod({
  owner: 'supervisor',
  writes: true,
  summary: 'Name this moment of a project, once everything that was written before the call is indexed.',
  params: z
    .strictObject({
      ...projectFields,
      label: z
        .string()
        .min(1)
        .max(200)
        .optional()
        .describe('For people; need not be the only one of its name'),
    })
    .refine(namesProject, projectRequired),
  result: checkpoint,
  tool: {
    name: 'checkpoint',
    title: 'Name this moment, to come back to it',
    readOnly: false,
    destructive: false,
    idempotent: false,
  },
});

export const listCheckpoints = defineMethod({
  owner: 'index',
  summary: "List a project's checkpoints, the newest first.",
  params: z.strictObject({ ...projectFields, limit, cursor }).refine(namesProject, projectRequired),
  result: z.object({ checkpoints: z.array(checkpoint), next_cursor: nextCursor }),
});

export const removeCheckpoint = defineMethod({
  owner: 'index',
  writes: true,
  summary: 'Forget a checkpoint; what the files were then stays as long as everything else of its age.',
  params: z
    .strictObject({ ...projectFields, checkpoint_id: checkpointId })
    .refine(namesProject, projectRequired),
  result: z.object({ removed: z.literal(true) }),
});

export const forget = defineMethod({
  owner: 'index',
  writes: true,
  summary:
    'Let go now what retention does not keep of past states, and what nothing has any more; it is done once an hour by itself.',
  params: z.strictObject({ ...projectFields, dry_run: dryRun }),
  result: z.object({
    dry_run: z.boolean(),
    versions: count.describe('Past states of files'),
    deleted_files: count.describe(
      'Files that were deleted longer ago than anything is kept, with their copies in versions',
    ),
    contents: count.describe('Contents that leave the index'),
    bytes: count.describe('What these took in the index'),
    projects: z.array(
      z.object({
        project_id: z.string(),
        root_dir: z.string(),
        versions: count,
        deleted_files: count,
        oldest: timestamp
          .nullable()
          .describe(
            'The oldest moment that can be come back to, beside checkpoints; null: the first comparison has not ended',
          ),
      }),
    ),
  }),
});

const onPath = z.object({ path: z.string() });
const refusal = onPath.extend({ reason: z.string() });

const rewound = z.object({
  project_id: z.string(),
  root_dir: z.string(),
  to: timestamp,
  restored: z.array(onPath).describe('Brought back: they were there then'),
  reverted: z.array(onPath).describe('Given their content and mode of then'),
  removed: z
    .array(onPath)
    .describe('Moved into versions: they were not there then; restore_deleted_files has them'),
  conflicts: z.array(refusal).describe('Not what the index says they are, or something is in their way'),
  untouched: z
    .array(refusal)
    .describe('Ignored, too large to be kept, not ours, or there already then and not followed'),
  unrestorable: z.array(refusal).describe('Nothing has their content of then any more'),
  unknown: z.array(refusal).describe('They cannot be looked at'),
  errors: z.array(z.string()),
  totals: z.record(z.string(), count).describe('checked, and one count per verdict'),
  message: z.string(),
});
export type Rewound = z.infer<typeof rewound>;

const rewindResult = z.union([
  rewound.extend({
    run_id: z.string().describe('undo_repair takes it back; of a dry run it is the plan_id'),
    dry_run: z.boolean(),
    workers_stopped: workersStopped,
    ...workersResumed,
    duration_ms: durationMs,
  }),
  z.object({ job_id: z.string() }),
]);
export type RewindResult = z.infer<typeof rewindResult>;

export const rewind = defineMethod({
  owner: 'supervisor',
  summary:
    'Make files what they were at a time or checkpoint; what they are now is kept, and undo_repair brings it back.',
  params: z
    .strictObject({
      ...projectFields,
      to: moment.optional(),
      paths: z
        .array(path)
        .min(1)
        .max(1_000)
        .optional()
        .describe('Only these files, and all in these folders'),
      path_prefix: pathPrefix,
      dry_run: dryRun,
      plan_id: z
        .string()
        .optional()
        .describe('run_id of a dry run: exactly that is done, or it is refused (PLAN_STALE)'),
      wait: z.boolean().default(true).describe('false: give a job_id at once'),
    })
    .refine((params) => params.plan_id !== undefined || namesProject(params), projectRequired)
    .refine(({ to, plan_id }) => (to === undefined) !== (plan_id === undefined), {
      message: 'give to, or plan_id, and not both',
      path: ['to'],
    }),
  result: rewindResult,
  tool: { title: 'Make files what they were', readOnly: false, destructive: true, idempotent: true },
});

const keptFromPurge = z.object({
  path: z.string().describe('Relative to root_dir; absolute where it is elsewhere'),
  version_id: versionId.nullable(),
  reason: z.string(),
});

const purged = z.object({
  project_id: z.string(),
  root_dir: z.string(),
  removed: z
    .object({
      rows: count.describe('Rows of the index: states of files, and what deleted and ignored ones were last'),
      versions: count.describe('Files in versions directories'),
      contents: count.describe('Contents of the index'),
      vectors: count.describe(
        'What search by meaning had of these; what search knows of the project is made again',
      ),
      backups: count.describe('Older copies of the index that had any of it, and have it no more'),
    })
    .describe('What a dry run would remove'),
  states: z
    .array(
      z.object({
        path: z.string(),
        version_id: versionId.nullable().describe('null: what a deleted or ignored file was last'),
        seen_at: timestamp,
        size: count,
      }),
    )
    .describe('What removed.rows counts, 1,000 at most'),
  copies: z.array(z.string()).describe('What removed.versions counts, absolute, 1,000 at most'),
  backups: z
    .array(
      z.object({
        path: z.string(),
        held: z.boolean().nullable().describe('It had any of it; null: it cannot be read'),
        done: z.enum(['rewritten', 'deleted', 'kept']),
      }),
    )
    .describe('Backups, and indexes that were set aside, of the state directory'),
  kept: z.array(keptFromPurge).describe('What is not gone, and why; 1,000 at most'),
  totals: z.object({ kept: count }),
  message: z.string(),
});
export type Purged = z.infer<typeof purged>;

const purgeResult = z.union([
  purged.extend({
    dry_run: z.boolean(),
    plan_id: z.string().nullable().describe('Of a dry run: purge with it does exactly this'),
    workers_stopped: workersStopped,
    ...workersResumed,
    duration_ms: durationMs,
  }),
  z.object({ job_id: z.string() }),
]);
export type PurgeResult = z.infer<typeof purgeResult>;

const choices = ['paths', 'version_ids', 'sha256', 'plan_id'] as const;

export const purge = defineMethod({
  owner: 'supervisor',
  summary:
    'Remove for good what files were: from the index, versions, vectors and backups, so that no file has its bytes any more. What is in the project now stays.',
  params: z
    .strictObject({
      ...projectFields,
      paths: z
        .array(path)
        .min(1)
        .max(1_000)
        .optional()
        .describe('All that these files were, and that was in these folders'),
      version_ids: z.array(versionId).min(1).max(1_000).optional(),
      sha256: z
        .string()
        .regex(/^[\da-f]{64}$/iu, 'is no SHA-256 in hex')
        .toLowerCase()
        .optional()
        .describe('All states of files of the project that had this content'),
      backups: z
        .enum(['rewrite', 'delete', 'keep'])
        .default('rewrite')
        .describe('What becomes of backups that have any of it'),
      dry_run: dryRun,
      plan_id: z
        .string()
        .optional()
        .describe('plan_id of a dry run: exactly that is done, or it is refused (PLAN_STALE)'),
      wait: z.boolean().default(true).describe('false: give a job_id at once'),
    })
    .refine((params) => params.plan_id !== undefined || namesProject(params), projectRequired)
    .refine((params) => choices.filter((name) => params[name] !== undefined).length === 1, {
      message: 'give one of paths, version_ids, sha256 and plan_id',
      path: ['paths'],
    }),
  result: purgeResult,
});
