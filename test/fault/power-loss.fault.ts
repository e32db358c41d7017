/**
 * The power goes: an ext4 of its own is shut down without writing what it holds in memory back, by the ioctl that its own tests
 * use (EXT4_IOC_SHUTDOWN with NOLOGFLUSH), and mounted again. A process that is killed does not show this: what it
 * wrote stays in the page cache.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { atEnd, temporaryFolder } from '../harness/folder.js';
import { TestProject } from '../reconcile/project-fixture.js';
import { hasStrace } from '../harness/strace.js';
import { prepared, runIn, tried, wasKilled } from './disturb.js';
import { type OperationName, operationNames, type World } from './operations.js';

if (!hasStrace()) throw new Error('strace is not installed: these tests cannot run without it');

const shutDown =
  'import fcntl, os, struct, sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))';

class Disk {
  readonly #image: string;
  readonly #folder: string;

  constructor(t: Pick<TestContext, 'after'>) {
    const folder = temporaryFolder(t);
    this.#image = join(folder, 'disk.img');
    this.#folder = join(folder, 'disk');
    mkdirSync(this.#folder);
    execFileSync('truncate', ['--size=96M', this.#image]);
    execFileSync('mkfs.ext4', ['-q', '-F', this.#image]);
    this.#mount();
    atEnd(t, () => execFileSync('umount', ['--lazy', this.#folder]));
  }

  #mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.#folder]);
  }

  /** What is made in temporary folders while `work` runs lies on this disk. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    const before = process.env['TMPDIR'];
    process.env['TMPDIR'] = this.#folder;
    try {
      return await work();
    } finally {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    }
  }

  sync(): void {
    execFileSync('sync', ['--file-system', this.#folder]);
  }

  losePower(): void {
    execFileSync('python3', ['-c', shutDown, this.#folder]);
    execFileSync('umount', [this.#folder]);
    this.#mount();
  }
}

/**
 * A world on a disk that is about to lose its power; nobody has its index open.
 * @param isSplit the index is on another disk, so that what is written to it makes nothing durable here
 */
async function worldOn(
  t: TestContext,
  name: OperationName,
  isSplit = false,
): Promise<{ disk: Disk; world: World }> {
  // What an undisturbed one comes to is found out where nothing is lost.
  await prepared(t, name);
  const disk = new Disk(t);
  TestProject.stateRoot = isSplit ? temporaryFolder(t) : null;
  const world = await disk.hold(async () => await prepared(t, name));
  TestProject.stateRoot = null;
  world.project.close();
  disk.sync();
  return { disk, world };
}

const openedByWorld: ReadonlySet<OperationName> = new Set(['rebuild', 'restore', 'migration']);

async function looked(name: OperationName, world: World, look: () => Promise<void>): Promise<void> {
  // To open an older one would change it, and whoever looks at one that is replaced opens a copy.
  if (openedByWorld.has(name)) return await look();
  world.project.reopen();
  try {
    await look();
  } finally {
    world.project.close();
  }
}

for (const name of operationNames)
  test(`what a ${name} has acknowledged is there after a power loss`, async (t) => {
    const { disk, world } = await worldOn(t, name);
    assert.equal((await runIn(name, world, null)).code, 0);
    disk.losePower();
    tried.powerLosses += 1;
    await looked(name, world, async () => await world.assertDone(t));
  });

for (const name of ['repair', 'undo', 'delete'] as const)
  test(`what a ${name} has acknowledged is there after a power loss of the project's disk alone`, async (t) => {
    const { disk, world } = await worldOn(t, name, true);
    assert.equal((await runIn(name, world, null)).code, 0);
    disk.losePower();
    tried.powerLosses += 1;
    await looked(name, world, async () => await world.assertDone(t));
  });

const points =
  process.env['CODEKEEP_FAULTS'] === 'all' ? [1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36] : [1, 3, 8, 20];

for (const name of operationNames)
  test(`a ${name} in the middle of which the power goes loses nothing, and is finished`, async (t) => {
    let reached = 0;
    for (const nth of points) {
      const { disk, world } = await worldOn(t, name);
      const isKilled = wasKilled(await runIn(name, world, `fsync,fdatasync:signal=KILL:when=${nth}`));
      disk.losePower();
      tried.powerLosses += 1;
      await looked(name, world, async () => await world.assertNothingLost());
      assert.equal((await runIn(name, world, null)).code, 0);
      await looked(name, world, async () => await world.assertDone(t));
      if (!isKilled) break;
      reached += 1;
    }
    t.diagnostic(`${reached} points`);
    assert.ok(reached > 0);
  });

after(() => console.log(`power losses: ${tried.powerLosses}`));
