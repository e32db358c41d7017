/** Carries the umask of whoever started the daemon to its workers, in octal. */
const variable = 'CODEKEEP_USUAL_UMASK';

/**
 * From here on what this process and its workers make is for its user only (the state directory holds the content
 * of every file), whatever the directory's own mode; what is made in projects keeps the modes that it would have had.
 */
export function makePrivate(): void {
  process.env[variable] = process.umask(0o077).toString(8);
}

/** The mode of a folder made in a project, or null where the umask is nobody's but the user's. */
export function usualFolderMode(): number | null {
  const umask = Number.parseInt(process.env[variable] ?? '', 8);
  return Number.isNaN(umask) ? null : 0o777 & ~umask;
}
