import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type InotifyResource = 'watches' | 'instances';

export interface InotifyLimit {
  /** The name by which sysctl(8) sets it. */
  sysctl: string;
  max: number;
}

/**
 * How many of these a user may have, and what says so: the kernel has one limit for the machine and one for the user namespace
 * (namespaces(7)), and the smaller one holds. Null where none can be read.
 * @param procRoot where procfs is mounted
 */
export function inotifyLimit(resource: InotifyResource, procRoot = '/proc'): InotifyLimit | null {
  const named = [`fs.inotify.max_user_${resource}`, `user.max_inotify_${resource}`];
  const limits = named
    .map((sysctl) => ({ sysctl, max: valueOf(join(procRoot, 'sys', ...sysctl.split('.'))) }))
    .filter((limit): limit is InotifyLimit => limit.max !== null);
  // The machine's comes first: outside of a namespace both are the same number.
  return limits.reduce<InotifyLimit | null>(
    (least, limit) => (least !== null && least.max <= limit.max ? least : limit),
    null,
  );
}

function valueOf(path: string): number | null {
  try {
    const text = readFileSync(path, 'utf8');
    return /^\d+\s*$/.test(text) ? Number(text) : null;
  } catch {
    return null;
  }
}
