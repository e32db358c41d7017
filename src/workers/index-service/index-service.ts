import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CodekeepError } from '../../base/errors.js';
import type { IndexQuestion } from '../../base/ipc.js';
import type { IndexMethod } from '../../contract/index.js';
import { sleep } from '../../base/waiting.js';
import { extractingWith } from '../../reconcile/extract.js';
import { InHand } from '../../reconcile/in-hand.js';
import { backup, backupBeforeMigration, backupsBeside } from '../../store/backups.js';
import { canGiveBack, compactWhole } from '../../store/compaction.js';
import { removeOrphans } from '../../store/derived/derived-database.js';
import { DerivedDatabases, DerivedReaders } from '../../store/derived/derived-databases.js';
import { IndexDatabase, isOlder } from '../../store/index-database.js';
import { causeInWords, damaged, isBusy, isCorrupt } from '../../store/sqlite-errors.js';
import { assertSameIndex, noteIdentity, notedIdentity } from '../../store/index-identity.js';
import { unfinishedRuns } from '../../store/journal.js';
import { listProjects, requireProject } from '../../store/projects.js';
import { backupFolder } from '../../store/backups.js';
import { removeLeftOvers } from '../../store/place-copy.js';
import { replacedPath, settleReplacing } from '../../store/replace-index.js';
import { paceOf } from '../../store/revisions.js';
import { createParser, parseMemoryWithin } from '../../syntax/parser.js';
import type { RequestCall, RequestHandlers, WorkerBody, WorkerHost } from '../host.js';
import { planPurgeOf } from '../repair/purge.js';
import { needsRewind, noteRewind, planRewindOf } from '../repair/rewind.js';
import { projectsInScope } from '../repair/scope.js';
import { planDatabase } from '../repair/task.js';
import { noteUndo, planUndoOf } from '../repair/undo.js';
import { codeMethods } from './code-methods.js';
import { databaseMethods } from './database-methods.js';
import { isLost } from './derived.js';
import { fileMethods } from './files-methods.js';
import { historyMethods, noteCheckpoint } from './history-methods.js';
import { assertRecorded, momentNamed } from './moments.js';
import { projectMethods } from './projects-methods.js';
import type { IndexCall, IndexContext, IndexMethods } from './types.js';
import { Forgetting } from './forgetting.js';
import { Upkeep } from './upkeep.js';

const unwatched = { freshness: 'unknown', pending: 0, reason: 'file_watcher is not running' } as const;

/** A backup before a new schema reads and writes all of it: an hour (ms) is for hundreds of gigabytes. */
const startMaxMs = 3_600_000;

/** How often (ms) a locked index is looked at in a start, whose timeout ends it. */
const lockedRetryMs = 50;

/** Somebody who removes the index while it is open is told within so long (ms). */
const placeCheckMs = 2_000;

/** Answers every request that reads the index, and the small writes, so that the supervisor never blocks. */
export async function openIndexService(host: WorkerHost): Promise<WorkerBody<'index_service'>> {
  try {
    return await openService(host);
  } catch (error) {
    // Whichever page it is: a start that meets it says so, and is not tried again and again.
    throw isCorrupt(error) ? damaged(host.indexPath, error) : error;
  }
}

async function openService(host: WorkerHost): Promise<WorkerBody<'index_service'>> {
  await settleReplacing(host.indexPath);
  // What was being purged may be in a copy that a process had half made.
  await removeLeftOvers(backupFolder(host.indexPath)).catch(() => undefined);
  assertNotGone(host.indexPath);
  await assertSameIndex(host.indexPath);
  if (await unlessBusy(host, () => isOlder(host.indexPath))) {
    const path = await host.longStart(
      startMaxMs,
      async () => await backupBeforeMigration(host.indexPath, Date.now(), (work) => work()),
    );
    if (path !== null)
      host.log('info', `the index is of an older version, and is backed up before it is changed: ${path}`);
  }
  const index = IndexDatabase.open(host.indexPath);
  index.pace = paceOf(host.start.config);
  if (!canGiveBack(index)) {
    await host
      .longStart(startMaxMs, async () => await Promise.resolve(compactWhole(index)))
      .catch((error: unknown) => {
        host.log('warn', `free pages of the index cannot be given back yet: ${causeInWords(error)}`);
      });
  }
  removeOrphans(index.path, new Set(listProjects(index).map(({ id }) => id)));
  await noteIdentity(index);
  const { worker_memory_max_bytes: memoryMaxBytes } = host.start.config;
  const extractor = extractingWith(createParser({ memoryMaxBytes: parseMemoryWithin(memoryMaxBytes) }));
  const inHand = await InHand.open(index, host.start.stateDir, Date.now());
  const derived = new DerivedDatabases(index);
  const parsing = { extractor, derived, inHand };
  const readers = new DerivedReaders(index.path);
  const context: IndexContext = { index, readers, host };
  const forgetting = new Forgetting(index, host);
  const upkeep = new Upkeep(index, host, forgetting);
  index.onDamage = () => upkeep.noteDamage();
  const methods: IndexMethods = {
    ...projectMethods(context, parsing),
    ...fileMethods(context, parsing),
    ...historyMethods(context),
    ...forgetting.methods(),
    ...codeMethods(context),
    ...databaseMethods(context, upkeep),
  };
  return {
    info: { unfinishedRuns: unfinishedRuns(index).map(({ runId }) => runId) },
    requests: {
      ...answering(methods, context, () => upkeep.noteDamage()),
      resolve_project({ params }) {
        assertInPlace(index);
        const { id, rootDir } = requireProject(index, params);
        return { projectId: id, rootDir };
      },
      resolve_repair({ params }) {
        assertInPlace(index);
        const projects = projectsInScope(index, params);
        return projects.map(({ id, rootDir }) => ({ projectId: id, rootDir }));
      },
      // The dry run of repair_database only reads, and this process is there already.
      plan_repair: async ({ params }, call) => await planDatabase(index.path, params, call),
      async note_checkpoint({ params }) {
        assertInPlace(index);
        return await noteCheckpoint(index, params.project_id, params.label);
      },
      save_open: async ({ params }, call) => await saveOpen(index, params.to, call),
      async resolve_rewind({ params: { to, ...reference } }) {
        assertInPlace(index);
        const project = requireProject(index, reference);
        const at = await momentNamed(index, project, 'to', to);
        assertRecorded(index, project, at);
        return { projectId: project.id, rootDir: project.rootDir, at };
      },
      plan_rewind: async ({ params }, call) => await planRewindOf(index.path, params, call),
      needs_rewind: async ({ params }, call) => await needsRewind(index, params, call),
      async plan_purge({ params }, call) {
        assertInPlace(index);
        return await planPurgeOf(index.path, params, call);
      },
      async note_rewind({ params }) {
        assertInPlace(index);
        await noteRewind(index, params);
        return null;
      },
      plan_undo: async ({ params }, call) => await planUndoOf(index.path, params.run_id, call),
      async note_undo({ params }) {
        assertInPlace(index);
        await noteUndo(index, params);
        return null;
      },
    },
    onHeld: (held) => forgetting.hold(held),
    async run() {
      const tell = async (): Promise<void> => {
        for (let told: string | null = null; !host.signal.aborted; await sleep(placeCheckMs, host.signal)) {
          const problem = index.placeProblem;
          const reasons = problem === null ? upkeep.troubles : [`${problem.message} ${problem.hint}`];
          const reason = reasons.length === 0 ? null : reasons.join('; ');
          if (reason !== told) host.send({ type: 'trouble', reason });
          told = reason;
        }
      };
      await Promise.all([tell(), upkeep.run()]);
    },
    async close() {
      extractor.close();
      inHand.close();
      readers.close();
      await derived.close();
      index.close();
    },
  };
}

