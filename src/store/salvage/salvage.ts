import Database from 'better-sqlite3';
import { relativePathProblem } from '../../base/paths.js';
import { Slicer } from '../../base/waiting.js';
import type { ProgressListener, Work } from '../../base/progress.js';
import { isDelta } from '../../syntax/source-delta.js';
import { isProven } from '../contents.js';
import { schemaMismatch } from '../index-database.js';
import { migrations } from '../schema.js';
import { missingChanges, notedIdentity } from '../index-identity.js';
import { pageType, type Value } from './format.js';
import { isLogForeign, isOther, stateIn } from './foreign.js';
import { PageFile, type StoredRecord } from './page-file.js';
import { PageOwners, schemaTable } from './page-owners.js';
import { contentHash, fits, type TableShape, tableShapes, uuid } from './shapes.js';

/** What a damaged index says of a project whose row cannot be read. */
export interface ProjectTrace {
  id: string;
  rootDir: string;
  versionDir: string | null;
}

export interface Salvaged {
  /** Rows that cannot be read, or are not what was written, by their table; pages whose table is not known under ''. */
  unreadable: Record<string, number>;
  /** Paths that an index of the database names, and that have no row. */
  named: { projectId: string; path: string }[];
  /** Contents that an index of the database names, and that are not there. */
  namedContents: string[];
  traces: ProjectTrace[];
  /** There may have been files that neither a row nor the index of paths names any more; and so of contents. */
  isBlind: { files: boolean; contents: boolean };
  /** Transactions that were in its log, and that nothing has any more. */
  missingChanges: number;
}

/** Indexes that SQLite made for what is unique: what they name was there. */
const pathsIndex = 'sqlite_autoindex_files_1';
const contentsIndex = 'sqlite_autoindex_contents_1';
const projectsIndex = 'sqlite_autoindex_projects_1';
const rootsIndex = 'sqlite_autoindex_projects_2';

const namingIndexes: ReadonlySet<string> = new Set([pathsIndex, contentsIndex, projectsIndex, rootsIndex]);

/**
 * Carries every row that can be read, and that nothing else could give back, from a damaged index into a new one, page by
 * page: also from pages that no other page leads to, from the log as far as its frames are whole, and contents from pages
 * that are free again. Contents are proven by their hash. What is derived from them is left out.
 * No process may have the index open; it is only read.
 * @param target does not exist yet; its schema is that of the damaged one
 * @throws CodekeepError INDEX_UNAVAILABLE where a newer version wrote it; the signal's reason
 */
export async function salvage(indexPath: string, target: string, work: Work): Promise<Salvaged> {
  const slicer = new Slicer(work.signal);
  const noted = notedIdentity(indexPath);
  const isForeign = isLogForeign(indexPath, noted);
  const file = new PageFile(indexPath, !isForeign);
  try {
    const owners = await PageOwners.of(file, slicer);
    const { version, isOurs } = schemaOf(owners, indexPath);
    // SQLite itself would read it with the log of the other one.
    const missing = isForeign
      ? missingChanges(indexPath, () => stateIn(file, owners))
      : missingChanges(indexPath);
    const rescue = new Rescue(target, version);
    try {
      const other = isOther(file, noted);
      if (other === true || (isForeign && other === null)) rescue.noteForeign();
      if (!isOurs || isForeign || other === null || missing > 0) rescue.noteChanged();
      await rescue.takeAll(file, owners, slicer, work.progress);
      if (rescue.isIncomplete) await rescue.takeContents(file, owners, slicer);
      if (rescue.isIncomplete && file.hasLog) await takeWithoutLog(rescue, indexPath, slicer);
      return { ...rescue.finish(), missingChanges: missing };
    } finally {
      rescue.close();
    }
  } finally {
    file.close();
  }
}

/** A log that is another's hides what the file has. */
async function takeWithoutLog(rescue: Rescue, indexPath: string, slicer: Slicer): Promise<void> {
  const file = new PageFile(indexPath, false);
  try {
    const owners = await PageOwners.of(file, slicer);
    await rescue.takeAll(file, owners, slicer, () => undefined);
    await rescue.takeContents(file, owners, slicer);
  } finally {
    file.close();
  }
}

