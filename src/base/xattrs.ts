import { errnoOf, reasonOf } from './errors.js';

/** Extended attributes by name, their values in base64. */
export type Xattrs = Readonly<Record<string, string>>;

/** Compiled when it is installed: where there is no compiler, files are kept without these. */
const native = await import('fs-xattr').catch(() => null);

/** Whether this installation can read and write extended attributes at all. */
export const hasXattrs = native !== null;

const accessList = 'system.posix_acl_access';

/**
 * What belongs to the file: its user's own attributes, access lists and capabilities. Labels of a security module are
 * given by its policy, and `trusted.*` is the book-keeping of file systems (overlay, gluster).
 */
function isKept(name: string): boolean {
  return (
    name.startsWith('user.') ||
    name === accessList ||
    name === 'system.posix_acl_default' ||
    name === 'security.capability'
  );
}

/**
 * The extended attributes of a file or folder; null where it has none, or its file system knows none.
 * Costs one system call where there are none (4 µs). A symlink is followed: give a path that is known to be none, or
 * /proc/self/fd/N.
 * @throws ENOENT, EACCES as they come
 */
export function readXattrs(path: string): Xattrs | null {
  if (native === null) return null;
  try {
    const names = native.listAttributesSync(path).filter(isKept);
    if (names.length === 0) return null;
    const { getAttributeSync } = native;
    return Object.fromEntries(
      names.sort().map((name) => [name, getAttributeSync(path, name).toString('base64')]),
    );
  } catch (error) {
    // ENODATA: one was taken away in between; whoever did so changed the file's ctime.
    if (errnoOf(error) === 'ENOTSUP' || errnoOf(error) === 'ENODATA') return null;
    throw error;
  }
}

/**
 * Sets those that the file system and our rights allow, on what /proc/self/fd/N or a path that is no symlink names.
 * @throws Error where an access list cannot be set: without it, the permission bits that are set next would let the
 * file's group do what the list gave to others; and ENOSPC, EIO and the like
 */
export function writeXattrs(path: string, xattrs: Xattrs): void {
  for (const [name, value] of Object.entries(xattrs)) {
    try {
      if (native === null) throw Object.assign(new Error('fs-xattr is not installed'), { code: 'ENOTSUP' });
      native.setAttributeSync(path, name, Buffer.from(value, 'base64'));
    } catch (error) {
      if (name === accessList)
        throw new Error(`its access control list cannot be given back: ${reasonOf(error)}`, { cause: error });
      if (!['ENOTSUP', 'EPERM', 'EACCES', 'EINVAL', 'E2BIG', 'ERANGE'].includes(errnoOf(error) ?? ''))
        throw error;
    }
  }
}
