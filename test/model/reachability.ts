import assert from 'node:assert/strict';
import { sha256 } from '../harness/trees.js';
import { type Entry, type Kept, linesOf, type Model, type Tree } from './model.js';
import { type Row, scan, type World } from './world.js';

/** What has to hold after every command; each failure names the promise. */
export async function assertPromises(model: Model, world: World): Promise<void> {
  assertUntouched(model, world);
  assertReachable(model, world);
  if (!model.isUp) return;
  await world.daemon.call('health');
  if (model.away !== null) assertNothingConcluded(model, world.rows());
  if (!model.isFull) await assertModest(model, world);
}

/** Nobody knows how true the index is while no watcher runs, or while a mount is away that somebody missed. */
async function assertModest(model: Model, world: World): Promise<void> {
  const { freshness } = await world.daemon.call('get_project_status', world.id);
  if (!model.isWatched || (model.away?.isNoticed === true && hasHiddenRows(model, world)))
    assert.notEqual(freshness, 'fresh');
}

/** Only the user, delete_file, restores and repairs change the project, and the model knows what each of them did. */
export function assertUntouched(model: Model, world: World): void {
  assert.deepEqual(linesOf(scan(world.root)), linesOf(model.tree), 'the project is what the user made of it');
}

/** Every content that was proven to be indexed is still somewhere, byte by byte, and its path still leads to one. */
export function assertReachable(model: Model, world: World): void {
  const contents = world.contents();
  const rows = new Map(world.rows().map((row) => [row.path, row]));
  let versions: ReadonlySet<string> | null = null;
  for (const kept of model.kept.values()) {
    const { path } = kept;
    const row = rows.get(path);
    const isThere = [model.tree, model.away?.hidden].some((tree) => tree !== undefined && isAt(tree, kept));
    if (isThere || contents.has(kept.sha256) || isOfRow(row, kept)) continue;
    versions ??= contentsOf(scan(world.versions));
    assert.ok(versions.has(kept.sha256), `the bytes that ${path} had are nowhere: ${kept.sha256}`);
  }
  for (const path of new Set([...model.kept.values()].map((kept) => kept.path)))
    if (model.isFree(path)) assertLeadsBack(model, path, rows.get(path));
}

/** A path that is empty now still leads to what was last there. */
function assertLeadsBack(model: Model, path: string, row: Row | undefined): void {
  assert.ok(row !== undefined, `the index has forgotten ${path}`);
  const lines = [...(model.had.get(path) ?? [])];
  assert.ok(
    lines.includes(lineOfRow(row)),
    `${path} leads to ${lineOfRow(row)}, and was ${lines.join(', ')}`,
  );
}

function lineOfRow({ kind, mode, sha256: content }: Row): string {
  if (kind === 'symlink') return `symlink ${content}`;
  return kind === 'folder' ? `folder ${mode.toString(8)}` : `file ${mode.toString(8)} ${content}`;
}

function isAt(tree: Tree, { path, kind, sha256: content }: Kept): boolean {
  const entry = tree.get(path);
  return entry?.kind === kind && contentOf(entry) === content;
}

/** A symlink's target is in its row's content only as the row says. */
function isOfRow(row: Row | undefined, { kind, sha256: content }: Kept): boolean {
  return kind === 'symlink' && row?.kind === 'symlink' && row.sha256 === content;
}

function contentOf(entry: Entry): string | null {
  if (entry.kind === 'folder') return null;
  return sha256(entry.kind === 'file' ? entry.inode.bytes : entry.target);
}

function contentsOf(tree: Tree): Set<string> {
  return new Set([...tree.values()].map(contentOf).filter((content) => content !== null));
}

/** What is hidden below a mount that is away is not known to be gone. */
function assertNothingConcluded(model: Model, rows: readonly Row[]): void {
  const marked = rows.filter(({ path, deleted }) => deleted === 1 && model.away?.hidden.has(path) === true);
  assert.deepEqual(
    marked.map(({ path }) => path).filter((path) => !model.deletedBefore.has(path)),
    [],
    'nothing is marked deleted while its mount is away',
  );
}

/** Whether what the index calls content is hidden by a mount that is away, or went just before that went. */
export function hasHiddenRows(model: Model, world: World): boolean {
  const { away } = model;
  if (away === null) return false;
  const isHidden = (path: string): boolean =>
    away.hidden.has(path) || (model.isHidden(path) && !model.tree.has(path));
  return world.rows().some(({ path, deleted }) => deleted === 0 && isHidden(path) && model.isContent(path));
}

/** Fresh is what list_files and the tree have the same of. */
export async function assertListed(model: Model, world: World): Promise<void> {
  assert.deepEqual(
    model.withoutHidden(await listed(world)),
    model.listing(),
    'what is called fresh is what is on disk',
  );
}

/** list_files in the model's words. */
export async function listed(world: World): Promise<Record<string, string>> {
  const files = await world.daemon.files(world.project.project_id);
  const lines = files.map(({ path, kind, mode, sha256: content }) => {
    const row = { kind, mode: Number.parseInt(mode, 8), sha256: content } as Row;
    return [path, lineOfRow(row)] as const;
  });
  return Object.fromEntries(lines.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * After what the daemon did to the project: everything that stood there stands there, and what was added is what its path
 * had been. Takes it into the model, and gives the added paths.
 */
export function adoptRestored(model: Model, world: World): string[] {
  const now = scan(world.root);
  const before = linesOf(model.tree);
  const lines = linesOf(now);
  for (const [path, line] of Object.entries(before))
    assert.equal(lines[path], line, `${path} was left as it was`);
  const added = Object.keys(lines).filter((path) => before[path] === undefined);
  for (const path of added) {
    const had = model.had.get(path);
    const isPlainFolder = had === undefined && now.get(path)?.kind === 'folder';
    assert.ok(
      isPlainFolder || had?.has(lines[path] ?? ''),
      `${path} came back as ${lines[path]}, and was ${[...(had ?? [])].join(', ')}`,
    );
  }
  model.tree = now;
  model.note();
  return added;
}
