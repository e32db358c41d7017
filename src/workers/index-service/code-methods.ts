import { CodekeepError } from '../../base/errors.js';
import { assertRelativePath } from '../../base/paths.js';
import { tooLarge } from '../../reconcile/index-file.js';
import { search } from '../../search/search.js';
import { type EntityPage, type EntityPlace, listEntities } from '../../search/entities.js';
import type { Rendering } from '../../store/contents.js';
import { requireFile } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import { keptContent } from '../../store/kept-content.js';
import { namedProjects, type Project, requireProject } from '../../store/projects.js';
import { outline } from '../../syntax/outline.js';
import { cursorAt, placeIn } from './cursors.js';
import { chunkCountsOf, isLost, madeAgain, withDerived } from './derived.js';
import type { ChunkCounts } from '../../store/derived/vectors.js';
import type { IndexCall, IndexContext, IndexMethods } from './types.js';

type CodeMethods = Pick<IndexMethods, 'list_code_entities' | 'get_ast' | 'search'>;

export function codeMethods(context: IndexContext): CodeMethods {
  const { index } = context;
  return {
    async list_code_entities({ path, kind, name, limit, cursor, ...reference }, { signal }) {
      const project = requireProject(index, reference);
      if (path !== undefined) requireFile(index, project.id, path);
      if (isLost(context, project.id)) throw madeAgain();
      const filter = { path, kind, name, limit, from: entityPlace(cursor) };
      const { entities, next } = await withDerived(context, [project], async ([searched]) =>
        searched === undefined
          ? noEntities
          : await listEntities(index, searched.derived, project.id, filter, signal),
      );
      return {
        entities,
        next_cursor: next === null ? null : cursorAt('entity', `${next.index}/${next.path}`),
      };
    },
    get_ast({ path, max_depth, ...reference }) {
      assertRelativePath(path);
      const row = requireFile(index, requireProject(index, reference).id, path);
      const { tree } = renderKept(index, path, row.sha256);
      return {
        path,
        language: row.language,
        not_parsed: tree.fallback,
        tree: { ...outline(tree, max_depth) },
      };
    },
    async search({ query, mode, limit, path_prefix, language, kind, ...reference }, call) {
      const startedAt = performance.now();
      const projects = namedProjects(index, reference);
      const roots = new Map(projects.map(({ id, rootDir }) => [id, rootDir]));
      const filter = { pathPrefix: path_prefix, language, kind };
      const hits = await withDerived(
        context,
        projects,
        async (searched) => await search(index, searched, { query, mode, limit, filter }, call.signal),
      );
      return {
        results: hits.map((hit) => ({
          project_id: hit.projectId,
          root_dir: roots.get(hit.projectId) ?? '',
          path: hit.path,
          start_line: hit.startLine,
          end_line: hit.endLine,
          entity: hit.entity,
          score: hit.score,
          snippet: hit.snippet,
        })),
        freshness: worstFreshness(projects, call),
        vectorized: sumOf(projects.map(({ id }) => chunkCountsOf(context, id))),
        took_ms: Math.round((performance.now() - startedAt) * 10) / 10,
      };
    },
  };
}

const noEntities: EntityPage = { entities: [], next: null };

function entityPlace(cursor: string | undefined): EntityPlace | null {
  const place = placeIn('entity', cursor);
  if (place === null) return null;
  const slash = place.indexOf('/');
  return { index: Number(place.slice(0, slash)), path: place.slice(slash + 1) };
}

const byTrust = ['unknown', 'rebuilding', 'stale', 'fresh'] as const;

/** An answer from several projects is as true as the least true of them. */
function worstFreshness(projects: readonly Project[], call: IndexCall): (typeof byTrust)[number] {
  const ranks = projects.map(({ id }) => byTrust.indexOf(call.freshnessOf(id).freshness));
  return byTrust[Math.min(...ranks, byTrust.length - 1)] ?? 'unknown';
}

function sumOf(counts: readonly ChunkCounts[]): ChunkCounts {
  const sum = { total: 0, vectorized: 0 };
  for (const { total, vectorized } of counts) {
    sum.total += total;
    sum.vectorized += vectorized;
  }
  return sum;
}

/** @throws CodekeepError FILE_NOT_FOUND where the index has no (whole) content for the path */
export function renderKept(
  index: IndexDatabase,
  path: string,
  hash: string | null,
): Exclude<Rendering, { problem: string }> {
  const rendering = keptContent(index, hash);
  if (!('problem' in rendering)) return rendering;
  throw new CodekeepError(
    'FILE_NOT_FOUND',
    `The index cannot give ${path}: ${hash === null ? tooLarge : rendering.problem}.`,
    'Read it from disk; check_database with deep=true lists damaged contents.',
  );
}
