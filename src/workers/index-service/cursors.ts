import { CodekeepError } from '../../base/errors.js';

/** What a list that comes page by page is ordered by, with the form of a place in it. */
const places = {
  path: /^.+$/su,
  /** The number of an entity in its file, a slash, and the file's path. */
  entity: /^\d{1,9}\/.+$/su,
  /** When it changed, a slash, and the path; and likewise of a checkpoint. */
  change: /^\d{1,15}\/.+$/su,
  checkpoint: /^\d{1,15}\/.+$/su,
  /** The two moments that are compared, and the path. */
  diff: /^\d{1,16}\/\d{1,16}\/.+$/su,
  /** When a version was first seen. */
  version: /^\d{1,15}$/u,
  /** The number of a row of the journal. */
  action: /^\d{1,15}$/u,
} as const;
type Order = keyof typeof places;

/** Says what it is a place in, so that one of another list is told from its own. */
export function cursorAt(order: Order, place: string): string {
  return `${order}:${place}`;
}

/**
 * The place after which a page begins; null: at the beginning.
 * @throws CodekeepError INVALID_PARAMS for a text that no page of such a list gave
 */
export function placeIn(order: Order, cursor: string | undefined): string | null {
  if (cursor === undefined || cursor === '') return null;
  const place = cursor.slice(order.length + 1);
  if (cursor.startsWith(`${order}:`) && places[order].test(place)) return place;
  throw new CodekeepError(
    'INVALID_PARAMS',
    'cursor is not one that this method gave.',
    'Give next_cursor of the page before as it came, or leave cursor out for the first page.',
    { issues: [{ param: 'cursor', message: 'is not one that this method gave' }] },
  );
}

/** For pages in the order of paths: the cursor is at the last one. */
export function afterPaths(rows: readonly { path: string }[], limit: number): string | null {
  const last = rows.at(-1);
  return rows.length < limit || last === undefined ? null : cursorAt('path', last.path);
}
