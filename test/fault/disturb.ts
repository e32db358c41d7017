/** Does an operation in a process of its own that is killed, or whose system calls fail, and then once more in peace. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { injecting } from '../harness/strace.js';
import { type Ending, type OperationName, type World, worlds } from './operations.js';

const child = join(import.meta.dirname, 'operation-child.js');

/** How much was tried, for who runs all of it. */
export const tried = { kills: 0, pairs: 0, failures: 0, powerLosses: 0 };

/** @param injection what strace is to do; null: nothing */
export async function runIn(name: OperationName, world: World, injection: string | null): Promise<Ending> {
  const command = [process.execPath, child, name, world.indexPath, ...world.parameters];
  const strace = injection === null ? [] : ['strace', '-qq', ...injecting(injection)];
  const [program = '', ...parameters] = [...strace, ...command];
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
  // What an undisturbed run complains of is for the reader of the test.
  const stderr = injection === null ? 'inherit' : 'ignore';
  const running = spawn(program, parameters, { stdio: ['ignore', 'ignore', stderr], env });
  const [code, signal] = (await once(running, 'exit')) as [number | null, NodeJS.Signals | null];
  return { code, signal };
}

export function wasKilled({ code, signal }: Ending): boolean {
  return signal === 'SIGKILL' || code === 137;
}

export async function prepared(t: TestContext, name: OperationName): Promise<World> {
  return await worlds[name](t, async (world) => await runIn(name, world, null));
}

async function finish(t: TestContext, name: OperationName, world: World): Promise<void> {
  assert.deepEqual(await runIn(name, world, null), { code: 0, signal: null });
  await world.assertDone(t);
}

/** @returns false when it had ended before the nth call */
export async function killAt(
  t: TestContext,
  name: OperationName,
  syscall: string,
  nth: number,
): Promise<boolean> {
  const world = await prepared(t, name);
  const ending = await runIn(name, world, `${syscall}:signal=KILL:when=${nth}`);
  assert.ok(wasKilled(ending) || ending.code === 0, JSON.stringify(ending));
  await world.assertNothingLost();
  if (wasKilled(ending)) tried.kills += 1;
  if (wasKilled(ending)) await finish(t, name, world);
  else await world.assertDone(t);
  return wasKilled(ending);
}

/** Killed, and killed once more while it is finished. */
export async function killTwice(
  t: TestContext,
  name: OperationName,
  first: [syscall: string, nth: number],
  second: [syscall: string, nth: number],
): Promise<boolean> {
  const world = await prepared(t, name);
  const endings: Ending[] = [];
  for (const [syscall, nth] of [first, second]) {
    endings.push(await runIn(name, world, `${syscall}:signal=KILL:when=${nth}`));
    await world.assertNothingLost();
  }
  await finish(t, name, world);
  const isPair = endings.every(wasKilled);
  if (isPair) tried.pairs += 1;
  return isPair;
}

/** Lets a system call fail at the nth time (and `step` further), then does it again undisturbed. */
export async function failAt(
  t: TestContext,
  name: OperationName,
  syscall: string,
  error: string,
  when: string,
): Promise<Ending> {
  const world = await prepared(t, name);
  const ending = await runIn(name, world, `${syscall}:error=${error}:when=${when}`);
  tried.failures += 1;
  await world.assertNothingLost();
  await finish(t, name, world);
  return ending;
}
