import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { childrenOf, isAlive } from '../harness/processes.js';
import { waitFor, within } from '../harness/waiting.js';
import { makeTree } from './root-tree.js';

const needed = ['debootstrap', 'systemd-nspawn', 'nsenter', 'unshare', 'setpriv', 'npm', 'tar'];
/** No single command in the machine takes longer (ms). */
const commandMaxMs = 90_000;
const bootMaxMs = 60_000;
const haltMaxMs = 30_000;

/** Why no machine can be booted here, or false: what node:test takes for `skip`. */
export function whyNoMachine(): string | false {
  if (process.getuid?.() !== 0) return 'booting a systemd takes root';
  const missing = needed.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  if (missing.length > 0) return `missing: ${missing.join(', ')}`;
  const mayUnshare = spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status === 0;
  return mayUnshare ? false : 'this root may not make namespaces (CAP_SYS_ADMIN)';
}

/** Nothing of the host's. */
const environment = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin', 'HOME=/root', 'LANG=C.UTF-8'];

export interface CommandOutcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A booted systemd of its own in a container: own processes, own network, own root. */
export class Machine {
  readonly tree: string;
  readonly #container: ChildProcess;
  readonly #cgroups: readonly string[];
  readonly #exited: Promise<unknown>;
  #console = '';
  #leader = 0;

  private constructor(tree: string, container: ChildProcess, cgroups: readonly string[]) {
    this.tree = tree;
    this.#container = container;
    this.#cgroups = cgroups;
    this.#exited = once(container, 'exit');
    container.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#console += text));
    container.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#console += text));
  }

  static async boot(): Promise<Machine> {
    const tree = await makeTree();
    const cgroups = ownCgroups();
    // Where systemd runs on the host it makes the scope; elsewhere the container stays in a cgroup that is made here.
    const enter = cgroups.map((path) => `echo $$ > '${path}/cgroup.procs'`).join(' && ');
    const options = ['--quiet', '--boot', '--register=no', '--private-network', '--console=read-only'];
    if (cgroups.length > 0) options.push('--keep-unit');
    const nspawn = ['systemd-nspawn', ...options, '--machine=codekeep-test', `--directory=${tree}`];
    // Whoever runs the tests may be killed, and the machine must not outlive them.
    const script = `${enter === '' ? 'true' : enter} && exec setpriv --pdeathsig TERM "$@"`;
    const container = spawn('sh', ['-c', script, 'sh', ...nspawn], { stdio: ['ignore', 'pipe', 'pipe'] });
    const machine = new Machine(tree, container, cgroups);
    try {
      await machine.#booted();
    } catch (error) {
      await machine.end();
      throw new Error(`the machine does not boot: ${machine.#console}`, { cause: error });
    }
    return machine;
  }

  async #booted(): Promise<void> {
    await waitFor(
      'the machine is up',
      async () => {
        if (this.#container.exitCode !== null) assert.fail(`the container ended: ${this.#console}`);
        this.#leader = childrenOf(this.#container.pid ?? 0)[0]?.pid ?? assert.fail('no leader yet');
        const { stdout } = await this.try('systemctl', 'is-system-running');
        return stdout.trim() === 'running' || assert.fail(stdout);
      },
      bootMaxMs,
    );
  }

  /** Runs a program in the machine, as root; its outcome, whatever it is. */
  async try(...command: string[]): Promise<CommandOutcome> {
    const enter = ['--target', String(this.#leader), '--all', '--wd=/', '--'];
    const args = [...enter, 'env', '-i', ...environment, ...command];
    return await new Promise((resolve) => {
      execFile(
        'nsenter',
        args,
        { timeout: commandMaxMs, maxBuffer: 64 * 1024 * 1024 },
        (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
          resolve({ status, stdout, stderr });
        },
      );
    });
  }

  /** A program that has to end well; gives what it printed. */
  async run(...command: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.try(...command);
    assert.equal(status, 0, `${command.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  }

  /** One call over a socket of the machine, by socat. */
  async call(socket: string, method: string, params: object = {}): Promise<Record<string, unknown>> {
    const request = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const script = `printf '%s\\n' "$1" | socat -t 60 - "UNIX-CONNECT:$2"`;
    const reply = JSON.parse(await this.run('sh', '-c', script, 'sh', request, socket)) as {
      result?: Record<string, unknown>;
      error?: unknown;
    };
    return reply.result ?? assert.fail(`${method}: ${JSON.stringify(reply.error)}`);
  }

  /** Runs a program as a user of the machine, as in a login of theirs; it has to end well. */
  async runAs(user: string, ...command: string[]): Promise<string> {
    const uid = (await this.run('id', '-u', user)).trim();
    const session = [`HOME=/home/${user}`, `XDG_RUNTIME_DIR=/run/user/${uid}`];
    return await this.run('runuser', '-u', user, '--', 'env', ...session, ...command);
  }

  /** Properties of a unit, as `systemctl show` has them. */
  async show(unit: string, ...names: string[]): Promise<Record<string, string>> {
    const text = await this.run('systemctl', 'show', unit, `--property=${names.join(',')}`);
    const entries = text
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const);
    return Object.fromEntries(entries);
  }

  /** Ends everything that runs in it and removes its tree. */
  async end(): Promise<void> {
    try {
      if (this.#container.exitCode === null && this.#container.signalCode === null) {
        this.#container.kill('SIGTERM');
        await within('the machine halts', this.#exited, haltMaxMs).catch(async () => {
          this.#container.kill('SIGKILL');
          await this.#exited;
        });
      }
    } finally {
      await rm(this.tree, { recursive: true, force: true });
      for (const cgroup of this.#cgroups) await waitFor(`${cgroup} is empty`, () => removeCgroup(cgroup));
    }
  }
}

/** A cgroup for the container in each hierarchy that systemd uses; none where the host's systemd makes one. */
function ownCgroups(): string[] {
  if (existsSync('/run/systemd/system')) return [];
  const own = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  const pathOf = (prefix: RegExp): string =>
    own.find((line) => prefix.test(line))?.replace(prefix, '') ?? '/';
  const hierarchies = [
    join('/sys/fs/cgroup/systemd', pathOf(/^\d+:name=systemd:/)),
    join('/sys/fs/cgroup/unified', pathOf(/^0::/)),
    join('/sys/fs/cgroup', pathOf(/^0::/)),
  ];
  const found = hierarchies.filter((path) => existsSync(join(path, 'cgroup.procs')));
  return found.map((path) => {
    sweep(path);
    const cgroup = join(path, `codekeep-test-${process.pid}`);
    mkdirSync(cgroup);
    return cgroup;
  });
}

/** What runs that were killed have left. */
function sweep(hierarchy: string): void {
  for (const name of readdirSync(hierarchy)) {
    const pid = /^codekeep-test-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) removeCgroup(join(hierarchy, name));
  }
}

function removeCgroup(path: string): boolean {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  rmdirSync(path);
  return true;
}
