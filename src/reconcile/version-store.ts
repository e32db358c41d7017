import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { CodekeepError, ignoreErrno } from '../base/errors.js';
import { type FileImage, FilePlacer, temporaryName } from '../base/file-placer.js';
import { sha256 } from '../base/hash.js';
import { isWithin, stampedPath } from '../base/paths.js';
import { PinnedFolder } from '../base/pinned-folder.js';
import { type Presence, presenceAt, TreePresence } from '../base/presence.js';
import type { Project } from '../store/projects.js';

const defaultVersionDir = 'data/versions';

/** The absolute versions directory for a project: as given (relative to the root), or data/versions below it. */
export function resolveVersionDir(rootDir: string, given: string | undefined): string {
  const versionDir = resolve(rootDir, given ?? defaultVersionDir);
  if (versionDir === rootDir || isWithin(versionDir, rootDir)) {
    throw new CodekeepError(
      'INVALID_PARAMS',
      `version_dir ${versionDir} contains the project.`,
      'Give a folder beside the project or below it.',
      { issues: [{ param: 'version_dir', message: 'contains the project' }] },
    );
  }
  return versionDir;
}

/** The files of one project in its versions directory: <version_dir>/<project_id>/<path>. */
export class VersionStore {
  readonly #project: Pick<Project, 'id' | 'rootDir' | 'versionDir'>;
  /** Absolute folder that holds this project's versions. */
  readonly root: string;

  constructor(project: Pick<Project, 'id' | 'rootDir' | 'versionDir'>) {
    this.#project = project;
    this.root = join(project.versionDir, project.id);
  }

  pathOf(path: string): string {
    return join(this.root, path);
  }

  /** A snapshot for observing many paths. A versions directory that does not exist yet holds nothing. */
  observe(): TreePresence {
    return new TreePresence(this.root, { mayBeMissing: true });
  }

  /** Opens it for writing, and makes it where it is missing. */
  async openPlacer(): Promise<FilePlacer> {
    const { rootDir, versionDir, id } = this.#project;
    if (!isWithin(rootDir, versionDir)) await mkdir(versionDir, { recursive: true, mode: 0o700 });
    const base = await PinnedFolder.open(isWithin(rootDir, versionDir) ? rootDir : versionDir);
    try {
      if (!isWithin(rootDir, versionDir)) return new FilePlacer(await base.descend(id, true));
      const folder = await base.descend(relative(rootDir, versionDir), true);
      try {
        await hideFromGit(folder);
        return new FilePlacer(await folder.descend(id, true));
      } finally {
        await folder.close();
      }
    } finally {
      await base.close();
    }
  }

  /**
   * Makes sure that versions hold `image` at `path`. The same bytes there already are left alone; other
   * bytes are an older deletion of the path and get a timestamp before their extension.
   */
  async keep(placer: FilePlacer, path: string, image: FileImage, now: number): Promise<void> {
    const presence = this.observe().at(path);
    if (presence === 'file' && sha256(await readFile(this.pathOf(path))) === image.sha256) return;
    await makeRoom(placer, path, presence, now);
    await placer.place(path, image, randomUUID());
  }

  /** As keep, for a file of any size that is moved as it is and not read. */
  async adopt(placer: FilePlacer, path: string, source: string, now: number): Promise<void> {
    await makeRoom(placer, path, this.observe().at(path), now);
    await placer.placeCopyOf(source, path, randomUUID());
  }
}

/** What is in the way of a new version gets a timestamp; a folder stays, and the placing that follows is refused. */
async function makeRoom(placer: FilePlacer, path: string, presence: Presence, now: number): Promise<void> {
  if (presence === 'file' || presence === 'symlink' || presence === 'other')
    await placer.rename(path, stampedPath(path, versionStamp(now)));
}

/** ISO 8601 basic format, which sorts and needs no quoting in a shell. */
function versionStamp(now: number): string {
  return new Date(now).toISOString().replaceAll(/[-:]/g, '');
}

/** Under a temporary name until it is whole, so that a kill never leaves one that ignores nothing. */
async function hideFromGit(folder: PinnedFolder): Promise<void> {
  const temporary = folder.at(temporaryName('gitignore'));
  // What a kill left behind goes first.
  await unlink(temporary).catch(ignoreErrno('ENOENT'));
  const path = folder.at('.gitignore');
  if (presenceAt(path) !== 'absent') return;
  try {
    await writeFile(temporary, '*\n', { flag: 'wx', mode: 0o644 });
    await link(temporary, path);
  } catch (error) {
    // Another process is at the same.
    ignoreErrno('EEXIST', 'ENOENT')(error);
  } finally {
    await unlink(temporary).catch(ignoreErrno('ENOENT'));
  }
}

/** The project with another versions directory for one run, where the caller named one. */
export function withVersionDir<P extends Pick<Project, 'rootDir' | 'versionDir'>>(
  project: P,
  given: string | undefined,
): P {
  return given === undefined
    ? project
    : { ...project, versionDir: resolveVersionDir(project.rootDir, given) };
}
