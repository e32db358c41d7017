import * as fc from 'fast-check';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ModelCommand, tally } from './command.js';
import * as asked from './daemon-commands.js';
import * as edits from './edit-commands.js';
import { checkout, commitAll, type GitFolder } from './git-commands.js';
import { Model } from './model.js';
import { bringBack, bringMountBack, takeMount } from './mount-commands.js';
import { assertPromises } from './reachability.js';
import { rebuild } from './rebuild-command.js';
import * as repairs from './repair-commands.js';
import * as rewinds from './rewind-commands.js';
import { undoLast } from './undo-command.js';
import { mountPoint, mountRefusal, scan, Service, World } from './world.js';

/** What a run begins with: two folders deep, two files alike, one private. */
const firstFiles: Readonly<Record<string, { text: string; mode: number }>> = {
  'a.py': { text: 'a = 1\n', mode: 0o644 },
  'b.py': { text: 'def b():\n    return "ä"\n', mode: 0o600 },
  'd/a.py': { text: 'a = 1\n', mode: 0o755 },
  'd/e/c.txt': { text: 'no final newline\r\n\r', mode: 0o640 },
  [`${mountPoint}/m.py`]: { text: 'm = 1\n', mode: 0o644 },
};

function prepare(root: string): void {
  for (const [path, { text, mode }] of Object.entries(firstFiles)) {
    const absolute = join(root, path);
    mkdirSync(dirname(absolute), { recursive: true });
    writeFileSync(absolute, text);
    chmodSync(absolute, mode);
  }
}

const pick = fc.nat(99);
const fileName = fc.constantFrom('a.py', 'b.py', 'c.txt', 'n.bin', 'ä b.py');
const folderName = fc.constantFrom('d', 'e', 'f');
const anyName = fc.oneof(fileName, folderName);
const fileMode = fc.constantFrom(0o644, 0o600, 0o755, 0o444);
const folderMode = fc.constantFrom(0o755, 0o700, 0o775);
const content = fc.oneof(
  fc.nat(9_999).map((number) => Buffer.from(`value = ${number}\n`)),
  fc
    .constantFrom('', 'a = 1\n', '\u0000\u0001binary', 'x = 1\r\ny = 2\r', '\ufeffz = 1')
    .map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);
const what = fc.constantFrom('file' as const, 'folder' as const);
const since = fc.constantFrom(null, '1h' as const);
const always = (make: () => ModelCommand): fc.Arbitrary<ModelCommand> => fc.constant(null).map(make);

/** One of these each time; what stands twice comes twice as often. */
const everyCommand: fc.Arbitrary<ModelCommand>[] = [
  fc
    .tuple(pick, fc.constantFrom<edits.EditKind[]>('in place', 'by rename', 'append', 'stealth'), content)
    .map((args) => edits.editFile(...args)),
  fc
    .tuple(pick, fc.constantFrom<edits.EditKind[]>('in place', 'by rename', 'append', 'stealth'), content)
    .map((args) => edits.editFile(...args)),
  fc.tuple(pick, fileName, content, fileMode).map((args) => edits.createFile(...args)),
  fc.tuple(pick, folderName, folderMode).map((args) => edits.makeFolder(...args)),
  pick.map(edits.removeFile),
  pick.map(edits.removeFile),
  pick.map(edits.removeFolder),
  fc.tuple(what, pick, pick, anyName).map((args) => edits.rename(...args)),
  fc.tuple(what, pick).map((args) => edits.trash(...args)),
  fc.tuple(pick, fc.oneof(fileMode, folderMode)).map((args) => edits.chmod(...args)),
  fc
    .tuple(pick, anyName, fc.constantFrom('a.py', 'd', '../gone', '/etc'))
    .map((args) => edits.makeSymlink(...args)),
  fc.tuple(pick, pick, fileName).map((args) => edits.hardLink(...args)),
  fc.constantFrom('*', 'a.py', 'd', null).map(edits.setRule),
  fc.constantFrom<GitFolder[]>('', mountPoint).map(commitAll),
  fc.constantFrom('main' as const, 'other' as const).map(checkout),
  fc.constantFrom('main' as const, 'other' as const).map(checkout),
  fc
    .tuple(
      fc.constantFrom('' as const, mountPoint),
      fc.constantFrom(null, 'empty' as const, 'stranger' as const),
    )
    .map((args) => takeMount(...args)),
  always(bringMountBack),
  always(asked.waitUntilFresh),
  always(asked.waitUntilFresh),
  always(asked.follow),
  always(asked.noticeAway),
  pick.map(asked.deleteFile),
  pick.map(asked.restoreDeleted),
  since.map(repairs.repair),
  since.map(repairs.repair),
  since.map(repairs.dryRunThenRepair),
  always(repairs.backgroundRound),
  since.map(repairs.cutOffRepair),
  always(undoLast),
  always(undoLast),
  always(rewinds.checkpoint),
  always(rewinds.checkpoint),
  fc.tuple(pick, fc.boolean()).map((args) => rewinds.rewindTo(...args)),
  fc.tuple(pick, fc.boolean()).map((args) => rewinds.rewindTo(...args)),
  pick.map(rewinds.cutOffRewind),
  fc.tuple(fc.nat(200), fc.constantFrom(0, 1, 3, 20)).map((args) => rebuild(...args)),
  always(asked.stopWatcher),
  always(asked.startWatcher),
  always(asked.killWatcher),
  always(asked.crash),
  always(asked.restart),
  always(asked.fillDisk),
  always(asked.freeDisk),
];

