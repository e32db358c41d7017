import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { codekeep, run } from '../harness/command.js';
import { childrenOf, isAlive, openFiles, stateOf } from '../harness/processes.js';
import type { Daemon } from '../harness/daemon.js';
import { manyFiles, program, Sandbox } from '../harness/sandbox.js';
import { waitFor, within } from '../harness/waiting.js';
import { connect } from '#src/rpc/client/client.js';

function family(pid: number): number[] {
  return [pid, ...childrenOf(pid).map((child) => child.pid)];
}

async function untilAllRun(daemon: Daemon): Promise<number[]> {
  await waitFor('the workers', async () => {
    const { workers } = await daemon.call('health');
    return workers['file_watcher'] === 'ready' && workers['vectorization'] === 'ready';
  });
  return family(daemon.pid);
}

/** A process's Unix sockets that bear a path: the one that listens, and an accepted one for each client. */
function namedSockets(pid: number): number {
  const own = new Set(openFiles(pid).map((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1]));
  const lines = readFileSync('/proc/net/unix', 'latin1').trimEnd().split('\n').slice(1);
  return lines.filter((line) => {
    const [inode, path] = line.trim().split(/ +/).slice(6);
    return path !== undefined && own.has(inode);
  }).length;
}

suite('codekeep serve', () => {
  test('shows the progress of its projects without being a client of itself', async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project(manyFiles(500));
    const daemon = await sandbox.startDaemon({ args: ['--project', root] });
    let most = 0;
    await waitFor(
      '"ready"',
      () => {
        most = Math.max(most, namedSockets(daemon.pid));
        return daemon.stdout.includes('\nready: ');
      },
      60_000,
    );
    assert.equal(most, 2, 'the one that listens, and the client of this test');
    assert.match(
      daemon.stdout,
      new RegExp(`\nindexed ${root}: 500 files, \\d+ chunks, after [\\d.]+ s\nready: `),
    );
  });

  test('a project that cannot be registered is named, and the others are indexed', async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n' });
    const daemon = await sandbox.startDaemon({ args: ['--project', '/no/such/folder', '--project', root] });
    daemon.mayLogErrors = true;
    await waitFor('"ready"', () => daemon.stdout.includes('\nready: '), 60_000);
    assert.match(daemon.stderr, /^codekeep: \/no\/such\/folder cannot be read \(ENOENT\)\.\n {2}\S.*\n$/);
    daemon.expectedStderr = daemon.stderr;
    assert.match(daemon.stdout, new RegExp(`^indexed ${root}: 1 files`, 'm'));
  });

  test('SIGHUP stops it in order', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({ config: {} });
    const processes = await untilAllRun(daemon);
    assert.deepEqual(await daemon.stop('SIGHUP'), { code: 0, signal: null });
    assert.deepEqual(processes.filter(isAlive), []);
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    test(`${signal} in the middle of the start stops it in order, and no socket is left`, async (t) => {
      const sandbox = await Sandbox.create(t);
      const state = sandbox.path('state');
      const starting = sandbox.spawn(process.execPath, [program, 'serve', '--state-dir', state]);
      const exited = once(starting, 'exit');
      await waitFor('it holds the state directory', () => existsSync(join(state, 'lock.db')));
      starting.kill(signal);
      assert.deepEqual(await within('it ends', exited, 20_000), [0, null]);
      assert.deepEqual(
        readdirSync(state).filter((name) => name.endsWith('.sock')),
        [],
      );
    });

  test('one that is started while another one ends takes over from it', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
    await waitFor(
      'the watcher runs',
      async () => (await daemon.call('health')).workers['file_watcher'] === 'ready',
    );
    const watcher = (await daemon.workerPid('file_watcher')) ?? assert.fail('no watcher');
    process.kill(watcher, 'SIGSTOP');
    daemon.child.kill('SIGTERM');
    const args = ['serve', '--state-dir', daemon.stateDir];
    const next = sandbox.spawn(process.execPath, [program, ...args]);
    const exited = once(next, 'exit');
    const opensLock = (): boolean => openFiles(next.pid ?? 0).some((path) => path.endsWith('/lock.db'));
    await waitFor('it has found the lock held', opensLock);
    process.kill(watcher, 'SIGCONT');
    assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
    const client = await waitFor('the next one answers', () => connect({ socket: daemon.socket }));
    assert.equal((await client.call('health')).pid, next.pid);
    client.close();
    next.kill('SIGTERM');
    assert.deepEqual(await within('it ends', exited, 20_000), [0, null]);
  });

  test('a terminal that is closed stops it in order, with exit status 0', async (t) => {
    const sandbox = await Sandbox.create(t);
    const state = sandbox.path('state');
    const status = sandbox.path('status');
    const serve = `'${process.execPath}' '${program}' serve --state-dir '${state}' < /dev/tty`;
    // The shell hears that the terminal is gone, passes it on, and says what became of the daemon.
    const command = `${serve} & trap "kill -HUP $!" HUP; wait $!; wait $!; echo $? > '${status}'`;
    const terminal = sandbox.spawn('script', ['--quiet', '--command', command, '/dev/null']);
    const client = await waitFor('it answers', () => connect({ socket: join(state, 'codekeep.sock') }));
    const { pid } = await client.call('health');
    await client.call('start_worker', { worker_type: 'repair' });
    const processes = family(pid);
    assert.ok(processes.length >= 3);
    terminal.kill('SIGKILL');
    await within('it hangs up', client.closed);
    await waitFor('all of them are gone', () => !processes.some(isAlive));
    const log = readFileSync(join(state, 'logs', 'supervisor.log'), 'utf8');
    assert.match(log.trimEnd().split('\n').at(-1) ?? '', /"stopped"/, 'in order, to the last word');
    assert.equal(await waitFor('its exit status', () => readFileSync(status, 'utf8') || null), '0\n');
  });

  test('a second Ctrl-C while it stops ends it at once, with every worker', async (t) => {
    const sandbox = await Sandbox.create(t);
    const daemon = await sandbox.startDaemon({ config: { worker_stop_timeout: 600 } });
    const processes = await untilAllRun(daemon);
    const stuck = (await daemon.workerPid('file_watcher')) ?? assert.fail('no watcher');
    process.kill(stuck, 'SIGSTOP');
    daemon.child.kill('SIGINT');
    await waitFor('the others are gone', () => processes.filter(isAlive).length === 2);
    assert.equal(stateOf(stuck), 'T', 'one is waited for');
    daemon.child.kill('SIGINT');
    assert.deepEqual(await within('it ends', daemon.exited, 2_000), { code: 130, signal: null });
    assert.equal(daemon.stderr, 'forced: every worker is killed\n');
    daemon.expectedStderr = daemon.stderr;
    await waitFor('nothing is left', () => !processes.some(isAlive), 2_000);
  });

  test('a folder that cannot be made ends the start, and is named', async (t) => {
    const sandbox = await Sandbox.create(t);
    const says = 'codekeep: The folder /proc/foo cannot be made: nothing can be made in /proc.';
    for (const [flags, hint] of [
      [['--state-dir', '/proc/foo/state'], '--state-dir'],
      [['--state-dir', sandbox.path('state'), '--socket', '/proc/foo/x.sock'], '--socket'],
    ] as const) {
      const { status, stdout, stderr } = await codekeep(sandbox, 'serve', ...flags);
      const [first, second = ''] = stderr.split('\n');
      assert.deepEqual([status, stdout, first], [2, '', says]);
      assert.ok(second.includes(`give another`) && second.includes(hint), second);
    }
  });

  test('a relative path in HOME or XDG_* does not bring the state into the working directory', async (t) => {
    const sandbox = await Sandbox.create(t);
    const home = sandbox.path('home');
    const cwd = await sandbox.project({});
    const variables = ['XDG_STATE_HOME=state', 'XDG_CONFIG_HOME=config', 'XDG_RUNTIME_DIR=run'];
    const args = [`HOME=${home}`, ...variables, process.execPath, program, 'serve'];
    const daemon = sandbox.spawn('env', args, cwd);
    const socket = join(home, '.local/state/codekeep/codekeep.sock');
    const client = await waitFor('it answers', () => connect({ socket }));
    const exited = once(daemon, 'exit');
    await client.call('shutdown');
    assert.deepEqual(await within('it ends', exited, 20_000), [0, null]);
    assert.deepEqual(readdirSync(cwd), []);
  });

  test('without a home folder it is refused', { skip: process.getuid?.() !== 0 && 'not root' }, async (t) => {
    const sandbox = await Sandbox.create(t);
    // A user id that no account has, as in a container.
    const user = ['setpriv', '--reuid=54321', '--clear-groups'];
    const args = [
      'HOME=',
      'XDG_STATE_HOME=',
      'XDG_RUNTIME_DIR=',
      ...user,
      process.execPath,
      program,
      'serve',
    ];
    const { status, stdout, stderr } = await run(sandbox, 'env', args, { cwd: '/' });
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, /^codekeep: There is no home folder: .*\n {2}Set HOME/);
  });
});
