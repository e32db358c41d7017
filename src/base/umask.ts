/** Carries the umask of whoever started the daemon to its workers, in octal. */
const variable = 'CODEKEEP_USUAL_UMASK';

/**
 * From here on what this process and its workers make is for its user only (the state directory holds the content
 * of every file), whatever the directory's own mode; what is made in projects keeps the modes that it would have had.
 */
export function makePrivate(): void {
  process.env[variable] = process.umask(0o077).toString(8);
}

/**
 * Makes something in a project with the mode that it would have had under the user's own umask, also below a folder
 * with a set-group-ID bit or a default ACL. Synchronous, because the umask is the whole process's.
 */
export function asUsual<T>(make: () => T): T {
  const usual = Number.parseInt(process.env[variable] ?? '', 8);
  if (Number.isNaN(usual)) return make();
  const own = process.umask(usual);
  try {
    return make();
  } finally {
    process.umask(own);
  }
}
