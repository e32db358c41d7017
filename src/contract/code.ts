import * as z from 'zod';
import {
  count,
  cursor,
  durationMs,
  freshness,
  namesProject,
  nextCursor,
  path,
  pathPrefix,
  projectFields,
  projectRequired,
} from './fields.js';
import { defineMethod } from './method.js';

const line = z.int().min(1).describe('Line number, counted from 1');

const entity = z.object({
  path: z.string(),
  kind: z.string(),
  name: z.string(),
  qualified_name: z.string(),
  start_line: line,
  end_line: line,
});

export const listCodeEntities = defineMethod({
  owner: 'index',
  summary: 'List functions, classes and the like.',
  params: z
    .strictObject({
      ...projectFields,
      path: path.optional(),
      kind: z.string().min(1).optional(),
      name: z.string().min(1).optional(),
      limit: z.int().min(1).max(10_000).default(1000),
      cursor,
    })
    .refine(namesProject, projectRequired),
  result: z.object({ entities: z.array(entity), next_cursor: nextCursor }),
});

export const getAst = defineMethod({
  owner: 'index',
  summary: "Give a file's syntax tree.",
  params: z
    .strictObject({ ...projectFields, path, max_depth: z.int().min(1).max(10_000).default(50) })
    .refine(namesProject, projectRequired),
  result: z.object({
    path: z.string(),
    language: z.string().nullable(),
    not_parsed: z
      .string()
      .nullable()
      .describe(
        'Why the tree is one token, such as too_large, out_of_memory or deadly; null where it is parsed',
      ),
    tree: z.looseObject({ kind: z.string() }),
  }),
});

export const search = defineMethod({
  owner: 'index',
  summary: 'Find code by words and by meaning.',
  params: z.strictObject({
    query: z.string().min(1).max(10_000),
    ...projectFields,
    mode: z.enum(['hybrid', 'fulltext', 'semantic']).default('hybrid'),
    limit: z.int().min(1).max(100).default(10),
    path_prefix: pathPrefix,
    language: z.string().min(1).optional(),
    kind: z.string().min(1).optional().describe('Entity kind, such as function or class'),
  }),
  result: z.object({
    results: z.array(
      z.object({
        project_id: z.string(),
        root_dir: z.string(),
        path: z.string(),
        start_line: line,
        end_line: line,
        entity: z.string().nullable(),
        score: z.number(),
        snippet: z.string(),
      }),
    ),
    freshness,
    vectorized: z
      .object({ total: count, vectorized: count })
      .describe('How much of it semantic search can see'),
    took_ms: durationMs,
  }),
  tool: { title: 'Search the code', readOnly: true, destructive: false, idempotent: true },
});
