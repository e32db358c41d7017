import assert from 'node:assert/strict';
import { CodekeepError } from '#src/rpc/client/client.js';
import type { RepairReport } from '../harness/daemon.js';
import { treeHash } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';
import { command, type ModelCommand } from './command.js';
import { answered, killDaemon, patienceMs, settle, startDaemon } from './daemon-commands.js';
import type { Model } from './model.js';
import { adoptRestored } from './reachability.js';
import type { Row, World } from './world.js';

/** Repairs, and what they may and must do by what is in the index just before. */

/** Far enough back for everything that a run of commands marks. */
const longAgo = '1h';

type Since = typeof longAgo | null;
const words = (since: Since): string => (since === null ? '' : ` --deleted-since ${since}`);

export function repair(since: Since): ModelCommand {
  return command({
    name: `repair${words(since)}`,
    possible: (model) => model.isUp,
    async act(model, world) {
      const before = world.rows();
      const left = leftByGit(model, world, before);
      const answer = await answered(model, world.daemon.repair(paramsOf(world, since)));
      assertRepaired(model, world, { before, left, since });
      return answer instanceof CodekeepError ? answer.code : wordsOf(answer);
    },
  });
}

function paramsOf(world: World, since: Since): { project_id: string; deleted_since?: string } {
  return since === null ? world.id : { ...world.id, deleted_since: since };
}

interface Before {
  before: readonly Row[];
  left: ReadonlySet<string>;
  since: Since;
}

/** Rows that git has no more since somebody compared the last time: they are no losses. */
function leftByGit(model: Model, world: World, rows: readonly Row[]): Set<string> {
  const known = world.knownHead();
  const head = world.headNow();
  if (head === known) return new Set(model.leftLately);
  const tracked = head === null ? new Set<string>() : world.tracked();
  const left = rows.filter((row) => row.tracked === 1 && !tracked.has(row.path)).map(({ path }) => path);
  return new Set([...model.leftLately, ...left]);
}

function assertRepaired(model: Model, world: World, { before, left, since }: Before): void {
  const rows = new Map(before.map((row) => [row.path, row]));
  const hidden = model.away;
  const leftBefore = new Set(model.leftByGit);
  const added = adoptRestored(model, world).filter((path) => rows.has(path));
  for (const path of added) {
    const row = rows.get(path);
    assert.ok(hidden === null || !model.isHidden(path), `${path} was restored where its mount is away`);
    assert.ok(!left.has(path) && !leftBefore.has(path), `${path} was left by git, and came back`);
    if (row?.deleted === 1)
      assert.ok(since !== null && isWatchersMark(row), `${path} was deleted (${row.cause}), and came back`);
    else assert.ok(!model.isWatched || since !== null, `a watcher saw ${path} go, and it came back`);
  }
  if (model.isFull) return;
  const after = new Map(world.rows().map((row) => [row.path, row]));
  // A watcher that is stopped between the copy and the mark has left the sign of a deletion.
  const isHalfNoted = ({ path }: Row): boolean =>
    model.seenGoing.has(path) && after.get(path)?.cause === 'repair';
  // What was indexed from a file system that did not belong there is with that, for all anybody knows.
  const isElsewhere = ({ path }: Row): boolean => model.strange.has(path);
  const missing = model.isWatched
    ? []
    : before.filter((row) => isLost(row) && !left.has(row.path) && !isHalfNoted(row) && !isElsewhere(row));
  const wanted =
    since === null ? [] : [...after.values()].filter((row) => row.deleted === 1 && isWatchersMark(row));
  const owed = [...missing, ...wanted].map(({ path }) => path);
  const notBack = owed.filter((path) => model.isFree(path) && !model.isHidden(path));
  assert.deepEqual(notBack, [], 'what is lost comes back');
}

function isWatchersMark({ cause }: Row): boolean {
  return cause === 'seen' || cause === 'unseen';
}

function isLost({ deleted, ignored }: Row): boolean {
  return deleted === 0 && ignored === 0;
}

