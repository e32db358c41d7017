import * as z from 'zod';
import {
  cause,
  count,
  cursor,
  dryRun,
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
  since,
  timestamp,
  versionId,
} from './fields.js';
import { defineMethod } from './method.js';

const entryKind = z.enum(['file', 'symlink', 'folder']).describe('folder: one with nothing in it');

/** For `refine`: what says which version is meant. */
const oneOfBoth = ({
  version_id,
  at,
}: {
  version_id?: string | undefined;
  at?: string | undefined;
}): boolean => version_id === undefined || at === undefined;
const notBoth = { message: 'give version_id or at, not both', path: ['at'] };

export const listFiles = defineMethod({
  owner: 'index',
  summary: "List a project's indexed files, by path.",
  params: z
    .strictObject({
      ...projectFields,
      deleted: z.boolean().default(false).describe('true: only those marked deleted'),
      path_prefix: pathPrefix,
      limit,
      cursor,
    })
    .refine(namesProject, projectRequired),
  result: z.object({
    files: z.array(
      z.object({
        path: z.string(),
        kind: entryKind,
        size: count,
        mode,
        language: z.string().nullable(),
        sha256: sha256.nullable(),
        deleted: z.boolean(),
        ignored: z.boolean().describe('Rules ignore it by now: not searched, still restorable'),
        updated_at: timestamp,
      }),
    ),
    next_cursor: nextCursor,
  }),
});

export const getFile = defineMethod({
  owner: 'index',
  summary: "Give a file's content, rendered from its stored syntax tree: as it is now, or as it was.",
  params: z
    .strictObject({
      ...projectFields,
      path,
      version_id: versionId.optional(),
      at: moment.optional().describe('As it was then: a time, a duration, or a checkpoint'),
    })
    .refine(namesProject, projectRequired)
    .refine(oneOfBoth, notBoth),
  result: z.object({
    path: z.string(),
    sha256,
    size: count,
    mode,
    version_id: versionId,
    seen_at: timestamp.describe('Since when it is, or was, so'),
    language: z.string().nullable(),
    encoding: z.enum(['utf8', 'base64']),
    content: z.string(),
  }),
});

export const deleteFile = defineMethod({
  owner: 'index',
  writes: true,
  summary: 'Move a file into the versions directory and mark it deleted.',
  params: z.strictObject({ ...projectFields, path }).refine(namesProject, projectRequired),
  result: z.object({ path: z.string(), version_path: z.string() }),
});

export const listDeletedFiles = defineMethod({
  owner: 'index',
  summary: 'List the files marked deleted, and whether each can come back.',
  params: z
    .strictObject({ ...projectFields, path_prefix: pathPrefix, limit, cursor })
    .refine(namesProject, projectRequired),
  result: z.object({
    files: z.array(
      z.object({
        path: z.string(),
        version_path: z.string(),
        deleted_at: timestamp.nullable(),
        cause: cause.nullable(),
        size: count,
        restorable: z.boolean(),
      }),
    ),
    next_cursor: nextCursor,
  }),
});

export const restoreDeletedFiles = defineMethod({
  owner: 'index',
  writes: true,
  summary: 'Bring deleted files back into the project, byte-exact: all of them or none.',
  params: z
    .strictObject({
      ...projectFields,
      paths: z
        .array(path)
        .min(1)
        .max(1_000)
        .optional()
        .describe('Deleted files, and folders: all deleted files below them'),
      path_prefix: pathPrefix,
      deleted_after: since.optional(),
      cause: cause.optional(),
      dry_run: dryRun,
    })
    .refine(namesProject, projectRequired)
    .refine(
      ({ paths, path_prefix, deleted_after, cause: why }) =>
        [paths, path_prefix, deleted_after, why].some((choice) => choice !== undefined),
      { message: 'give paths, path_prefix, deleted_after or cause', path: ['paths'] },
    ),
  result: z.object({ restored: z.array(z.object({ path: z.string() })), dry_run: z.boolean() }),
});

export const restoreFileVersion = defineMethod({
  owner: 'index',
  writes: true,
  summary:
    'Bring back what a file was, byte-exact, to its own path or beside it; what exists is never replaced (rewind does that).',
  params: z
    .strictObject({
      ...projectFields,
      path,
      version_id: versionId.optional().describe('Left out, and at, too: what it is, or was last'),
      at: moment.optional().describe('As it was then: a time, a duration, or a checkpoint'),
      as: path.optional().describe('Where to, relative to root_dir; its own path by default'),
      dry_run: dryRun,
    })
    .refine(namesProject, projectRequired)
    .refine(oneOfBoth, notBoth),
  result: z.object({
    path: z.string().describe('Where it is now'),
    from_path: z.string().describe('What it was a version of'),
    version_id: versionId.describe('Which one of that'),
    seen_at: timestamp.describe('Since when it was so'),
    kind: entryKind,
    sha256: sha256.nullable().describe('null: a folder'),
    size: count,
    mode,
    dry_run: z.boolean(),
  }),
});

const deletedFile = z.object({ path: z.string(), deleted_at: timestamp.nullable(), size: count });

export const cleanupDeletedFiles = defineMethod({
  owner: 'index',
  writes: true,
  summary:
    'Let go of deleted files, with what they were, their copies in versions, and the contents that nothing else has; that there was something stays known. Without hard_delete it only lists them.',
  params: z
    .strictObject({
      ...projectFields,
      path_prefix: pathPrefix,
      older_than_days: z
        .number()
        .min(0)
        .max(36_500)
        .optional()
        .describe(
          'Only what was deleted longer ago; left out: longer ago than anything is kept (history_keep_*); 0: all',
        ),
      deleted_before: timestamp
        .optional()
        .describe('Instead of older_than_days: as the answer has it that listed what is to go'),
      hard_delete: z.boolean().default(false).describe('true: they go, and nothing brings them back'),
      dry_run: dryRun,
    })
    .refine(namesProject, projectRequired)
    .refine(
      ({ older_than_days, deleted_before }) => older_than_days === undefined || deleted_before === undefined,
      { message: 'give older_than_days or deleted_before, not both', path: ['deleted_before'] },
    ),
  result: z.object({
    dry_run: z.boolean().describe('Nothing was changed, also because hard_delete was not given'),
    deleted_before: timestamp.describe('Of what was deleted since then nothing goes'),
    removed: z.array(deletedFile).describe('The first 1,000; totals count all'),
    would_remove: z.array(deletedFile),
    kept: z
      .array(z.object({ path: z.string(), reason: z.string() }))
      .describe(
        'A checkpoint has them, or their copies cannot be proven; remove_checkpoint, then call again',
      ),
    totals: z.object({
      removed: count,
      would_remove: count,
      kept: count,
      versions: count.describe('Past states of files'),
      contents: count.describe('Contents that leave the index'),
      bytes: count.describe('What these took in the index'),
    }),
  }),
});
