/** Folders, users and child processes that the tests of the lower layers share. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

const endings = new WeakMap<object, (() => unknown)[]>();

/**
 * Does something at the end of the test, the last that was asked for first, and all of it even where some fails: what
 * uses a folder ends before the folder goes. (The runner's own hooks run in the order of their making.)
 */
export function atEnd(t: Pick<TestContext, 'after'>, work: () => unknown): void {
  const known = endings.get(t);
  if (known !== undefined) {
    known.push(work);
    return;
  }
  const works = [work];
  endings.set(t, works);
  t.after(async () => {
    const failures: unknown[] = [];
    for (const last of works.reverse()) {
      try {
        await last();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  });
}

/** A new folder below the system's own for such; whoever asks for it removes it. */
export function newFolder(): string {
  return realpathSync(mkdtempSync(join(tmpdir(), 'codekeep-test-')));
}

/** A folder of the test's own, readable by other users; removed with the test. */
export function temporaryFolder(t: Pick<TestContext, 'after'>): string {
  const folder = newFolder();
  chmodSync(folder, 0o755);
  atEnd(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const nobody = 65_534;

/** Runs `work` as a user whom permissions bind: root may do everything, so it steps down for that long. */
export async function asNobody<T>(work: () => T | Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return await work();
  process.setegid?.(nobody);
  process.seteuid?.(nobody);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

/** A folder that is a file system of `size` bytes of its own; null where mounting is not allowed. */
export function temporaryFileSystem(t: Pick<TestContext, 'after'>, size: number): string | null {
  const folder = newFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'tmpfs', folder], {
      stdio: 'ignore',
    });
  } catch {
    rmSync(folder, { recursive: true });
    return null;
  }
  atEnd(t, () => {
    execFileSync('umount', ['--lazy', folder]);
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/** Every path below a folder, sorted, symlinks not followed. */
export function pathsBelow(root: string, folder = ''): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      return entry.isDirectory() ? [path, ...pathsBelow(root, path)] : [path];
    })
    .sort();
}

/** Starts Node on the given module source and waits for the first line that it prints. */
export async function startScript(
  t: Pick<TestContext, 'after'>,
  source: string,
  ...parameters: string[]
): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', source, '--', ...parameters], {
    cwd: import.meta.dirname,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  atEnd(t, async () => await killed(child));
  await once(child.stdout, 'data', { signal: AbortSignal.timeout(20_000) });
  return child;
}

/** Kills a child process and waits until it is gone. */
export async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
