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
  for (let number = 1; number <= file.pageCount; number += 1) {
    if (owners.ownerOf(number) !== 'commits') continue;
    const commit = file.records(number, pageType.tableLeaf).records[0]?.values.at(-1);
    if (typeof commit === 'number') return { identity, commit };
  }
  return { identity, commit: null };
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
