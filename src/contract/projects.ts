import * as z from 'zod';
import {
  absolutePath,
  count,
  cursor,
  dryRun,
  durationMs,
  folderPath,
  freshness,
  limit,
  namesProject,
  nextCursor,
  projectFields,
  projectRequired,
  timestamp,
} from './fields.js';
import { defineMethod } from './method.js';

const rootDir = folderPath.describe("The project's root folder");
const project = z.object({
  project_id: z.string(),
  root_dir: z.string(),
  version_dir: z.string(),
  name: z.string(),
});

export const addProject = defineMethod({
  owner: 'index',
  writes: true,
  summary: 'Register a folder as a project; it is indexed from then on.',
  params: z.strictObject({
    root_dir: rootDir,
    version_dir: folderPath
      .optional()
      .describe('Where deleted files go, relative to root_dir; in the state directory by default'),
    name: z.string().min(1).max(200).optional().describe("For people; the folder's name by default"),
  }),
  result: project.extend({
    created: z.boolean(),
    adopted: count.describe('Deleted files of which only the versions still knew: they can be had again'),
  }),
});

export const listProjects = defineMethod({
  owner: 'index',
  summary: 'List the registered projects.',
  params: z.strictObject({}),
  result: z.object({ projects: z.array(project) }),
});

export const removeProject = defineMethod({
  owner: 'index',
  writes: true,
  summary: "Forget a project's index rows; every file and every version stays on disk.",
  params: z.strictObject(projectFields).refine(namesProject, projectRequired),
  result: z.object({ removed: z.literal(true), project_id: z.string() }),
});

export const moveProject = defineMethod({
  owner: 'index',
  writes: true,
  summary: 'Say where a project is that was moved: its id, what is known of it, and its versions are kept.',
  params: z
    .strictObject({
      ...projectFields,
      new_root_dir: absolutePath.describe('The folder that it is in now'),
    })
    .refine(namesProject, projectRequired),
  result: project,
});

export const updateIndexes = defineMethod({
  owner: 'supervisor',
  writes: true,
  summary:
    'Reconcile a project with its index now: what differs is indexed; registers root_dir if it is new.',
  params: z
    .strictObject({
      ...projectFields,
      wait: z.boolean().default(true).describe('false: give a job_id at once'),
    })
    .refine(namesProject, projectRequired),
  result: z.union([
    z.object({
      project_id: z.string(),
      files_added: count,
      files_changed: count,
      files_deleted: count,
      files_unchanged: count,
      files_skipped: count,
      reason: z
        .string()
        .nullable()
        .describe('Why there is nothing to index: what ignores it; null otherwise'),
      duration_ms: durationMs,
    }),
    z.object({ job_id: z.string() }),
  ]),
});

export const getProjectStatus = defineMethod({
  owner: 'index',
  summary: "Say how true a project's index is, and why.",
  params: z.strictObject(projectFields).refine(namesProject, projectRequired),
  result: z.object({
    project_id: z.string(),
    root_dir: z.string(),
    freshness,
    files: z.object({
      total: count,
      active: count,
      deleted: count,
      pending: count,
      skipped: count,
      not_restorable: count,
      ignored: count.describe('Not searched, because rules ignore them by now; still restorable'),
      without_copy: count.describe('Deleted, with no copy in versions yet: it is tried again'),
    }),
    chunks: z.object({ total: count, vectorized: count }),
    last_verified_at: timestamp.nullable(),
    reason: z.string().nullable(),
    notices: z
      .array(z.string())
      .describe(
        'What went away unseen or in mass in the last day, with the command that brings it back; copies due',
      ),
  }),
});

export const waitUntilFresh = defineMethod({
  owner: 'supervisor',
  writes: true,
  summary: 'Wait until everything that was written before this call is indexed.',
  params: z
    .strictObject({
      ...projectFields,
      timeout: z.number().positive().max(3600).default(30).describe('Seconds to wait at most'),
    })
    .refine(namesProject, projectRequired),
  result: z.object({ freshness, waited_ms: durationMs }),
});

export const acceptDeletions = defineMethod({
  owner: 'index',
  writes: true,
  summary:
    'Say that what is missing is right so: it is marked deleted, and the root folder is taken as it is.',
  params: z.strictObject({ ...projectFields, dry_run: dryRun }).refine(namesProject, projectRequired),
  result: z.object({
    accepted: z.array(z.object({ path: z.string() })).describe('The first 1,000'),
    count,
    dry_run: z.boolean(),
  }),
});

export const listUnprotected = defineMethod({
  owner: 'index',
  summary: 'List what could not be brought back if it were lost, and why.',
  params: z.strictObject({ ...projectFields, limit, cursor }).refine(namesProject, projectRequired),
  result: z.object({
    entries: z.array(z.object({ path: z.string(), reason: z.string() })),
    next_cursor: nextCursor,
  }),
});
