/** A row that has a content: what a path is, was last, or was once. */
export interface ContentRow {
  table: 'files' | 'revisions';
  id: number;
  projectId: string;
  path: string;
  /** Of a row of `files` that is neither deleted nor ignored. */
  isPresent: boolean;
  /** When the state began; milliseconds since 1970. */
  seenAt: number;
  size: number;
  /** Of its content, or of what was moved into versions. */
  sha256: string;
}

/** Unique in one database. */
export function keyOf({ table, id }: Pick<ContentRow, 'table' | 'id'>): string {
  return `${table} ${id}`;
}

/** What is known of one database; see ContentRow. */
export interface PurgeFacts {
  /** Rows that somebody has chosen. */
  chosen: readonly ContentRow[];
  /** Other rows, of any project, that have a content of one of them. */
  others: readonly ContentRow[];
  /** Whether a chosen row stays because it is what is in the project now. */
  isInProject: (row: ContentRow) => boolean;
}

export interface PurgePlan {
  /** Rows whose content goes. */
  going: ContentRow[];
  /** Chosen rows that stay. */
  present: ContentRow[];
  /** Rows that were not chosen, and that have a content of one that was: it stays with them. */
  sharing: ContentRow[];
  /** Contents that nothing has any more then. */
  contents: Set<string>;
}

/** What goes, and what stays, each by path and time: pure. */
export function purgePlanOf({ chosen, others, isInProject }: PurgeFacts): PurgePlan {
  const present = sorted(chosen.filter(isInProject));
  const staying = new Set(present);
  const going = sorted(chosen.filter((row) => !staying.has(row)));
  const held = new Set([...present, ...others].map(({ sha256 }) => sha256));
  const contents = new Set(going.map(({ sha256 }) => sha256).filter((hash) => !held.has(hash)));
  return { going, present, sharing: sorted(others), contents };
}

function sorted(rows: readonly ContentRow[]): ContentRow[] {
  const order = (a: ContentRow, b: ContentRow): number =>
    a.path === b.path ? a.seenAt - b.seenAt : a.path < b.path ? -1 : 1;
  return [...rows].sort(order);
}
