import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Daemon, type DaemonOptions } from './daemon.js';
import { newFolder } from './folder.js';
import { processesWithEnvironment } from './processes.js';
import { waitFor } from './waiting.js';

/** The built program, as a user starts it. */
export const program = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export type FileSpec = string | Buffer | { content: string | Buffer; mode: number };

/** Marks every process that a test starts, and with it all that those start. */
const markName = 'CODEKEEP_TEST';

/**
 * A temporary folder with everything that one test starts in it. Afterwards every process of it is ended, and
 * the test fails where one had been left behind or where Node or the daemon complained.
 */
export class Sandbox {
  readonly folder: string;
  /** In the environment of every process that was started in it. */
  readonly mark = `${markName}=${randomUUID()}`;
  readonly #daemons: Daemon[] = [];
  readonly #children = new Set<ChildProcess>();
  readonly #mountPoints: string[] = [];
  #configs = 0;
  #projects = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Ended with the test `t`; without one, whoever made it ends it. */
  static async create(t?: TestContext): Promise<Sandbox> {
    const sandbox = new Sandbox(newFolder());
    t?.after(() => sandbox.end());
    return sandbox;
  }

  /**
   * One for all tests of the suite in whose body this is called; ended after the last.
   * @param first done before that: what a client of the suite's own has to do
   */
  static ofSuite(first: () => unknown = () => undefined): Sandbox {
    const sandbox = new Sandbox(newFolder());
    after(async () => {
      await first();
      await sandbox.end();
    });
    return sandbox;
  }

  get environment(): NodeJS.ProcessEnv {
    const [name = '', value] = this.mark.split('=');
    const inherited = Object.entries(process.env).filter(([key]) => !/^(NODE_|CODEKEEP_)/.test(key));
    return { ...Object.fromEntries(inherited), [name]: value };
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** Starts any program; it is ended with the sandbox. */
  spawn(command: string, args: readonly string[], cwd = this.folder): ChildProcess {
    const child = spawn(command, args, { cwd, env: this.environment, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  /**
   * `codekeep serve` with its own state directory; resolves when it answers. With a watcher only, as most tests need
   * it; an empty config gives what is shipped.
   */
  async startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
    const { stateDir = this.path('state'), args = [], under = [] } = options;
    const { program: cli = program } = options;
    const config = options.config ?? { autostart: ['file_watcher'] };
    const configPath = this.path(`config-${++this.#configs}.json`);
    await writeFile(configPath, JSON.stringify(config));
    const flags = ['serve', '--state-dir', stateDir, '--config', configPath, ...args];
    const [command = '', ...words] = [...under, process.execPath, cli, ...flags];
    const { autostart = ['file_watcher'] } = config as { autostart?: readonly string[] };
    const daemon = new Daemon(this.spawn(command, words), stateDir, autostart.includes('file_watcher'));
    this.#daemons.push(daemon);
    await daemon.open();
    return daemon;
  }

  /** `mount ARGS target` until the sandbox ends; false where it is not allowed. The target is made if it is not there. */
  mount(target: string, ...args: string[]): boolean {
    mkdirSync(target, { recursive: true });
    try {
      execFileSync('mount', [...args, target], { stdio: 'ignore' });
    } catch {
      return false;
    }
    this.#mountPoints.push(target);
    return true;
  }

  /** A project made of the given files. */
  async project(files: Readonly<Record<string, FileSpec>>): Promise<string> {
    const root = this.path(`project-${++this.#projects}`);
    await mkdir(root);
    await writeFiles(root, files);
    return root;
  }

  /**
   * A copy of a real source tree of more than 1,000 files, which is there after `npm ci`. Of the 70 files beyond 32 kB,
   * which take as long as all others, it has the two largest.
   */
  async projectCopy(): Promise<string> {
    const root = this.path(`project-${++this.#projects}`);
    const { resolve } = createRequire(import.meta.url);
    for (const name of ['zod', 'typescript'])
      await cp(dirname(resolve(`${name}/package.json`)), join(root, name), {
        recursive: true,
        filter: (path) => {
          const stat = lstatSync(path);
          return stat.isDirectory() || stat.size <= 32_000 || stat.size > 150_000;
        },
      });
    return root;
  }

  /** Ends everything, looks whether it was in order, and removes the folder. */
  async end(): Promise<void> {
    try {
      for (const daemon of this.#daemons) await daemon.stop();
      for (const child of this.#children) child.kill('SIGKILL');
      const left = await this.#left().catch((error: unknown) => error);
      assert.equal(left, undefined, 'processes were left behind');
      for (const daemon of this.#daemons) await this.#assertQuiet(daemon);
    } finally {
      for (const { pid } of processesWithEnvironment(this.mark)) process.kill(pid, 'SIGKILL');
      for (const target of this.#mountPoints.reverse()) execFileSync('umount', ['--lazy', target]);
      await rm(this.folder, { recursive: true, force: true });
    }
  }

  async #left(): Promise<void> {
    await waitFor(
      'every process of the test is gone',
      () => {
        const left = processesWithEnvironment(this.mark);
        if (left.length > 0)
          throw new Error(left.map(({ pid, commandLine }) => `${pid} ${commandLine.join(' ')}`).join('; '));
        return true;
      },
      3_000,
    );
  }

  /** The supervisor's own output and what its workers wrote into the logs. */
  async #assertQuiet(daemon: Daemon): Promise<void> {
    assert.equal(daemon.stderr, daemon.expectedStderr, 'the supervisor wrote to stderr');
    const logs = join(daemon.stateDir, 'logs');
    if (!existsSync(logs)) return;
    for (const name of await readdir(logs)) {
      const lines = (await readFile(join(logs, name), 'utf8')).split('\n');
      const unwanted = daemon.mayLogErrors
        ? /\(node:\d+\)|Warning:/
        : /\(node:\d+\)|Warning:|"level":"error"/;
      assert.deepEqual(
        lines.filter((line) => unwanted.test(line)),
        [],
        `${name} has warnings or errors`,
      );
    }
  }
}

/** Writes files, with the folders they need. */
export async function writeFiles(root: string, files: Readonly<Record<string, FileSpec>>): Promise<void> {
  for (const [path, spec] of Object.entries(files)) {
    const absolute = join(root, path);
    const { content, mode } =
      typeof spec === 'string' || Buffer.isBuffer(spec) ? { content: spec, mode: 0o644 } : spec;
    await mkdir(dirname(absolute), { recursive: true });
    await writeFile(absolute, content);
    await chmod(absolute, mode);
  }
}

/** Many small files in folders of a hundred: enough for work that can be watched while it goes on. */
export function manyFiles(count: number): Record<string, string> {
  const names = Array.from(
    { length: count },
    (_, index) => `folder${Math.floor(index / 100)}/file${index}.py`,
  );
  return Object.fromEntries(names.map((name, index) => [name, `def f${index}():\n    return ${index}\n`]));
}
