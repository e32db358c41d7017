import { randomUUID } from 'node:crypto';
import { lstatSync, unlinkSync } from 'node:fs';
import { ClosedFolders } from '../../base/closed-folders.js';
import { CodekeepError, errnoOf } from '../../base/errors.js';
import { temporaryName } from '../../base/temporary-names.js';
import type { Work } from '../../base/progress.js';
import { relativePathProblem, splitPath } from '../../base/paths.js';
import { PinnedFolder } from '../../base/pinned-folder.js';
import { presenceAt, TreePresence } from '../../base/presence.js';
import { stampOf } from '../../base/stamp.js';
import { putBackLeftOver, removeIfSame } from '../../base/taken-file.js';
import { isTornCopyOf } from '../../base/torn-file.js';
import { problemOfContent } from '../../store/contents.js';
import { fileByPath } from '../../store/files.js';
import type { IndexDatabase } from '../../store/index-database.js';
import {
  actionIn,
  type ActionRow,
  endRun,
  type NewAction,
  openIntents,
  type UnfinishedRun,
  unfinishedRuns,
} from '../../store/journal.js';
import { type Project, projectById } from '../../store/projects.js';
import { imageOf } from '../image.js';
import { inspectRoot, inspectRootOf } from '../project-root.js';
import { contentHashAt, versionsRoot } from '../version-store.js';
import { askGitAbout } from './repair-project.js';
import { applyIntents } from './apply.js';
import { type Intent, type RunOutcome, temporaryToken } from './batches.js';
import type { Action, ActionVerdict, Target } from './plan.js';
import { finishRewind } from './rewind.js';
import { finishUndo } from './undo.js';

export interface RecoverOptions extends Work {
  index: IndexDatabase;
  now: () => number;
}

/** A run that was cut off and has been brought to its end. */
export interface RecoveredRun {
  run: UnfinishedRun;
  project: Project;
  outcome: RunOutcome<NewAction>;
}

/**
 * Brings runs that were cut off to their end: takes away their temporary files and executes the intents that are
 * open, each after another look, and nothing that was not planned. A run whose root is not the one that it
 * worked on is left for later.
 */
export async function recoverRuns(options: RecoverOptions): Promise<RecoveredRun[]> {
  const { index, now } = options;
  const recovered: RecoveredRun[] = [];
  for (const run of unfinishedRuns(index)) {
    const known = projectById(index, run.projectId);
    if (known !== undefined) {
      if (inspectRoot(known).kind !== 'verified') continue;
      const project = { ...known, rootDir: run.rootDir, versionDir: run.versionDir };
      try {
        recovered.push({ run, project, outcome: await finishRun(options, project, run) });
      } catch (error) {
        if (!(options.signal.reason instanceof CodekeepError)) throw error;
        await index.write(() => endRun(index, run, 'cancelled', 'cut off, and cancelled', now()));
        continue;
      }
    }
    await index.write(() => endRun(index, run, 'interrupted', 'cut off; finished by a later run', now()));
  }
  return recovered;
}

async function finishRun(
  options: RecoverOptions,
  project: Project,
  run: UnfinishedRun,
): Promise<RunOutcome<NewAction>> {
  const { index } = options;
  const rows = openIntents(index, run).filter(({ path }) => relativePathProblem(path) === null);
  await putBackTaken(options, project, rows);
  for (const row of rows) {
    removeTemporaries(project, row.path, temporaryToken(run, row.id));
    if (row.targets !== '') await removeTorn(options, project, row);
  }
  if (run.rewindTo !== null)
    return await finishRewind(options, project, { ...run, rewindTo: run.rewindTo }, rows);
  if (run.undoes !== null) return await finishUndo(options, project, { ...run, undoes: run.undoes }, rows);
  const planned = new Map(rows.map((row) => [row.fileId, row]));
  const { isLeftByGit } = await askGitAbout(index, project, inspectRootOf(index, project), options.signal);
  const closed = new ClosedFolders();
  try {
    return await applyIntents(
      {
        ...options,
        project,
        run,
        closed,
        isRecovery: true,
        rootDoubt: null,
        force: false,
        circumstances: {
          isLeftByGit,
          isIgnored: () => false,
          isWanted: ({ id }) => planned.get(id)?.targets.endsWith('project') === true,
          knownProblem: () => null,
          isUnderRepair: (id) => planned.has(id),
        },
        progress: (done, total) => options.progress('apply', done, total),
      },
      rows.map(intentOf),
    );
  } finally {
    await closed.close(project.rootDir);
  }
}

/** What was taken aside to be removed is not gone yet: a comparison would bring it back after all. */
async function putBackTaken(
  { index, now }: RecoverOptions,
  project: Project,
  rows: readonly ActionRow[],
): Promise<void> {
  /** Of a rewind that was killed when it had put what the file was in its place. */
  const isKept = (path: string, at: string): boolean => {
    const hash = fileByPath(index, project.id, path)?.sha256 ?? null;
    return (
      hash !== null && contentHashAt(at, presenceAt(at)) === hash && problemOfContent(index, hash) === null
    );
  };
  const tree = new TreePresence(project.rootDir);
  const root = await PinnedFolder.open(project.rootDir);
  try {
    for (const folder of new Set(rows.map(({ path }) => splitPath(path).folder)))
      if (folder === '' || tree.at(folder) === 'directory')
        await putBackLeftOver(root, folder, now(), isKept);
  } finally {
    await root.close();
  }
}

/**
 * Where a file system has no links, files are written in place: a kill leaves the beginning of one, which is ours and not
 * anybody's content.
 */
async function removeTorn(
  { index, now }: RecoverOptions,
  project: Project,
  intent: ActionRow,
): Promise<void> {
  const row = fileByPath(index, project.id, intent.path);
  const image = row === undefined ? null : imageOf(index, row);
  if (image === null || 'problem' in image || image.kind !== 'file') return;
  for (const folder of [project.rootDir, versionsRoot(project)]) {
    const presence = new TreePresence(folder, { mayBeMissing: true }).look(intent.path);
    if (presence.stats === null || !(await isTornCopyOf(`${folder}/${intent.path}`, image.bytes))) continue;
    const stamp = stampOf(`${folder}/${intent.path}`);
    if (stamp === null) continue;
    const root = await PinnedFolder.open(folder);
    try {
      await removeIfSame(root, intent.path, { stamp, sha256: null }, randomUUID(), now());
    } finally {
      await root.close();
    }
  }
}

/** What is to be done is found out anew; the journal says what was planned. */
function intentOf(row: ActionRow): Intent<Action> {
  const { id, path, cause, sha256, ...rest } = actionIn(row);
  const [verdict, targets] = [rest.verdict as ActionVerdict, rest.targets as Target[]];
  return { journalId: row.id, action: { verdict, id, path, targets, source: 'tree', cause, sha256 } };
}

function removeTemporaries(project: Project, path: string, token: string): void {
  const { folder } = splitPath(path);
  for (const root of [project.rootDir, versionsRoot(project)]) {
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
