import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { randomUUID } from 'node:crypto';
import { identify, isAlive, type ProcessIdentity } from '#src/base/process-identity.js';
import {
  familyOf,
  markedWith,
  signalProcess,
  withArgument,
  workerMark,
} from '#src/supervisor/lifecycle/process-table.js';
import { waitFor } from '../../harness/waiting.js';

function startSleeper(t: TestContext, environment: Record<string, string> = {}): ChildProcess {
  const child = spawn('sleep', ['600'], { env: { ...process.env, ...environment }, stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

function identityOf(pid: number | undefined): ProcessIdentity {
  const identity = identify(pid ?? -1);
  assert.ok(identity, `no process ${pid}`);
  return identity;
}

const stateOf = (pid: number): string => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.charAt(stat.lastIndexOf(')') + 2);
};

test('a process is identified, and is gone when it has ended', async (t) => {
  const child = startSleeper(t);
  const identity = identityOf(child.pid);
  assert.ok(isAlive(identity));
  assert.deepEqual(identify(identity.pid), identity);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(isAlive(identity), false);
  assert.equal(signalProcess(identity, 'SIGTERM'), false);
});

test('a pid with another start time is another process: it is neither alive nor signalled', (t) => {
  const child = startSleeper(t);
  const identity = identityOf(child.pid);
  const earlier = { ...identity, startTime: String(BigInt(identity.startTime) - 1n) };
  assert.equal(isAlive(earlier), false);
  assert.equal(signalProcess(earlier, 'SIGKILL'), false);
  assert.ok(isAlive(identity));
});

test('a zombie is dead', async (t) => {
  // The shell's child ends at once, and the shell, which became a sleep, never asks after it.
  const parent = spawn('sh', ['-c', 'sleep 0.01 & echo $!; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.after(() => parent.kill('SIGKILL'));
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  await waitFor('it is a zombie', () => stateOf(pid) === 'Z');
  assert.equal(process.kill(pid, 0), true, 'kill alone would call it alive');
  assert.equal(identify(pid), null);
});

test('a process whose name holds spaces and parentheses is identified', async (t) => {
  const source = 'process.title = "a) R 1 (b"; console.log("named"); setInterval(() => {}, 1000)';
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  assert.match(identityOf(child.pid).startTime, /^\d+$/u);
  assert.ok(isAlive(identityOf(child.pid)));
});

test('a family holds descendants, and a grandchild that left its parent and its process group', async (t) => {
  const mark = randomUUID();
  const script =
    'setsid sleep 600 & sh -c "setsid sleep 601 & echo \\$!" ; sleep 602 & echo $! ; exec sleep 603';
  const worker = spawn('sh', ['-c', script], {
    env: { ...process.env, [workerMark]: mark },
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const stranger = startSleeper(t, { [workerMark]: randomUUID() });
  let printed = '';
  worker.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  await waitFor('both have said their pids', () => printed.trim().split('\n').length === 2);
  const pid = worker.pid ?? -1;
  const leader = identityOf(pid);
  const commands = (family: readonly ProcessIdentity[]): string[] =>
    family
      .map((member) => readFileSync(`/proc/${member.pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim())
      .sort();
  const isWhole = async (): Promise<boolean> =>
    commands(await familyOf(leader, mark)).join() === 'sleep 600,sleep 601,sleep 602';
  await waitFor('the whole family', isWhole);
  const family = await familyOf(leader, mark);
  t.after(() => family.forEach((member) => signalProcess(member, 'SIGKILL')));
  assert.ok(!family.some((member) => [pid, process.pid, stranger.pid].includes(member.pid)));
  worker.kill('SIGKILL');
  await once(worker, 'exit');
  assert.deepEqual(
    commands(await familyOf(leader, mark)),
    ['sleep 600', 'sleep 601', 'sleep 602'],
    'orphans are still found',
  );
  assert.deepEqual(commands(await markedWith(randomUUID())), []);
});

test('an argument is found as a whole word only, and never in this process by chance', async (t) => {
  const token = `--instance=${randomUUID()}`;
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', '--', token], {
    stdio: 'ignore',
  });
  const similar = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', '--', `${token}x`], {
    stdio: 'ignore',
  });
  for (const one of [child, similar]) t.after(() => one.kill('SIGKILL'));
  await waitFor('the decoy', async () => (await withArgument(`${token}x`)).length === 1);
  await waitFor('the process', async () => (await withArgument(token)).length === 1);
  assert.deepEqual(
    (await withArgument(token)).map(({ pid }) => pid),
    [child.pid],
  );
});