/** What a report says was done, and what could not be. */
function planOf(report: RepairReport): Record<string, unknown> {
  const { failed, ...totals } = report.totals;
  assert.equal(failed ?? 0, 0, 'nothing of the plan fails');
  return {
    unmarked: report.files_in_project_restored,
    marked: report.files_in_versions_marked_deleted,
    restored: report.files_restored_from_cst,
    unrestorable: report.unrestorable,
    conflicts: report.conflicts,
    unknown: report.unknown,
    totals,
  };
}

function wordsOf(report: RepairReport): string {
  const { files_restored_from_cst: restored, conflicts, unknown, unrestorable, errors } = report;
  const paths = restored.map(({ path }) => path).join(' ');
  return `(${paths}; ${conflicts.length} conflicts, ${unknown.length} unknown, ${unrestorable.length} unrestorable, ${errors.length} errors)`;
}

/** A dry run writes nothing, and the run that follows it does what it said. */
export function dryRunThenRepair(since: Since): ModelCommand {
  return command({
    name: `dry run and repair${words(since)}`,
    possible: (model) => model.isUp && !model.isFull,
    async act(model, world) {
      if (model.isWatched) await settle(model, world);
      const before = world.rows();
      const left = leftByGit(model, world, before);
      const snapshot = (): unknown => [
        treeHash(world.root),
        treeHash(world.versions),
        world.rows(),
        [...world.contents()].sort(),
      ];
      const still = snapshot();
      const params = paramsOf(world, since);
      const dry = await world.daemon.repair({ ...params, dry_run: true });
      assert.deepEqual(snapshot(), still, 'a dry run writes nothing');
      const run = await world.daemon.repair(params);
      assert.deepEqual(planOf(run), planOf(dry), 'the run does what the dry run said');
      assertRepaired(model, world, { before, left, since });
      return wordsOf(run);
    },
  });
}

/** One round of the background worker, by which a loss comes back where nobody watches. */
export function backgroundRound(): ModelCommand {
  return command({
    name: 'a round of the repair worker',
    possible: (model) => model.isUp && !model.isFull,
    async act(model, world) {
      const before = world.rows();
      const left = leftByGit(model, world, before);
      const { daemon } = world;
      await daemon.call('start_repair_worker', { ...world.id, poll_interval: 3_600 });
      const { last_round, halted_reason } = await waitFor(
        'a round',
        async () => {
          const status = await daemon.call('repair_worker_status');
          return status.rounds > 0 && status;
        },
        patienceMs,
      );
      const { success } = await daemon.call('stop_repair_worker');
      assert.equal(success, true);
      assertRepaired(model, world, { before, left, since: null });
      return `${JSON.stringify(last_round)} ${halted_reason ?? ''}`;
    },
  });
}

/** The daemon is killed while it repairs, and started again; the start finishes what was begun. */
export function cutOffRepair(since: Since): ModelCommand {
  return command({
    name: `repair${words(since)}, kill -9, start`,
    possible: (model) => model.isUp && !model.isFull && model.away === null,
    async act(model, world) {
      const before = world.rows();
      const deleted = new Set(
        before
          .filter((row) => row.deleted === 1 && !(since !== null && isWatchersMark(row)))
          .map(({ path }) => path),
      );
      const repairing = world.daemon.repair(paramsOf(world, since)).then(
        () => 'ended',
        () => 'cut off',
      );
      const begun = waitFor(
        'the repair begins',
        async () => (await world.daemon.call('health')).repair !== null,
      ).then(
        () => 'runs',
        () => 'never',
      );
      await Promise.race([begun, repairing]);
      await killDaemon(model, world);
      const how = await repairing;
      await startDaemon(model, world);
      await settleStarted(world);
      const back = adoptRestored(model, world).filter((path) => deleted.has(path));
      assert.deepEqual(back, [], 'nothing comes back that was not to');
      return how;
    },
  });
}

/** A start is complete, with what it had to finish, when a comparison is answered. */
async function settleStarted(world: World): Promise<void> {
  await world.daemon.call('update_indexes', world.id);
}
