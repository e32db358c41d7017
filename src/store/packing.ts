import { sleep, Slicer } from '../base/waiting.js';
import { decodeDelta, encodeDelta } from '../syntax/source-delta.js';
import { sourceOf, unparsedContent } from './contents.js';
import type { IndexDatabase } from './index-database.js';

/**
 * What a path was, and no file has any more, is packed: stored as the difference to an earlier state of the path, or as one
 * token, since nobody searches it. One that differs from the earlier one by much is what later ones are stored as a difference
 * to: each needs one other content at most, which is never packed further, and what is old can go without the newer being
 * written anew.
 */

/**
 * A difference may take this share of what the whole takes. Of the states in syntax/source-delta.ts, 0.1, 0.2, 0.3, 0.4 and
 * 0.5 gave 0.133, 0.098, 0.092, 0.096 and 0.102 of the source.
 */
const deltaShareMax = 0.3;

/** How far packing has come: the newest row of revisions that it has looked at. */
export interface PackingPlace {
  lastId: number;
}

interface PastState {
  id: number;
  projectId: string;
  path: string;
  seenAt: number;
  sha256: string;
  /** No file has its content, which is as it was parsed. */
  isPackable: 0 | 1;
}

interface PackedForm {
  sha256: string;
  tree: Buffer;
  base: string | null;
}

/** Rows looked at in one go, and contents written in one transaction. */
const pageRows = 500;
const batchMax = 20;
/** Between two transactions others have their turn (ms). */
const pauseMs = 10;

/**
 * Packs what came to the past since `place`, which moves on. Gives how many contents were packed.
 * @throws the signal's reason
 */
export async function packPast(
  index: IndexDatabase,
  place: PackingPlace,
  signal: AbortSignal,
): Promise<number> {
  const slicer = new Slicer(signal);
  let packed = 0;
  for (;;) {
    const page = pastStates(index, place.lastId);
    const last = page.at(-1);
    if (last === undefined) return packed;
    const packable = page.filter(({ isPackable }) => isPackable === 1);
    for (let at = 0; at < packable.length; at += batchMax) {
      const forms = await packedForms(index, packable.slice(at, at + batchMax), slicer);
      packed += await index.write(() => forms.filter((form) => replaceWhole(index, form)).length, signal);
      await sleep(pauseMs, signal);
    }
    place.lastId = last.id;
    await slicer.breathe();
  }
}

function pastStates(index: IndexDatabase, after: number): PastState[] {
  return index
    .sql<[number], PastState>(
      `SELECT id, project_id AS projectId, path, seen_at AS seenAt, sha256,
         EXISTS (SELECT 1 FROM contents c WHERE c.sha256 = r.sha256 AND base IS NULL AND extractor IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM files f WHERE f.sha256 = r.sha256) AS isPackable
       FROM revisions r WHERE id > ? ORDER BY id LIMIT ${pageRows}`,
    )
    .all(after);
}

/** In the order in which they came to be: what stays whole of some is what those after them are a difference to. */
async function packedForms(
  index: IndexDatabase,
  states: readonly PastState[],
  slicer: Slicer,
): Promise<PackedForm[]> {
  const forms = new Map<string, PackedForm>();
  for (const state of states) {
    const form = forms.has(state.sha256) ? null : packedForm(index, state, forms);
    if (form !== null) forms.set(state.sha256, form);
    await slicer.breathe();
  }
  return [...forms.values()];
}

function packedForm(
  index: IndexDatabase,
  state: PastState,
  packed: ReadonlyMap<string, PackedForm>,
): PackedForm | null {
  const { sha256 } = state;
  const source = sourceOf(index, sha256);
  if (source === null) return null;
  const whole = unparsedContent(source, sha256);
  const isBase = index.sql('SELECT 1 FROM contents WHERE base = ?').get(sha256) !== undefined;
  const base = isBase
    ? undefined
    : wholeBefore(index, state).find((hash) => (packed.get(hash)?.base ?? null) === null);
  const baseSource = base === undefined ? null : sourceOf(index, base);
  if (base === undefined || baseSource === null) return { sha256, tree: whole.tree, base: null };
  const delta = encodeDelta(source, baseSource);
  const isSmall = delta.length <= whole.tree.length * deltaShareMax;
  return isSmall && decodeDelta(delta, baseSource, source.length).equals(source)
    ? { sha256, tree: delta, base }
    : { sha256, tree: whole.tree, base: null };
}

/** What the path was before, the newest first, of what is stored whole: more than one batch packs. */
function wholeBefore(index: IndexDatabase, { projectId, path, seenAt, sha256 }: PastState): string[] {
  return index
    .sql<[object], string>(
      `SELECT sha256 FROM revisions JOIN contents USING (sha256)
       WHERE project_id = @projectId AND path = @path AND seen_at < @seenAt AND state = 'file'
         AND sha256 <> @sha256 AND base IS NULL ORDER BY seen_at DESC LIMIT ${batchMax + 1}`,
    )
    .pluck()
    .all({ projectId, path, seenAt, sha256 });
}

/**
 * False where it is a file's again, or another one's base, or where its own base is not there any more. The row is written anew
 * behind all others: in its place it would leave a page that is mostly empty, which nothing fills again.
 */
function replaceWhole(index: IndexDatabase, form: PackedForm): boolean {
  const { changes } = index
    .sql(
      `REPLACE INTO contents (sha256, size, tree, extractor, added_at, base)
       SELECT sha256, size, @tree, NULL, added_at, @base FROM contents
       WHERE sha256 = @sha256 AND base IS NULL AND NOT EXISTS (SELECT 1 FROM files WHERE sha256 = @sha256)
         AND (@base IS NULL OR (NOT EXISTS (SELECT 1 FROM contents WHERE base = @sha256)
           AND EXISTS (SELECT 1 FROM contents WHERE sha256 = @base AND base IS NULL)))`,
    )
    .run(form);
  return changes > 0;
}
