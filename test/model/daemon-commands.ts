import assert from 'node:assert/strict';
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { CodekeepError } from '#src/rpc/client/client.js';
import { waitFor, within } from '../harness/waiting.js';
import { command, type ModelCommand, type Pick, picked } from './command.js';
import type { Model } from './model.js';
import { adoptRestored, assertListed, hasHiddenRows, listed } from './reachability.js';
import type { World } from './world.js';

/** What somebody asks of the daemon, and what befalls it. Only repairs have a file of their own. */

/** How long anything may take until it is seen (ms), on a machine that has other work. */
export const patienceMs = 30_000;

const isUp = (model: Model): boolean => model.isUp;
const isWell = (model: Model): boolean => model.isUp && !model.isFull;

/** The call's result, or the refusal that is allowed while the disk is full or a mount is away. */
export async function answered<T>(model: Model, call: Promise<T>): Promise<T | CodekeepError> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof CodekeepError && (model.isFull || model.away !== null)) return error;
    throw error;
  }
}

/** Fresh is proven by looking; with a mount away it is never said. */
export function waitUntilFresh(): ModelCommand {
  return command({
    name: 'wait_until_fresh',
    possible: isUp,
    act: async (model, world) => await settle(model, world),
  });
}

export async function settle(model: Model, world: World): Promise<string> {
  const call = world.daemon.call('wait_until_fresh', { ...world.id, timeout: patienceMs / 1_000 });
  const answer = await answered(model, call);
  if (answer instanceof CodekeepError) return answer.code;
  const { freshness } = answer;
  if (model.away !== null && hasHiddenRows(model, world)) {
    assert.notEqual(freshness, 'fresh', 'a mount is away');
    model.away.isNoticed = true;
  } else if (!model.isFull && !hasStrangeRows(model, world)) assert.equal(freshness, 'fresh');
  if (freshness !== 'fresh') return freshness;
  await assertListed(model, world);
  model.witness();
  return freshness;
}

/** What was indexed from a file system that did not belong there went with it, and is not known to be gone. */
export function hasStrangeRows(model: Model, world: World): boolean {
  return world.rows().some(
    ({ path, deleted }) =>
      // What rules ignored when it went may be content by now.
      deleted === 0 && model.isContent(path) && model.strange.has(path) && !model.tree.has(path),
  );
}

/** Events alone make the index follow; nobody asks for a comparison. */
export function follow(): ModelCommand {
  return command({
    name: 'follow',
    possible: (model) => isWell(model) && model.isWatched && model.away === null && model.strange.size === 0,
    async act(model, world) {
      let seen: Record<string, string> = {};
      await waitFor(
        'the watcher follows by itself',
        async () => {
          const { freshness } = await world.daemon.call('get_project_status', world.id);
          seen = model.withoutHidden(await listed(world));
          return freshness === 'fresh' && isEqual(seen, model.listing());
        },
        patienceMs,
      ).catch(() => undefined);
      assert.deepEqual(seen, model.listing(), 'the watcher follows by itself');
      model.witness();
      return '';
    },
  });
}

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** With a mount away, a watcher comes to say that it is not fresh, also where nobody asks for a comparison. */
export function noticeAway(): ModelCommand {
  return command({
    name: 'notice',
    possible: (model) => isWell(model) && model.isWatched && model.away?.point === '',
    async act(model, world) {
      if (model.away === null || !hasHiddenRows(model, world)) return '(nothing is hidden)';
      const seen = await waitFor(
        'the watcher notices that the root is away',
        async () => {
          const { freshness } = await world.daemon.call('get_project_status', world.id);
          return freshness !== 'fresh' && freshness;
        },
        patienceMs,
      );
      model.away.isNoticed = true;
      return seen;
    },
  });
}

export function stopWatcher(): ModelCommand {
  return command({
    name: 'stop_worker file_watcher',
    possible: (model) => isUp(model) && model.isWatched,
    async act(model, world) {
      await world.daemon.stopWorkers('file_watcher');
      model.isWatched = false;
      return '';
    },
  });
}

export function startWatcher(): ModelCommand {
  return command({
    name: 'start_worker file_watcher',
    possible: (model) => isWell(model) && !model.isWatched,
    async act(model, world) {
      await world.daemon.call('start_worker', { worker_type: 'file_watcher' });
      model.watch();
      return '';
    },
  });
}

