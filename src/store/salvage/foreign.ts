import type { IndexState } from '../index-identity.js';
import { databaseHeader, pageType } from './format.js';
import { PageFile } from './page-file.js';
import type { PageOwners } from './page-owners.js';

function identityOf(file: PageFile): number {
  const first = file.page(1);
  return (first === null ? null : databaseHeader(first))?.identity ?? 0;
}

/** What the pages say of themselves. */
export function stateIn(file: PageFile, owners: PageOwners): IndexState {
  const identity = identityOf(file);
  // The table has one row.
  const root = owners.rootOf('commits');
  const [row] = root === null ? [] : file.records(root, pageType.tableLeaf).records;
  const commit = row?.values.at(-1);
  return { identity, commit: typeof commit === 'number' ? commit : null };
}

/** It says of itself that it is another index than the one that was here; null: it does not say which it is. */
export function isOther(file: PageFile, noted: number | null): boolean | null {
  const identity = identityOf(file);
  if (noted === null || identity === noted) return false;
  return identity === 0 ? null : true;
}

/** With its log the file is another index; without it the one that was here, or one that is not told from it. */
export function isLogForeign(indexPath: string, noted: number | null): boolean {
  const [withLog, alone] = [true, false].map((isWithLog) => {
    const file = new PageFile(indexPath, isWithLog);
    try {
      return identityOf(file);
    } finally {
      file.close();
    }
  });
  const isOwn = (identity: number | undefined): boolean => identity === 0 || identity === noted;
  return noted !== null && !isOwn(withLog) && isOwn(alone);
}
