import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { Sandbox } from './sandbox.js';

/** A reason for t.skip. */
export const cannotMount = 'mounting is not allowed here';

/** A sandbox in which file systems may be mounted; none of them is left when it is removed. */
export async function sandboxWithMounts(t: TestContext): Promise<Sandbox> {
  let folder: string | null = null;
  // Hooks run in the order of their making: what is mounted goes before the folder that it is in.
  t.after(() => {
    if (folder !== null) for (const point of mountsBelow(folder).reverse()) unmount(point);
  });
  const sandbox = await Sandbox.create(t);
  folder = sandbox.folder;
  return sandbox;
}

/** Mounts an empty tmpfs over a folder; false where that is not allowed. */
export function mountTmpfs(folder: string): boolean {
  return mount('-t', 'tmpfs', '-o', 'size=16m,mode=755', 'tmpfs', folder);
}

/** Makes what is at one folder show at another, too; false where that is not allowed. */
export function bindMount(from: string, to: string): boolean {
  return mount('--bind', from, to);
}

/** Mounts a folder over itself, which is then read-only; false where that is not allowed. */
export function mountReadOnly(folder: string): boolean {
  return bindMount(folder, folder) && mount('-o', 'remount,bind,ro', folder);
}

/** Lazily: what is still open there does not keep it. */
export function unmount(folder: string): void {
  execFileSync('umount', ['--lazy', folder]);
}

function mount(...args: string[]): boolean {
  try {
    execFileSync('mount', args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function mountsBelow(folder: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const points = lines.map((line) => line.split(' ')[4] ?? '');
  return points.filter((point) => point.startsWith(`${folder}/`));
}
