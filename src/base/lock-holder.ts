import { readFileSync, statSync } from 'node:fs';

/**
 * Who holds a write lock (POSIX) on a file, as the kernel says; null where it does not know (a process of another
 * container, a file system that numbers its devices otherwise). A pid that somebody wrote down could be an earlier one's.
 * @throws the system's error where the file cannot be looked at
 */
export function lockHolder(path: string): number | null {
  const { dev, ino } = statSync(path);
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const inode = [major, minor].map((part) => part.toString(16).padStart(2, '0')).concat(String(ino));
  for (const line of readFileSync('/proc/locks', 'latin1').split('\n')) {
    // 1: POSIX  ADVISORY  WRITE 20345 fe:00:2147286 1073741824 1073742335
    const [, kind, , access, pid, file] = line.split(/\s+/);
    if (kind === 'POSIX' && access === 'WRITE' && file === inode.join(':') && Number(pid) > 0)
      return Number(pid);
  }
  return null;
}
