import { lstatSync, unlinkSync } from 'node:fs';
import { errnoOf } from '../../base/errors.js';
import { FilePlacer, temporaryName } from '../../base/file-placer.js';
import { relativePathProblem, splitPath } from '../../base/paths.js';
import { PinnedFolder } from '../../base/pinned-folder.js';
import { TreePresence } from '../../base/presence.js';
import { fileByPath } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import {
  type ActionRow,
  endRun,
  openIntents,
  recordOutcome,
  type UnfinishedRun,
  unfinishedRuns,
} from '../../store/journal.js';
import { type Project, projectById } from '../../store/projects.js';
import { imageOf } from '../image.js';
import { inspectRoot } from '../project-root.js';
import { markRestored } from '../restore.js';
import { VersionStore } from '../version-store.js';
import { hasImage, outcomeOf, temporaryToken } from './apply.js';

/**
 * Brings runs that were cut off to an end: takes away their temporary files, finishes the actions that were
 * half done, and closes their journal rows. What had not begun is found again by the next plan. A run whose root
 * is away is left for later. Gives the projects whose repair somebody had asked for: the background worker's own
 * rounds go on by themselves.
 */
export async function recoverRuns(index: IndexDatabase, now: () => number): Promise<Project[]> {
  const projects: Project[] = [];
  for (const run of unfinishedRuns(index)) {
    const known = projectById(index, run.projectId);
    if (known !== undefined) {
      if (inspectRoot(known).kind === 'unavailable') continue;
      const project = { ...known, rootDir: run.rootDir, versionDir: run.versionDir };
      await finishRun(index, project, run, now);
      if (run.origin !== 'worker') projects.push(project);
    }
    await index.write(() => endRun(index, run, 'interrupted', 'cut off; finished by a later run', now()));
  }
  return projects;
}

async function finishRun(
  index: IndexDatabase,
  project: Project,
  run: UnfinishedRun,
  now: () => number,
): Promise<void> {
  for (const intent of openIntents(index, run)) {
    if (relativePathProblem(intent.path) !== null) continue;
    const token = temporaryToken(run, intent.id);
    removeTemporaries(project, intent.path, token);
    if (intent.targets === 'versions,project') await finishRestore(index, project, intent, token, now);
  }
}

/**
 * A file that reached versions but not the project looks like a deletion to the next plan; one that reached both
 * still has its old stamp in the row. Both are finished here, as the run would have.
 */
async function finishRestore(
  index: IndexDatabase,
  project: Project,
  intent: ActionRow,
  token: string,
  now: () => number,
): Promise<void> {
  const row = fileByPath(index, project.id, intent.path);
  const kept = new VersionStore(project).pathOf(intent.path);
  if (row?.id !== intent.fileId || row.deleted === 1 || row.sha256 === null) return;
  if (row.sha256 !== intent.sha256 || !hasImage(kept, row.sha256, row.mode)) return;
  const presence = new TreePresence(project.rootDir).at(row.path);
  if (presence === 'absent') {
    const image = imageOf(index, row);
    if ('problem' in image) return;
    const placer = new FilePlacer(await PinnedFolder.open(project.rootDir));
    try {
      await placer.place(row.path, image, token);
    } catch (error) {
      // As after any failed action nothing of it stays: the next plan begins it anew.
      unlinkSync(kept);
      const { state, detail } = outcomeOf(error);
      await index.write(() => recordOutcome(index, intent.id, state, detail));
      return;
    } finally {
      await placer.finish();
    }
  } else if (!hasImage(`${project.rootDir}/${row.path}`, row.sha256, row.mode)) return;
  await index.write(() => {
    markRestored(index, project, row, now());
    recordOutcome(index, intent.id, 'done', 'finished by a later run');
  });
}

function removeTemporaries(project: Project, path: string, token: string): void {
  const { folder } = splitPath(path);
  for (const root of [project.rootDir, new VersionStore(project).root]) {
    // Never through a symlink: what is behind it was not written by us.
    if (folder !== '' && new TreePresence(root, { mayBeMissing: true }).at(folder) !== 'directory') continue;
    const temporary = `${root}/${folder}/${temporaryName(token)}`;
    try {
      if (lstatSync(temporary).isFile()) unlinkSync(temporary);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR') throw error;
    }
  }
}