/** The version whose tables they are, whatever the header says, which may be damaged. */
function schemaOf(
  { userVersion, declarations }: PageOwners,
  path: string,
): { version: number; isOurs: boolean } {
  const db = new Database(':memory:');
  try {
    const schema = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL");
    let found: number | null = null;
    migrations.forEach((migration, position) => {
      db.exec(migration);
      const tables = schema.all() as { name: string; sql: string }[];
      if (tables.every(({ name, sql }) => declarations.get(name) === sql)) found = position + 1;
    });
    if (found !== null) return { version: found, isOurs: true };
  } finally {
    db.close();
  }
  const isNewer = userVersion !== null && userVersion > migrations.length;
  if (isNewer && declarations.has('contents')) throw schemaMismatch(path, userVersion);
  const isPlausible = userVersion !== null && userVersion >= 1 && !isNewer;
  return { version: isPlausible ? userVersion : migrations.length, isOurs: false };
}

/** The new index while it is filled. */
class Rescue {
  readonly #db: Database.Database;
  readonly #shapes: TableShape[];
  readonly #byName: Map<string, TableShape>;
  readonly #inserts = new Map<string, Database.Statement>();
  readonly #unreadable = new Map<string, number>();
  /** Pages of which nobody knows what they were. */
  #unknownPages = 0;
  /** Indexes that do not name all that they did. */
  readonly #incomplete = new Set<string>();
  readonly #projectIds = new Map<number | bigint, string>();
  readonly #roots = new Map<number | bigint, string>();

