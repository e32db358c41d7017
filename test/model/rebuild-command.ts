import assert from 'node:assert/strict';
import { closeSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { command, type ModelCommand } from './command.js';
import { watcherIsReady } from './daemon-commands.js';
import type { Model } from './model.js';
import { adoptRestored } from './reachability.js';
import type { World } from './world.js';

/** What is said where a later state may be lost, or what nobody can name. */
const perhaps = /it is kept as |may be lost, and cannot be named|^\d+ checkpoints, /u;

const pageBytes = 4_096;

/**
 * Pages of the index are damaged while the daemon is down, and it is made anew. There is a backup of just before, so that
 * nothing may be lost.
 * @param first of the damaged pages, and how many follow in steps; 0: none is damaged
 */
export function rebuild(first: number, count: number): ModelCommand {
  return command({
    name: 'rebuild_database',
    possible: (model) => model.isUp && !model.isFull && model.away === null,
    async act(model, world) {
      const isDamaged = count > 0;
      world.daemon.mayLogErrors = true;
      if (isDamaged) {
        await world.daemon.call('backup_database');
        await world.daemon.stop();
        damage(join(world.service.stateDir, 'index.db'), first, count);
        await world.service.restart();
      }
      const marks = isDamaged ? null : marksOf(world);
      const result = await world.daemon.call('rebuild_database');
      assert.ok('lost' in result);
      // The backup has all of it, which a rebuild cannot know.
      const surely = result.lost.filter(({ reason }) => !(isDamaged && perhaps.test(reason)));
      assert.deepEqual(surely, [], 'nothing is lost');
      // The file system of the state directory is small.
      rmSync(join(world.service.stateDir, 'replaced'), { recursive: true });
      if (isDamaged || model.isWatched) await watcherIsReady(world);
      if (isDamaged) model.watch();
      assert.deepEqual(adoptRestored(model, world), [], 'nothing comes into the project');
      await forgetMoments(model, world, isDamaged);
      const now = marksOf(world);
      // Whoever was told of nothing yet finds more; what was known stays known.
      for (const [path, mark] of marks ?? [])
        if (mark === 'deleted' && !model.tree.has(path)) assert.equal(now.get(path), mark, path);
      return isDamaged ? `(${count} pages from ${first})` : '(sound)';
    },
  });
}

/** Where rows of the history may be lost, no checkpoint is kept. */
async function forgetMoments(model: Model, world: World, isDamaged: boolean): Promise<void> {
  const { checkpoints } = await world.daemon.call('list_checkpoints', { ...world.id, limit: 1_000 });
  const kept = new Set(checkpoints.map(({ checkpoint_id }) => checkpoint_id));
  const lost = [...model.moments.keys()].filter((id) => !kept.has(id));
  assert.ok(isDamaged || lost.length === 0, 'a rebuild of what is sound keeps all checkpoints');
  for (const id of lost) model.moments.delete(id);
}

function marksOf(world: World): Map<string, string> {
  return new Map(world.rows().map(({ path, deleted }) => [path, deleted === 1 ? 'deleted' : 'there']));
}

function damage(path: string, first: number, count: number): void {
  const pages = statSync(path).size / pageBytes;
  const fd = openSync(path, 'r+');
  for (let number = 0; number < count; number += 1)
    writeSync(fd, Buffer.alloc(pageBytes, 0x5a), 0, pageBytes, ((first + number * 7) % pages) * pageBytes);
  closeSync(fd);
}