/** Runs commands on a project of their own, and at the end brings back everything that can come back. */
export async function runCommands(service: Service, commands: Iterable<ModelCommand>): Promise<void> {
  tally.runs += 1;
  const world = await World.create(service, prepare);
  const model = new Model();
  model.canMount = service.canMount;
  model.tree = scan(world.root);
  model.note();
  try {
    await asked.settle(model, world);
    await fc.asyncModelRun(() => ({ model, real: world }), commands);
    await comesToRest(model, world);
    await everythingComesBack(model, world);
  } catch (error) {
    throw new Error(`${messageOf(error)}\nafter: ${world.log.join('\n       ')}`, { cause: error });
  } finally {
    await comesToRest(model, world).catch(() => undefined);
    await world.end();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Mounts, disk and daemon are as they should be, and the index comes to be true again. */
async function comesToRest(model: Model, world: World): Promise<void> {
  if (model.isFull) await asked.freeDisk().run(model, world);
  if (!model.isUp) await asked.startDaemon(model, world);
  bringBack(model, world);
  if (!model.isWatched) await asked.startWatcher().run(model, world);
  await asked.settle(model, world);
  if (asked.hasStrangeRows(model, world)) await world.daemon.call('accept_deletions', world.id);
  await asked.settle(model, world);
  await asked.follow().run(model, world);
}

/** Each path that something was at and that is free can have it back; and the index gives what it says it has. */
async function everythingComesBack(model: Model, world: World): Promise<void> {
  const known = new Set(
    world
      .rows()
      .filter(({ kind }) => kind !== 'folder')
      .map(({ path }) => path),
  );
  const gone = [...new Set([...model.kept.values()].map(({ path }) => path))];
  for (const path of gone)
    if (known.has(path) && model.isFree(path)) await asked.restoreOne(model, world, path);
  await assertPromises(model, world);
  for (const path of model.paths('file').filter((one) => model.isContent(one))) {
    const entry = model.entry(path);
    const { encoding, content: text } = await world.daemon.call('get_file', { ...world.id, path });
    if (entry.kind === 'file' && !Buffer.from(text, encoding).equals(entry.inode.bytes))
      throw new Error(`get_file gives other bytes of ${path}`);
  }
}

/** The same for all who run them, so that a seed means the same everywhere. */
const maxCommands = 30;

export interface CampaignOptions {
  numRuns: number;
  /** Look for the shortest sequence that fails. */
  shrinks: boolean;
  seed?: number | undefined;
  path?: string | undefined;
  replayPath?: string | undefined;
  /** No run begins after so long (ms). */
  limitMs?: number;
}

/** As the environment says: what a failure printed is run again by it. */
export function replayFromEnvironment(): Pick<CampaignOptions, 'seed' | 'path' | 'replayPath'> {
  const {
    CODEKEEP_MODEL_SEED: seed,
    CODEKEEP_MODEL_PATH: path,
    CODEKEEP_MODEL_REPLAY: replayPath,
  } = process.env;
  return { seed: seed === undefined ? undefined : Number(seed), path, replayPath };
}

export interface Campaign {
  /** Null where every run kept every promise; else what to say of the failure. */
  failure: string | null;
  seed: number;
}

/** Runs of random commands, one after the other, against one daemon; after a failure against another one. */
export async function campaign(options: CampaignOptions): Promise<Campaign> {
  const { numRuns, shrinks, seed = Date.now() | 0, path, replayPath, limitMs } = options;
  const failures: string[] = [];
  const endAt = performance.now() + (limitMs ?? Number.POSITIVE_INFINITY);
  let service: Service | null = null;
  const run = async (commands: Iterable<ModelCommand>): Promise<void> => {
    if (performance.now() > endAt) return;
    service ??= await Service.start(mountRefusal() === null);
    try {
      await runCommands(service, commands);
    } catch (error) {
      if (failures.length === 0) failures.push(`the first that failed: ${messageOf(error)}`);
      await service.end().catch(() => undefined);
      service = null;
      throw error;
    }
  };
  const replay = replayPath === undefined ? {} : { replayPath };
  const sequences = fc.commands(everyCommand, { maxCommands, size: 'max', ...replay });
  const details = await fc.check(fc.asyncProperty(sequences, run), {
    seed,
    numRuns,
    endOnFailure: !shrinks,
    ...(path === undefined ? {} : { path }),
  });
  if (details.failed) failures.push(describe(details, seed));
  await ended(service, failures);
  return { failure: failures.length === 0 ? null : failures.join('\n\n'), seed };
}

/** It stops in order and leaves nothing behind, also after all that. */
async function ended(service: Service | null, failures: string[]): Promise<void> {
  try {
    await service?.end();
  } catch (error) {
    failures.push(`at the end: ${messageOf(error)}`);
  }
}

function describe(details: fc.RunDetails<[Iterable<ModelCommand>]>, seed: number): string {
  const { counterexamplePath, counterexample, errorInstance } = details;
  const commands = fc.stringify(counterexample?.[0]);
  const [, replayPath = ''] = /replayPath="(.*)"/u.exec(commands) ?? [];
  return [
    `seed ${seed}, path ${counterexamplePath}, after ${details.numRuns} runs and ${details.numShrinks} shrinks`,
    `commands: ${commands}`,
    errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : String(errorInstance),
    `again: CODEKEEP_MODEL_SEED=${seed} CODEKEEP_MODEL_PATH=${counterexamplePath} CODEKEEP_MODEL_REPLAY='${replayPath}' npm run test:model`,
  ].join('\n');
}