export function killWatcher(): ModelCommand {
  return command({
    name: 'kill -9 file_watcher',
    possible: (model) => isWell(model) && model.isWatched,
    async act(_model, world) {
      const { daemon } = world;
      daemon.mayLogErrors = true;
      const pid = await waitFor('a watcher', async () => await daemon.workerPid('file_watcher'));
      process.kill(pid, 'SIGKILL');
      await waitFor(
        'another watcher',
        async () => {
          const { workers } = await daemon.call('health');
          // After many such kills it is started at leisure, or where somebody asks for it.
          if (workers['file_watcher'] === 'failed')
            await daemon.call('start_worker', { worker_type: 'file_watcher' });
          const now = await daemon.workerPid('file_watcher');
          return workers['file_watcher'] === 'ready' && now !== null && now !== pid;
        },
        patienceMs,
      );
      return '';
    },
  });
}

export async function killDaemon(model: Model, world: World): Promise<void> {
  world.daemon.mayLogErrors = true;
  world.daemon.child.kill('SIGKILL');
  await within('the daemon ends', world.daemon.exited, patienceMs);
  model.isUp = false;
}

export async function startDaemon(model: Model, world: World): Promise<void> {
  await world.service.restart();
  await watcherIsReady(world);
  model.isUp = true;
  model.watch();
}

export async function watcherIsReady(world: World): Promise<void> {
  const isReady = async (): Promise<boolean> =>
    (await world.daemon.call('health')).workers['file_watcher'] === 'ready';
  await waitFor('the watcher is ready', isReady, patienceMs);
}

export function crash(): ModelCommand {
  return command({
    name: 'kill -9 the daemon',
    possible: isWell,
    async act(model, world) {
      await killDaemon(model, world);
      return '';
    },
  });
}

export function restart(): ModelCommand {
  return command({
    name: 'start the daemon',
    possible: (model) => !model.isUp,
    async act(model, world) {
      await startDaemon(model, world);
      return '';
    },
  });
}

/** All that is left on the state directory's file system is taken. */
export function fillDisk(): ModelCommand {
  return command({
    name: 'fill the disk',
    possible: (model) => model.canMount && isWell(model),
    act(model, world) {
      world.daemon.mayLogErrors = true;
      fill(ballastOf(world));
      model.isFull = true;
      return '';
    },
  });
}

export function freeDisk(): ModelCommand {
  return command({
    name: 'free the disk',
    possible: (model) => model.isFull,
    act(model, world) {
      unlinkSync(ballastOf(world));
      model.isFull = false;
      return '';
    },
  });
}

function ballastOf(world: World): string {
  return join(world.service.stateDir, 'ballast');
}

function fill(path: string): void {
  const fd = openSync(path, 'w');
  try {
    for (let block = Buffer.alloc(1024 ** 2); block.length > 0;) {
      try {
        if (writeSync(fd, block) < block.length) block = block.subarray(0, block.length / 2);
      } catch {
        block = block.length < 4_096 ? Buffer.alloc(0) : block.subarray(0, block.length / 2);
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** Goes into versions, and nowhere else. */
export function deleteFile(pick: Pick): ModelCommand {
  return command({
    name: 'delete_file',
    possible: (model) => isWell(model) && model.away === null && model.paths('file', 'symlink').length > 0,
    async act(model, world) {
      const path = picked(model.paths('file', 'symlink'), pick);
      await world.daemon.call('delete_file', { ...world.id, path });
      model.take(path);
      const row = world.rows().find((one) => one.path === path);
      assert.deepEqual([row?.deleted, row?.cause], [1, 'asked']);
      return path;
    },
  });
}

/** One deleted file comes back where its place is free; else nothing happens. */
export function restoreDeleted(pick: Pick): ModelCommand {
  return command({
    name: 'restore_deleted_files',
    possible: (model) => isWell(model) && model.away === null,
    async act(model, world) {
      const deleted = await world.daemon.paths(world.project.project_id, true);
      if (deleted.length === 0) return '(none)';
      const path = picked(deleted, pick);
      return await restoreOne(model, world, path);
    },
  });
}

export async function restoreOne(model: Model, world: World, path: string): Promise<string> {
  const isFree = model.isFree(path);
  const call = world.daemon.call('restore_deleted_files', { ...world.id, paths: [path] });
  const answer = await call.catch((error: unknown) => error);
  const added = adoptRestored(model, world);
  if (!isFree) {
    assert.ok(answer instanceof CodekeepError, `${path} is not free, and was restored`);
    assert.deepEqual(added, [], 'nothing is placed where one cannot be');
    return `${path} (${answer.code})`;
  }
  if (answer instanceof Error) throw answer;
  assert.ok(model.tree.has(path), `${path} was restored`);
  return path;
}
