import assert from 'node:assert/strict';
import { type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { program, type Sandbox } from './sandbox.js';
import { waitFor, within } from './waiting.js';

interface Start {
  child: ChildProcess;
  stdout: string;
  stderr: string;
  ended: Promise<unknown>;
}

function start(sandbox: Sandbox, stateDir: string, configPath: string): Start {
  const flags = ['serve', '--state-dir', stateDir, '--config', configPath];
  const child = sandbox.spawn(process.execPath, [program, ...flags]);
  const seen: Start = { child, stdout: '', stderr: '', ended: once(child, 'close') };
  child.stdout?.on('data', (text: Buffer) => (seen.stdout += text.toString()));
  child.stderr?.on('data', (text: Buffer) => (seen.stderr += text.toString()));
  return seen;
}

/**
 * Starts two supervisors of one state directory at the same instant: exactly one must win, and the other must name it
 * and exit with 3. The winner is stopped in order.
 */
export async function startTwice(sandbox: Sandbox, stateDir: string): Promise<void> {
  // What is started later than index_service has no part in who wins.
  const configPath = sandbox.path('double-start.json');
  writeFileSync(configPath, JSON.stringify({ autostart: [] }));
  const both = [start(sandbox, stateDir, configPath), start(sandbox, stateDir, configPath)];
  const hasEnded = ({ child }: Start): boolean => child.exitCode !== null;
  await waitFor(
    'one listens and one has ended, or both have',
    () => both.every(hasEnded) || (both.some(({ stdout }) => stdout !== '') && both.some(hasEnded)),
    60_000,
  );
  const winner = both.find((one) => !hasEnded(one));
  const loser = both.find(hasEnded);
  assert.ok(
    winner !== undefined && loser !== undefined,
    `exactly one wins: ${both.map(({ stderr }) => stderr).join()}`,
  );
  await loser.ended;
  assert.equal(loser.child.exitCode, 3);
  assert.match(
    loser.stderr,
    new RegExp(`${stateDir} is held by another codekeep supervisor \\(pid ${winner.child.pid}\\)`),
  );
  winner.child.kill('SIGTERM');
  assert.deepEqual(await within('the winner ends', winner.ended, 60_000), [0, null]);
  assert.equal(winner.stderr, '');
}
