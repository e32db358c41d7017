/**
 * `operation-child.js OPERATION INDEX [PATH...]`: does one thing that changes an index or a project, as the worker that does it
 * would; status 1 where something failed. What an earlier one that was killed left is finished first.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { deleteFile } from '#src/reconcile/delete-file.js';
import { fill } from '#src/reconcile/rebuild/fill.js';
import type { IndexingContext } from '#src/reconcile/index-paths.js';
import { reconcileProject } from '#src/reconcile/reconcile-project.js';
import { executeRepair, openRepair, planRepair } from '#src/reconcile/repair/repair-project.js';
import { recoverRuns } from '#src/reconcile/repair/recover.js';
import { executeRewind, planRewind } from '#src/reconcile/repair/rewind.js';
import { executeUndo, planUndo } from '#src/reconcile/repair/undo.js';
import { backup, backupBeforeMigration, backupsBeside } from '#src/store/backups.js';
import { extractingWith } from '#src/reconcile/extract.js';
import { DerivedDatabases } from '#src/store/derived/derived-databases.js';
import { canGiveBack, compactWhole } from '#src/store/compaction.js';
import { IndexDatabase, isOlder } from '#src/store/index-database.js';
import { listRuns } from '#src/store/journal.js';
import { listProjects, type Project } from '#src/store/projects.js';
import { copySound, replaceIndex, settleReplacing } from '#src/store/replace-index.js';
import { salvage } from '#src/store/salvage/salvage.js';
import { createParser } from '#src/syntax/parser.js';
import { purge } from '#src/workers/repair/purge.js';

const [operation = '', indexPath = '', ...paths] = process.argv.slice(2);
const stateDir = dirname(indexPath);
const work = { signal: new AbortController().signal, progress: () => undefined };
const maxFileBytes = 100_000;

async function withIndex(
  run: (index: IndexDatabase, project: Project) => Promise<boolean>,
): Promise<boolean> {
  await settleReplacing(indexPath);
  const index = IndexDatabase.open(indexPath);
  try {
    await recoverRuns({ index, now: Date.now, ...work });
    const [project] = listProjects(index);
    if (project === undefined) throw new Error('the index has no project');
    return await run(index, project);
  } finally {
    index.close();
  }
}

async function withContext<T>(
  index: IndexDatabase,
  project: Project,
  run: (context: IndexingContext) => Promise<T>,
): Promise<T> {
  const extractor = extractingWith(createParser());
  const derived = new DerivedDatabases(index);
  try {
    const made = { index, derived, extractor, project, stateDir };
    return await run({ ...made, maxFileBytes, now: Date.now, signal: work.signal });
  } finally {
    extractor.close();
    await derived.close();
  }
}

/** Each says whether all of it succeeded. */
const operations: Record<string, () => Promise<boolean>> = {
  repair: async () =>
    await withIndex(async (index, project) => {
      const choice = { runId: randomUUID(), origin: 'command', force: false, deletedSince: null } as const;
      const options = { index, ...choice, now: Date.now, ...work };
      const [opened] = await openRepair(options, [await planRepair(options, project)]);
      if (opened === undefined) throw new Error('nothing was opened');
      const { errors } = await executeRepair(options, opened);
      return errors.length === 0;
    }),
  undo: async () =>
    await withIndex(async (index, { id }) => {
      const run = listRuns(index, id, 100).find(({ origin }) => origin === 'command');
      const planned = run === undefined ? null : await planUndo(index, run, work.signal);
      if (planned === null || planned.actions.length === 0) return true;
      const { errors } = await executeUndo({ index, now: Date.now, ...work }, randomUUID(), planned);
      return errors.length === 0;
    }),
  // To the end of the first comparison; then the watcher compares, and tries copies again that are due.
  rewind: async () =>
    await withIndex(async (index, project) => {
      const all = { paths: null, prefix: null };
      const planned = await planRewind(index, project, project.recordedAt ?? 0, all, work);
      const run = { runId: randomUUID(), projectId: project.id, origin: 'command', undoes: null } as const;
      const { errors } = await executeRewind({ index, now: Date.now, ...work }, run, planned);
      await withContext(index, project, async (context) => await reconcileProject(context, 'unseen'));
      return errors.length === 0;
    }),
  delete: async () =>
    await withIndex(
      async (index, project) =>
        await withContext(index, project, async (context) => {
          // As a daemon does when it starts: what was taken aside by one that was killed is put back.
          await reconcileProject(context, 'unseen');
          let isWhole = true;
          for (const path of paths)
            if (existsSync(join(project.rootDir, path)))
              await deleteFile(context, path).catch(() => (isWhole = false));
          return isWhole;
        }),
    ),
  backup: async () =>
    await withIndex(async (index) => (await backup(index, Date.now())).problems.length === 0),
  rebuild: async () => {
    await replaceIndex(indexPath, Date.now(), async (path) => {
      const salvaged = await salvage(indexPath, path, work);
      const index = IndexDatabase.open(path);
      try {
        const backups = backupsBeside(indexPath);
        const log = (): undefined => undefined;
        await fill(
          { index, stateDir, saved: null, backups, maxFileBytes, now: Date.now, log, ...work },
          salvaged,
        );
      } finally {
        index.close();
      }
    });
    return true;
  },
  restore: async () => {
    const [copy = ''] = paths;
    await replaceIndex(
      indexPath,
      Date.now(),
      async (path) => await copySound(copy, path, (check) => check()),
    );
    return true;
  },
  purge: async () => {
    await settleReplacing(indexPath);
    const index = IndexDatabase.open(indexPath);
    const [project] = listProjects(index);
    index.close();
    const none = { version_ids: null, sha256: null, backups: 'rewrite' } as const;
    const longStep = <T>(_longestMs: number, step: () => T): T => step();
    const scope = { project_id: project?.id ?? '', paths, ...none };
    const { purged } = await purge(indexPath, scope, { ...work, longStep });
    return purged.kept.every(({ reason }) => reason.startsWith('it is still in the project'));
  },
  // As index_service starts.
  migration: async () => {
    await settleReplacing(indexPath);
    if (isOlder(indexPath)) await backupBeforeMigration(indexPath, Date.now(), (step) => step());
    const index = IndexDatabase.open(indexPath);
    if (!canGiveBack(index)) compactWhole(index);
    index.close();
    return true;
  },
};

const run = operations[operation];
if (run === undefined) throw new Error(`no operation ${operation}`);
process.exitCode = (await run()) ? 0 : 1;