/** A new index where one was would be empty, and called true. */
function assertNotGone(indexPath: string): void {
  if (existsSync(indexPath)) return;
  const isKnown = notedIdentity(indexPath) !== null;
  if (!isKnown && backupsBeside(indexPath).length === 0) return;
  throw new CodekeepError(
    'DATABASE_CORRUPT',
    `${indexPath} is damaged: it is gone, and ${isKnown ? 'index.id, which says that there was one, is' : 'its backups are'} there.`,
    '"codekeep rebuild" makes a new one of the backups, the versions and the disk. To begin anew, remove index.id and the folder backups, too.',
  );
}

/** What is written to a file that somebody removed ends with this process. */
function assertInPlace(index: IndexDatabase): void {
  const problem = index.placeProblem;
  if (problem !== null) throw problem;
}

/** A file that somebody removed lives on as long as it is open here: it is the last copy of all that is newer than a backup. */
async function saveOpen(
  index: IndexDatabase,
  to: 'backups' | 'replaced',
  { signal, progress }: RequestCall,
): Promise<{ problem: string | null; path: string | null }> {
  const problem = index.placeProblem?.message ?? null;
  if (problem === null) return { problem, path: null };
  progress('save', 0, 0);
  try {
    if (to === 'backups') return { problem, path: (await backup(index, Date.now(), { signal })).path };
    const path = replacedPath(index.path, Date.now());
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return { problem, path: (await backup(index, Date.now(), { to: path, signal })).path };
  } catch (error) {
    // Emptied, and not removed: there is nothing that could be saved.
    if (isCorrupt(error)) return { problem, path: null };
    throw error;
  }
}

/** Tries again as long as somebody has the index locked. */
async function unlessBusy<T>(host: WorkerHost, look: () => T): Promise<T> {
  for (;;) {
    host.signal.throwIfAborted();
    try {
      return look();
    } catch (error) {
      if (!isBusy(error)) throw error;
      await sleep(lockedRetryMs, host.signal);
    }
  }
}

/** Before the watcher has noticed it. */
const rebuilding = { freshness: 'rebuilding', reason: 'what search knows of it is made again' } as const;

/** Hands each method its params and what the watcher last said, as far as it holds. */
function answering(
  methods: IndexMethods,
  context: IndexContext,
  onDamage: () => void,
): Pick<RequestHandlers<'index_service'>, IndexMethod> {
  const handlers = Object.entries(methods).map(([name, method]) => {
    // Every entry takes the params of its own name; a list of them all has no type that says so.
    const answer = method as (params: unknown, call: IndexCall) => unknown;
    const handler = async (
      { params, isWrite, freshness }: IndexQuestion<unknown>,
      { signal }: RequestCall,
    ): Promise<unknown> => {
      try {
        if (isWrite) assertInPlace(context.index);
        const freshnessOf: IndexCall['freshnessOf'] = (projectId) => {
          const said = freshness[projectId] ?? unwatched;
          const problem = context.index.placeProblem;
          if (problem !== null) return { ...said, freshness: 'unknown', reason: problem.message };
          return said.freshness === 'fresh' && isLost(context, projectId) ? { ...said, ...rebuilding } : said;
        };
        return await answer(params, { signal, freshnessOf });
      } catch (error) {
        if (isCorrupt(error)) onDamage();
        throw error;
      }
    };
    return [name, handler];
  });
  return Object.fromEntries(handlers) as Pick<RequestHandlers<'index_service'>, IndexMethod>;
}
