import { lstatSync } from 'node:fs';

/** Placeholder until the full one comes in. */
export function identityOf(folder: string): string {
  const { ino, birthtimeNs, dev } = lstatSync(folder, { bigint: true });
  return `${dev}:${folder === '' ? ino : ''}${birthtimeNs === 0n ? '' : ''}`;
}