  constructor(target: string, version: number) {
    this.#db = new Database(target);
    this.#db.pragma('journal_mode = OFF');
    // It is made durable as a whole before it takes a place.
    this.#db.pragma('synchronous = OFF');
    this.#db.pragma('foreign_keys = OFF');
    for (const migration of migrations.slice(0, version)) this.#db.exec(migration);
    this.#db.pragma(`user_version = ${version}`);
    this.#db.pragma('temp_store = MEMORY');
    this.#db.exec(
      'CREATE TEMP TABLE named (project_id TEXT, path TEXT, PRIMARY KEY (project_id, path)) WITHOUT ROWID',
    );
    this.#db.exec('CREATE TEMP TABLE named_contents (sha256 TEXT PRIMARY KEY) WITHOUT ROWID');
    this.#shapes = tableShapes(this.#db);
    this.#byName = new Map(this.#shapes.map((shape) => [shape.name, shape]));
    this.#db.exec('BEGIN');
  }

  /** What is here is not what there was: that is somewhere else, and nobody knows what it named. */
  noteForeign(): void {
    this.#noteUnknown(1);
  }

  /** What is here is not all that there was. */
  noteChanged(): void {
    this.#note('', 1);
  }

  /** Something that is wanted could not be read, or something that is named is not there. */
  get isIncomplete(): boolean {
    return this.#unreadable.size > 0 || this.#named().length > 0 || this.#namedContents().length > 0;
  }

  /** All that is there, first what it is known of where it belongs. */
  async takeAll(
    file: PageFile,
    owners: PageOwners,
    slicer: Slicer,
    progress: ProgressListener,
  ): Promise<void> {
    // Nothing at all, another program's database, or a first page that is not what was written.
    if (owners.userVersion === null || !owners.declarations.has('contents')) this.#note('', 1);
    if (file.damaged > 0) this.#noteUnknown(file.damaged);
    for (const { name } of this.#shapes) if (owners.rootOf(name) === null) this.#note(name, 1);
    for (const name of [pathsIndex, contentsIndex])
      if (owners.rootOf(name) === null) this.#incomplete.add(name);
    const orphans: StoredRecord[] = [];
    for (let number = 1; number <= file.pageCount; number += 1) {
      progress('salvage', number, file.pageCount);
      if (!owners.isFree(number)) this.#takePage(file, owners, number, orphans);
      await slicer.breathe();
    }
    // Of two states of a file the newer one counts.
    const files = this.#byName.get('files');
    const updatedAt = files?.columns.findIndex(({ name }) => name === 'updated_at') ?? -1;
    orphans.sort((a, b) => Number(b.values[updatedAt]) - Number(a.values[updatedAt]));
    for (const record of orphans) {
      if (files !== undefined) this.#insert(files, record);
      await slicer.breathe();
    }
  }

  /** Contents prove themselves, also where they lie in pages that are free again. */
  async takeContents(file: PageFile, owners: PageOwners, slicer: Slicer): Promise<void> {
    const contents = this.#byName.get('contents');
    if (contents === undefined) return;
    for (let number = 1; number <= file.pageCount; number += 1) {
      if (owners.isFree(number) && owners.typeOf(number) === pageType.tableLeaf)
        for (const record of file.records(number, pageType.tableLeaf).records)
          if (fits(contents, record)) this.#insert(contents, record);
      await slicer.breathe();
    }
  }

  #takePage(file: PageFile, owners: PageOwners, number: number, orphans: StoredRecord[]): void {
    const owner = owners.ownerOf(number);
    if (owner !== null && namingIndexes.has(owner)) return this.#takeEntries(file, owners, number, owner);
    const shape = owner === null ? undefined : this.#byName.get(owner);
    const type = owners.typeOf(number);
    if (owner === schemaTable && type !== pageType.tableLeaf && type !== pageType.tableInterior)
      return this.#note('', 1);
    if (owner !== null && shape === undefined) return;
    if (owners.isBrokenInterior(number)) {
      if (shape === undefined) this.#noteUnknown(1);
      else this.#note(shape.name, 1);
    }
    if (shape !== undefined) return this.#takeRows(file, type, number, shape);
    if (type === pageType.tableLeaf || type === pageType.indexLeaf || type === pageType.indexInterior)
      this.#takeOrphans(file, type, number, orphans);
  }

  #takeRows(file: PageFile, type: number, number: number, shape: TableShape): void {
    const [leaf, interior] = shape.isWithoutRowId
      ? [pageType.indexLeaf, pageType.indexInterior]
      : [pageType.tableLeaf, pageType.tableInterior];
    // Interior pages of a table with row ids have none of its rows.
    if (type === interior && !shape.isWithoutRowId) return;
    const { records, unreadable } = file.records(number, type === interior ? interior : leaf);
    // A page that was wiped says that it has no rows.
    const missing = type === leaf || type === interior ? unreadable : Math.max(unreadable, 1);
    if (missing > 0) this.#note(shape.name, missing);
    for (const record of records) {
      if (fits(shape, record)) this.#insert(shape, record);
      else this.#note(shape.name, 1);
    }
  }

  /** Rows of a page that nobody leads to, by what they look like. */
  #takeOrphans(file: PageFile, type: number, number: number, files: StoredRecord[]): void {
    const isWithoutRowId = type !== pageType.tableLeaf;
    const shapes = this.#shapes.filter(
      (shape) => shape.isDistinct && shape.isWithoutRowId === isWithoutRowId,
    );
    for (const record of file.records(number, type).records) {
      const shape = shapes.find((one) => fits(one, record));
      if (shape?.name === 'files') files.push(record);
      else if (shape !== undefined) this.#insert(shape, record);
      else if (isWithoutRowId && !isOfRun(record))
        this.#takeEntry(record.values.length === 2 ? contentsIndex : pathsIndex, record);
    }
  }

  #takeEntries(file: PageFile, owners: PageOwners, number: number, owner: string): void {
    const type = owners.typeOf(number);
    const isInterior = type === pageType.indexInterior;
    const { records, unreadable } = file.records(number, isInterior ? type : pageType.indexLeaf);
    const isWhole = unreadable === 0 && (isInterior || type === pageType.indexLeaf);
    if (!isWhole || owners.isBrokenInterior(number)) this.#incomplete.add(owner);
    for (const record of records) this.#takeEntry(owner, record);
  }

  #takeEntry(owner: string, { values }: StoredRecord): void {
    const rowId = values.at(-1);
    if (typeof rowId !== 'number' && typeof rowId !== 'bigint') return;
    const [first, path] = values;
    if (typeof first !== 'string') return;
    if (owner === projectsIndex && values.length === 2) this.#projectIds.set(rowId, first);
    if (owner === rootsIndex && values.length === 2) this.#roots.set(rowId, first);
    if (owner === contentsIndex && values.length === 2 && contentHash.test(first))
      this.#statement('INSERT OR IGNORE INTO temp.named_contents VALUES (?)').run(first);
    const isPath = typeof path === 'string' && relativePathProblem(path) === null;
    if (owner === pathsIndex && values.length === 3 && isPath && first.length === 36)
      this.#statement('INSERT OR IGNORE INTO temp.named VALUES (?, ?)').run(first, path);
  }

  #insert(shape: TableShape, { rowId, values }: StoredRecord): void {
    const { name, columns } = shape;
    const given = columns.slice(0, values.length);
    const row = given.map((column, position) => (column.isRowId ? rowId : (values[position] ?? null)));
    const proof = name === 'contents' ? proofOf(given, row) : 'own';
    if (proof === null) return this.#note(name, 1);
    // What proves itself takes the place of what needs another content for that.
    const verb = name === 'contents' && proof === 'own' ? 'REPLACE' : 'IGNORE';
    const insert = (names: readonly string[], bound: readonly Value[]): boolean => {
      const places = names.map(() => '?').join(', ');
      const sql = `INSERT OR ${verb} INTO ${name} (${names.join(', ')}) VALUES (${places})`;
      return this.#statement(sql).run(...bound).changes > 0;
    };
    const names = given.map((column) => column.name);
    try {
      if (insert(names, row) || name !== 'files') return;
      // Another file may have taken over its id.
      insert(names.slice(1), row.slice(1));
    } catch (error) {
      if (!(error instanceof Database.SqliteError) || !error.code.startsWith('SQLITE_CONSTRAINT'))
        throw error;
      this.#note(name, 1);
    }
  }

  #statement(sql: string): Database.Statement {
    let statement = this.#inserts.get(sql);
    if (statement === undefined) this.#inserts.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }

  #note(table: string, count: number): void {
    this.#unreadable.set(table, (this.#unreadable.get(table) ?? 0) + count);
  }

  #noteUnknown(count: number): void {
    this.#unknownPages += count;
    this.#note('', count);
  }

  /** A row and the entry that names it are both gone, or nothing is there at all. */
  get #isBlind(): Salvaged['isBlind'] {
    const rows = this.#db.prepare('SELECT 1 FROM files UNION SELECT 1 FROM projects').get();
    const isNothing = rows === undefined && this.#unreadable.size > 0;
    const mayLack = (table: string, naming: string): boolean =>
      this.#unreadable.has(table) && this.#incomplete.has(naming);
    const files = isNothing || this.#unknownPages > 0 || mayLack('files', pathsIndex);
    return { files, contents: files || mayLack('contents', contentsIndex) };
  }

  #named(): Salvaged['named'] {
    return this.#db
      .prepare(
        `SELECT project_id AS projectId, path FROM temp.named EXCEPT SELECT project_id, path FROM files
         ORDER BY projectId, path`,
      )
      .all() as Salvaged['named'];
  }

  /** Also what a file refers to, and what another content is a difference to. */
  #namedContents(): string[] {
    const hasBases = this.#byName.get('contents')?.columns.some(({ name }) => name === 'base') === true;
    const bases = hasBases ? 'UNION SELECT base FROM contents WHERE base IS NOT NULL' : '';
    return this.#db
      .prepare(
        `SELECT sha256 FROM temp.named_contents UNION SELECT sha256 FROM files WHERE sha256 IS NOT NULL ${bases}
         EXCEPT SELECT sha256 FROM contents ORDER BY sha256`,
      )
      .pluck()
      .all() as string[];
  }

  /** Projects without a row that an index or the journal still knows. */
  #traces(): ProjectTrace[] {
    const traces = new Map<string, ProjectTrace>();
    for (const [rowId, id] of this.#projectIds) {
      const rootDir = this.#roots.get(rowId);
      if (rootDir !== undefined) traces.set(id, { id, rootDir, versionDir: null });
    }
    const runs = this.#db
      .prepare(
        `SELECT project_id AS id, root_dir AS rootDir, version_dir AS versionDir FROM repair_runs ORDER BY started_at`,
      )
      .all() as ProjectTrace[];
    for (const run of runs)
      traces.set(run.id, { ...run, rootDir: traces.get(run.id)?.rootDir ?? run.rootDir });
    const hasRow = this.#db.prepare('SELECT 1 FROM projects WHERE id = ?');
    return [...traces.values()].filter(({ id }) => hasRow.get(id) === undefined);
  }

  finish(): Omit<Salvaged, 'missingChanges'> {
    this.#db.exec('COMMIT');
    return {
      unreadable: Object.fromEntries(this.#unreadable),
      named: this.#named(),
      namedContents: this.#namedContents(),
      traces: this.#traces(),
      isBlind: this.#isBlind,
    };
  }

  close(): void {
    this.#db.close();
  }
}

/** The index of runs has entries of the same form as that of paths: a run, and a project. */
function isOfRun({ values }: StoredRecord): boolean {
  const [, second] = values;
  return values.length === 3 && typeof second === 'string' && uuid.test(second);
}

/** Whether a content proves itself; a difference does only with its base, which may come later, or from a backup. */
function proofOf(columns: readonly { name: string }[], row: readonly Value[]): 'own' | 'with_base' | null {
  const at = (name: string): Value => row[columns.findIndex((column) => column.name === name)] ?? null;
  const [hash, tree, base] = [at('sha256'), at('tree'), at('base')];
  if (typeof hash !== 'string' || !Buffer.isBuffer(tree)) return null;
  if (base !== null) return isDelta(tree) ? 'with_base' : null;
  return isProven(tree, hash) ? 'own' : null;
}
