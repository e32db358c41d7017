import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { campaign, replayFromEnvironment, runCommands } from './campaign.js';
import type { ModelCommand } from './command.js';
import * as asked from './daemon-commands.js';
import * as edits from './edit-commands.js';
import { checkout, commitAll } from './git-commands.js';
import { bringMountBack, takeMount } from './mount-commands.js';
import { cutOffRepair, dryRunThenRepair, repair } from './repair-commands.js';
import { checkpoint, cutOffRewind, rewindTo } from './rewind-commands.js';
import { undoLast } from './undo-command.js';
import { mountRefusal, Service } from './world.js';

/** Fewer and shorter than by `npm run test:model`: some 10 s, and the sequences below as much again. */
const numRuns = 3;

const refusal = mountRefusal();
const bytes = (text: string): Buffer => Buffer.from(text);

/** Each once, in the order in which it could go wrong. */
const sequences: Readonly<Record<string, () => ModelCommand[]>> = {
  'a branch that somebody checked out while the daemon was down is no loss': () => [
    commitAll(''),
    checkout('other'),
    edits.createFile('', 'c.txt', bytes('of other\n'), 0o644),
    commitAll(''),
    asked.waitUntilFresh(),
    asked.crash(),
    checkout('main'),
    asked.restart(),
    dryRunThenRepair('1h'),
    checkout('other'),
    asked.follow(),
    asked.stopWatcher(),
    checkout('main'),
    dryRunThenRepair(null),
  ],
  'a file that was indexed before its commit is left by git, too': () => [
    commitAll(''),
    asked.waitUntilFresh(),
    edits.createFile('', 'c.txt', bytes('c\n'), 0o644),
    asked.follow(),
    asked.stopWatcher(),
    checkout('other'),
    commitAll(''),
    checkout('main'),
    dryRunThenRepair(null),
  ],
  'a file that is lost again is restored again': () => [
    asked.stopWatcher(),
    edits.removeFile('a.py'),
    repair(null),
    edits.removeFile('a.py'),
    dryRunThenRepair(null),
    edits.trash('folder', 'd'),
    repair(null),
  ],
  'what a watcher saw go comes back when it is asked for, and what was asked for does not': () => [
    edits.removeFolder('d'),
    asked.deleteFile('b.py'),
    asked.follow(),
    dryRunThenRepair(null),
    dryRunThenRepair('1h'),
    asked.follow(),
  ],
  'rules that ignore everything forget nothing': () => [
    edits.setRule('*'),
    asked.follow(),
    edits.removeFile('b.py'),
    asked.waitUntilFresh(),
    asked.restoreDeleted('b.py'),
    edits.setRule(null),
    asked.follow(),
  ],
  'what is restored where rules ignore it is no content': () => [
    edits.removeFolder('d'),
    asked.follow(),
    edits.setRule('*'),
    asked.follow(),
    asked.restoreDeleted('d/a.py'),
    asked.follow(),
    edits.setRule(null),
    asked.follow(),
  ],
  'a symlink where a folder was ends what was in the folder': () => [
    edits.rename('folder', 'd', '', 'f'),
    edits.makeSymlink('', 'd', 'f'),
    asked.follow(),
  ],
  'a symlink to itself where a folder was ends what was in the folder': () => [
    edits.removeFolder('d'),
    edits.makeSymlink('', 'd', 'd'),
    asked.waitUntilFresh(),
  ],
  'a folder where a file was leaves the way back to the file': () => [
    edits.removeFile('a.py'),
    edits.makeFolder('', 'a.py', 0o755),
    edits.createFile('a.py', 'c.txt', bytes('c\n'), 0o644),
    asked.follow(),
    edits.removeFolder('a.py'),
    asked.follow(),
    asked.restoreDeleted('a.py'),
  ],
  'a change by one name is a change of all names': () => [
    edits.hardLink('a.py', 'd', 'c.txt'),
    asked.follow(),
    edits.editFile('d/c.txt', 'in place', bytes('a = 2\n')),
    asked.follow(),
  ],
  'a checkpoint is come back to, and left again': () => [
    checkpoint(),
    edits.editFile('a.py', 'in place', bytes('a = 2\n')),
    edits.removeFolder('d'),
    edits.createFile('', 'd', bytes('a file\n'), 0o600),
    checkpoint(),
    rewindTo(0, true),
    rewindTo(0, false),
    asked.follow(),
    rewindTo(1, false),
    undoLast(),
    cutOffRewind(1),
    asked.follow(),
  ],
  'a repair that is killed is finished by the start': () => [
    asked.stopWatcher(),
    edits.removeFolder('d'),
    cutOffRepair(null),
    asked.follow(),
  ],
};

/** Those that need mounts. */
const mountSequences: Readonly<Record<string, () => ModelCommand[]>> = {
  'a nested mount that is away is neither deleted nor filled': () => [
    edits.createFile('mnt', 'n.py', bytes('n = 1\n'), 0o600),
    asked.follow(),
    edits.removeFile('mnt/n.py'),
    asked.follow(),
    takeMount('mnt', null),
    asked.waitUntilFresh(),
    repair('1h'),
    asked.stopWatcher(),
    repair(null),
    bringMountBack(),
    asked.waitUntilFresh(),
  ],
  'a branch that was left in a clone on a disk that was away is no loss': () => [
    commitAll('mnt'),
    checkout('other'),
    edits.createFile('mnt', 'n.py', bytes('n = 1\n'), 0o644),
    commitAll('mnt'),
    asked.waitUntilFresh(),
    takeMount('mnt', null),
    asked.crash(),
    asked.restart(),
    asked.waitUntilFresh(),
    asked.stopWatcher(),
    bringMountBack(),
    checkout('main'),
    dryRunThenRepair(null),
  ],
  'another file system on the root is not the project': () => [
    takeMount('', 'empty'),
    asked.noticeAway(),
    repair('1h'),
    asked.stopWatcher(),
    repair(null),
    bringMountBack(),
    asked.startWatcher(),
    asked.follow(),
  ],
  'a full disk loses nothing and passes': () => [
    asked.fillDisk(),
    edits.editFile('a.py', 'by rename', bytes('a = 2\n')),
    edits.removeFile('b.py'),
    repair(null),
    asked.waitUntilFresh(),
    asked.freeDisk(),
    asked.follow(),
  ],
};

const service = Service.start(refusal === null);
after(async () => await (await service).end());

for (const [name, commands] of Object.entries(sequences))
  test(name, async () => await runCommands(await service, commands()));

for (const [name, commands] of Object.entries(mountSequences))
  test(name, async (t) => {
    if (refusal !== null) return t.skip(refusal);
    await runCommands(await service, commands());
  });

test('whatever is done in whatever order, no byte is lost and no status lies', async (t) => {
  if (refusal !== null) t.diagnostic(`without mounts and full disks: ${refusal}`);
  const { failure, seed } = await campaign({ numRuns, shrinks: false, ...replayFromEnvironment() });
  t.diagnostic(`seed ${seed}`);
  assert.equal(failure, null);
});
