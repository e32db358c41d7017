import { writeFileSync } from 'node:fs';
import { command, type ModelCommand } from './command.js';
import type { Model } from './model.js';
import { mountPoint, scan, type World } from './world.js';

/** File systems that go and come back: a nested one, and the one that the root is. */

/**
 * Takes a mount away, and puts another one in its place where `swapped`: an empty one, or one with a file that the project
 * does not know.
 */
export function takeMount(point: '' | typeof mountPoint, swapped: 'empty' | 'stranger' | null): ModelCommand {
  const place = point === '' ? 'the root' : point;
  return command({
    name: swapped === null ? `umount ${place}` : `swap ${place} (${swapped})`,
    possible: (model) => model.canMount && model.away === null && (point === '' || model.tree.has(point)),
    act(model, world) {
      if (!world.disks.has(point)) return '(no mount)';
      const deleted = world.rows().filter((row) => row.deleted === 1);
      model.deletedBefore = new Set(deleted.map(({ path }) => path));
      if (point === '') world.detach(mountPoint);
      world.detach(point);
      const hidden = new Map(
        [...model.tree].filter(([path]) => point === '' || path.startsWith(`${point}/`)),
      );
      model.away = { point, hidden, isNoticed: false };
      if (swapped !== null) world.attach(point, null);
      if (swapped === 'stranger') {
        const path = point === '' ? 'stranger.py' : `${point}/stranger.py`;
        writeFileSync(world.at(path), 'stranger = 1\n');
        model.strange.add(path);
      }
      lookAgain(model, world);
      return '';
    },
  });
}

/** What the user sees now; the folder that a mount was at has what lies below. */
function lookAgain(model: Model, world: World): void {
  model.tree = scan(world.root);
  model.note();
}

export function bringMountBack(): ModelCommand {
  return command({
    name: 'mount what was there',
    possible: (model) => model.away !== null,
    act(model, world) {
      bringBack(model, world);
      return '';
    },
  });
}

export function bringBack(model: Model, world: World): void {
  const { away } = model;
  if (away === null) return;
  world.restoreMounts();
  model.away = null;
  lookAgain(model, world);
}
