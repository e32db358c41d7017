import { CodekeepError, errnoOf } from './errors.js';
import { PinnedFolder } from './pinned-folder.js';

/**
 * Folders that were made, and that their owner may not use freely: they get their mode when everything is in them. Killed
 * before that, their owner can use them, and nobody else who shall not.
 */
export class ClosedFolders {
  readonly #folders = new Map<string, { mode: number; identity: string }>();

  /** @param path relative to the root that `close` is given */
  async note(path: string, folder: PinnedFolder, mode: number): Promise<void> {
    this.#folders.set(path, { mode, identity: await identityOf(folder) });
  }

  /** The deepest first. One that somebody took away or put there since is left alone. */
  async close(root: string): Promise<void> {
    if (this.#folders.size === 0) return;
    const deepestFirst = [...this.#folders].sort(([a], [b]) => (a < b ? 1 : -1));
    this.#folders.clear();
    const top = await PinnedFolder.open(root);
    try {
      for (const [path, made] of deepestFirst) await closeOne(top, path, made);
    } finally {
      await top.close();
    }
  }
}

async function closeOne(
  top: PinnedFolder,
  path: string,
  { mode, identity }: { mode: number; identity: string },
): Promise<void> {
  const folder = await top.descend(path, false).catch(nullWhereGone);
  if (folder === null) return;
  try {
    if ((await identityOf(folder)) !== identity) return;
    await folder.chmod(mode);
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function nullWhereGone(error: unknown): null {
  if (error instanceof CodekeepError || errnoOf(error) === 'ENOENT') return null;
  throw error;
}

async function identityOf(folder: PinnedFolder): Promise<string> {
  const { dev, ino } = await folder.identity();
  return `${dev} ${ino}`;
}
