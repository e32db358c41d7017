import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { startTwice } from '../harness/double-start.js';
import { processesWithEnvironment } from '../harness/processes.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

/**
 * The second part of `npm run soak`: the first and the last seconds of a supervisor, so many times
 * (CODEKEEP_SOAK_STARTS, 1,000 by default) and beside other load. Two starts at once: exactly one wins. SIGKILL at any instant: whatever was running
 * is gone, and the next start is well. Exit status 1 at the first time that it is not so.
 */
const times = Number(process.env['CODEKEEP_SOAK_STARTS'] ?? '1000');
/** A kill comes so long (ms) after the first answer, at most: while workers start, and after. */
const killWithinMs = 700;

/** Every core is busy with something else. */
function load(): ChildProcess[] {
  return Array.from({ length: availableParallelism() }, () =>
    spawn('nice', ['-n', '5', process.execPath, '-e', 'for (;;);'], { stdio: 'ignore' }),
  );
}

async function doubleStarts(): Promise<void> {
  const sandbox = await Sandbox.create();
  try {
    const stateDir = sandbox.path('state');
    mkdirSync(stateDir, { mode: 0o700 });
    for (let round = 1; round <= times; round += 1) {
      await startTwice(sandbox, stateDir);
      if (round % 100 === 0) process.stdout.write(`${round} double starts: one winner each time\n`);
    }
  } finally {
    await sandbox.end();
  }
}

async function kills(): Promise<void> {
  const sandbox = await Sandbox.create();
  try {
    const root = await sandbox.project(manyFiles(100));
    let before = await sandbox.startDaemon({ config: {}, args: ['--project', root] });
    for (let round = 1; round <= times; round += 1) {
      const own = (): number[] => processesWithEnvironment(sandbox.mark).map(({ pid }) => pid);
      const killAt = performance.now() + Math.random() * killWithinMs;
      await waitFor('its time has come', () => performance.now() > killAt);
      await before.stop('SIGKILL');
      await waitFor('none of its processes is left', () => own().length === 0, 20_000);
      before = await sandbox.startDaemon({ config: {} });
      before.mayLogErrors = true;
      await waitFor('all is well', async () => (await before.call('health')).status === 'ok', 60_000);
      if (round % 100 === 0) process.stdout.write(`${round} kills: nothing left, the next one is well\n`);
    }
  } finally {
    await sandbox.end();
  }
}

const others = load();
try {
  await doubleStarts();
  await kills();
} finally {
  for (const other of others) other.kill('SIGKILL');
}
process.stdout.write(`${times} double starts and ${times} kills, beside ${others.length} busy processes\n`);
