import assert from 'node:assert/strict';
import { after, before, suite, test, type TestContext } from 'node:test';
import { sha256 } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';
import { Machine, whyNoMachine } from './machine.js';

/** What `systemd-analyze security` may say at most; 10 is without any protection. */
const exposureMax = 3;

const service = 'codekeep@alice.service';
const socketUnit = 'codekeep@alice.socket';
const socket = '/run/codekeep/alice/codekeep.sock';
const root = '/home/alice/app';
const files: Record<string, string> = {
  'main.py': 'def main():\n    return 1\n',
  'lib/util.py': 'def util():\r\n    return "é"\r\n',
  'run.sh': '#!/bin/sh\necho hi\n',
};

const skip = whyNoMachine();
/** Skipped one by one where no machine can be booted, so that each of them is counted. */
function inMachine(name: string, work: (t: TestContext) => Promise<void>): void {
  void test(name, { skip }, work);
}

suite('under a real systemd', () => {
  let machine: Machine;

  before(async () => {
    if (skip !== false) return;
    machine = await Machine.boot();
    await machine.run('useradd', '--create-home', '--shell', '/bin/sh', 'alice');
    for (const [path, content] of Object.entries(files)) await writeAs('alice', `${root}/${path}`, content);
    await machine.run('chmod', '0750', `${root}/run.sh`);
  });
  after(() => (skip === false ? machine.end() : undefined));

  async function writeAs(user: string, path: string, content: string): Promise<void> {
    const script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"';
    await machine.runAs(user, 'sh', '-c', script, 'sh', path, content);
  }

  /** pid and kind of every worker process in the machine. */
  async function workers(): Promise<{ pid: string; kind: string }[]> {
    const { stdout } = await machine.try('pgrep', '--full', '--list-full', 'dist/worker.js');
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => ({ pid: line.split(' ')[0] ?? '', kind: /worker\.js (\w+)/.exec(line)?.[1] ?? '' }));
  }

  async function mainPid(unit = service): Promise<string> {
    return (await machine.show(unit, 'MainPID'))['MainPID'] ?? '';
  }

  /** Waits until the three workers that start by themselves are there, each once. */
  async function untilWorkersRun(): Promise<{ pid: string; kind: string }[]> {
    return await waitFor(
      'the workers run',
      async () => {
        const { workers: states } = await machine.call(socket, 'health');
        const { repair, ...wanted } = states as Record<string, string>;
        if (repair === undefined || !Object.values(wanted).every((state) => state === 'ready')) return null;
        return await workers();
      },
      30_000,
    );
  }

  function assertOneOfEach(found: readonly { kind: string }[]): void {
    assert.deepEqual(found.map(({ kind }) => kind).sort(), [
      'file_watcher',
      'index_service',
      'vectorization',
    ]);
  }

  async function journal(...args: string[]): Promise<{ PRIORITY: string; MESSAGE: string; _COMM: string }[]> {
    const text = await machine.run('journalctl', '--no-pager', '--output=json', ...args);
    const lines = text.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as { PRIORITY: string; MESSAGE: string; _COMM: string });
  }

  inMachine(
    'install writes units with absolute paths, once, and nothing over what another wrote',
    async () => {
      const dry = JSON.parse(
        await machine.run('codekeep', 'install', '--system', '--dry-run', '--json'),
      ) as object;
      assert.deepEqual((await machine.try('ls', '/etc/systemd/system/codekeep@.service')).status, 2);
      assert.ok('units' in dry);
      const first = JSON.parse(
        await machine.run('codekeep', 'install', '--system', '--for', 'alice', '--json'),
      ) as {
        units: { action: string }[];
        reloaded: boolean;
        next: string[];
      };
      assert.deepEqual(
        first.units.map(({ action }) => action),
        ['write', 'write'],
      );
      assert.equal(first.reloaded, true);
      assert.equal(first.next[0], `systemctl enable --now ${socketUnit}`);
      const unit = await machine.run('cat', '/etc/systemd/system/codekeep@.service');
      assert.match(
        unit,
        /^ExecStart="\/usr\/local\/bin\/node" "\/usr\/local\/lib\/node_modules\/codekeep\/dist\/cli\.js" serve /m,
      );
      const again = JSON.parse(
        await machine.run('codekeep', 'install', '--system', '--json'),
      ) as typeof first;
      assert.deepEqual(
        again.units.map(({ action }) => action),
        ['unchanged', 'unchanged'],
      );

      const unknown = await machine.try('codekeep', 'install', '--system', '--for', 'nobody-of-that-name');
      assert.deepEqual([unknown.status, unknown.stdout], [1, '']);
    },
  );

  inMachine('systemd finds nothing wrong in the units', async () => {
    const system = await machine.try(
      'systemd-analyze',
      'verify',
      '/etc/systemd/system/codekeep@.service',
      '/etc/systemd/system/codekeep@.socket',
    );
    assert.deepEqual([system.status, system.stdout + system.stderr], [0, '']);
  });

  inMachine(`systemd-analyze security: an exposure of ${exposureMax} at most`, async (t) => {
    const text = await machine.run('systemd-analyze', 'security', '--no-pager', service);
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(text)?.[1]);
    t.diagnostic(`exposure ${exposure}`);
    assert.ok(exposure <= exposureMax, String(exposure));
  });

  inMachine('the first connection starts it, and it is started when it answers', async (t) => {
    await machine.run('systemctl', 'enable', '--now', socketUnit);
    assert.equal((await machine.show(service, 'ActiveState'))['ActiveState'], 'inactive');
    const mode = await machine.run('stat', '--format=%a %U', socket);
    assert.equal(mode.trim(), '600 alice');
    const startedAt = performance.now();
    const { pid } = await machine.call(socket, 'health');
    t.diagnostic(`first connection to its answer: ${Math.round(performance.now() - startedAt)} ms`);
    await machine.run('systemctl', 'start', service);
    const unit = await machine.show(service, 'ActiveState', 'Type', 'MainPID', 'User');
    assert.deepEqual(unit, { ActiveState: 'active', Type: 'notify', MainPID: String(pid), User: 'alice' });
    assertOneOfEach(await untilWorkersRun());
    await waitFor('the status line says what runs', async () => {
      const { StatusText } = await machine.show(service, 'StatusText');
      return StatusText === 'ready: index_service, file_watcher, vectorization' || assert.fail(StatusText);
    });
  });

  inMachine('state and logs are where systemd says, and nobody else may read them', async () => {
    const modes = await machine.run(
      'stat',
      '--format=%a %U %n',
      '/var/lib/codekeep/alice',
      '/var/log/codekeep/alice',
    );
    assert.equal(modes, '700 alice /var/lib/codekeep/alice\n700 alice /var/log/codekeep/alice\n');
    const { log_files } = await machine.call(socket, 'list_worker_logs');
    const paths = (log_files as { path: string }[]).map(({ path }) => path);
    assert.ok(paths.includes('/var/log/codekeep/alice/supervisor.log'), paths.join());
  });

  inMachine('the journal has the start, at its priority', async () => {
    const entries = await journal(`--unit=${service}`);
    const start = entries.find(({ MESSAGE }) => /^supervisor: codekeep .* listens on /.test(MESSAGE));
    assert.equal(start?.PRIORITY, '6');
    assert.deepEqual(
      entries.filter(({ PRIORITY, _COMM }) => Number(PRIORITY) <= 4 && _COMM !== 'systemd'),
      [],
    );
  });

  inMachine('a repair over the activated socket brings the bytes back', async () => {
    await machine.call(socket, 'update_indexes', { root_dir: root });
    await machine.call(socket, 'stop_worker', { worker_type: 'file_watcher' });
    await machine.run('rm', '-r', `${root}/main.py`, `${root}/lib`, `${root}/run.sh`);
    const report = await machine.call(socket, 'repair_database', { root_dir: root });
    assert.equal((report['files_restored_from_cst'] as unknown[]).length, Object.keys(files).length);
    for (const [path, content] of Object.entries(files)) {
      const hash = await machine.run('sha256sum', `${root}/${path}`);
      assert.equal(hash.split(' ')[0], sha256(content), path);
    }
    assert.equal(await machine.run('stat', '--format=%a %U', `${root}/run.sh`), '750 alice\n');
    await machine.call(socket, 'start_worker', { worker_type: 'file_watcher' });
  });

  inMachine('the doctor finds nothing that fails', async () => {
    const args = ['--socket', socket, '--state-dir', '/var/lib/codekeep/alice', '--json'];
    const { ok, findings } = JSON.parse(await machine.runAs('alice', 'codekeep', 'doctor', ...args)) as {
      ok: boolean;
      findings: { check: string; verdict: string }[];
    };
    assert.equal(ok, true);
    // Which the machine does not have.
    assert.deepEqual(
      findings.filter(({ verdict }) => verdict !== 'ok').map(({ check, verdict }) => [check, verdict]),
      [['git', 'warn']],
    );
    assert.ok(findings.some(({ check }) => check === 'systemd-notify'));
  });

  inMachine('SIGKILL of the supervisor: started again, and no worker is there twice', async () => {
    const killed = await mainPid();
    const old = await workers();
    await machine.run('kill', '-KILL', killed);
    await waitFor('another supervisor', async () => !['0', killed].includes(await mainPid()), 20_000);
    const now = await untilWorkersRun();
    assertOneOfEach(now);
    assert.deepEqual(
      now.filter(({ pid }) => old.some((other) => other.pid === pid)),
      [],
    );
    assert.equal((await machine.show(service, 'NRestarts'))['NRestarts'], '1');
  });

  inMachine(
    'a watchdog of 3 s lets a supervisor live that works, and restarts one that is stuck',
    async () => {
      const dropIn = `/etc/systemd/system/${service}.d/watchdog.conf`;
      const script =
        'mkdir -p "$(dirname "$1")" && printf "[Service]\\nWatchdogSec=3\\nTimeoutStopSec=5\\n" > "$1"';
      await machine.run('sh', '-c', script, 'sh', dropIn);
      await machine.run('systemctl', 'daemon-reload');
      await machine.run('systemctl', 'restart', service);
      const working = await mainPid();
      const pings = new Set<string>();
      await waitFor(
        'six pings, which is twice the watchdog',
        async () => {
          const { WatchdogTimestampMonotonic } = await machine.show(service, 'WatchdogTimestampMonotonic');
          return pings.add(WatchdogTimestampMonotonic ?? '').size > 6;
        },
        20_000,
      );
      assert.equal(await mainPid(), working);
      const old = await untilWorkersRun();
      await machine.run('kill', '-STOP', working);
      await waitFor('another supervisor', async () => !['0', working].includes(await mainPid()), 60_000);
      const now = await untilWorkersRun();
      assertOneOfEach(now);
      assert.deepEqual(
        now.filter(({ pid }) => old.some((other) => other.pid === pid)),
        [],
      );
      const entries = await journal(`--unit=${service}`);
      assert.ok(entries.some(({ MESSAGE }) => MESSAGE.includes('Watchdog timeout')));
    },
  );

  inMachine(
    'a stop that a worker delays asks for the time it needs, beyond TimeoutStopSec, and ends in order',
    async () => {
      const stuck = (await untilWorkersRun()).find(({ kind }) => kind === 'vectorization');
      await machine.run('kill', '-STOP', stuck?.pid ?? '');
      const startedAt = performance.now();
      await machine.run('systemctl', 'stop', service);
      assert.ok(performance.now() - startedAt > 9_000, 'the worker was given its 10 s');
      assert.deepEqual(await machine.show(service, 'ActiveState', 'Result', 'ExecMainStatus'), {
        ActiveState: 'inactive',
        Result: 'success',
        ExecMainStatus: '0',
      });
      assert.deepEqual(await workers(), []);
    },
  );

  inMachine(
    'a configuration that is wrong: the journal names the key, and it is not tried for ever',
    async () => {
      const config = '/etc/codekeep/alice/config.json';
      await machine.run('sh', '-c', 'echo \'{"log_level": "loud"}\' > "$1"', 'sh', config);
      await machine.try('systemctl', 'start', service);
      await waitFor(
        'systemd gives up',
        async () => (await machine.show(service, 'ActiveState'))['ActiveState'] === 'failed',
        30_000,
      );
      const errors = await journal(`--unit=${service}`, '--priority=err');
      assert.ok(errors.some(({ MESSAGE }) => /codekeep: .*config\.json: log_level: /.test(MESSAGE)));
      await machine.run('rm', config);
      await machine.run('systemctl', 'reset-failed', service, socketUnit);
      await machine.run('systemctl', 'restart', socketUnit);
    },
  );

  inMachine('the journal has the crash of a worker as an error', async () => {
    await machine.call(socket, 'health');
    const watcher = (await untilWorkersRun()).find(({ kind }) => kind === 'file_watcher');
    await machine.run('kill', '-KILL', watcher?.pid ?? '');
    await waitFor('the journal has it', async () => {
      const errors = await journal(`--unit=${service}`, '--priority=err');
      return errors.some(({ MESSAGE }) => MESSAGE.startsWith('file_watcher: was ended by SIGKILL'));
    });
    assertOneOfEach(await untilWorkersRun());
    await machine.run('systemctl', 'stop', service);
  });

  inMachine(
    'the next connection starts it again; a stop in order leaves the socket and no process',
    async (t) => {
      await machine.call(socket, 'health');
      assertOneOfEach(await untilWorkersRun());
      const sizes = (await machine.run('ps', '-o', 'rss=', '-U', 'alice')).trim().split(/\s+/).map(Number);
      const sum = sizes.reduce((total, size) => total + size, 0);
      t.diagnostic(`resident memory of ${sizes.length} processes: ${Math.round(sum / 1_024)} MB`);
      await machine.run('systemctl', 'stop', service);
      assert.deepEqual(await machine.show(service, 'ActiveState', 'Result'), {
        ActiveState: 'inactive',
        Result: 'success',
      });
      assert.equal((await machine.try('pgrep', '--uid', 'alice')).stdout, '');
      assert.equal((await machine.show(socketUnit, 'ActiveState'))['ActiveState'], 'active');
      const last = (await journal(`--unit=${service}`, '--lines=20')).map(({ MESSAGE }) => MESSAGE);
      assert.ok(last.includes('supervisor: stopped'), last.join('\n'));
    },
  );

  inMachine(
    "uninstall takes the units away, the instances' sockets with them, and keeps the index",
    async () => {
      await machine.run('codekeep', 'uninstall', '--system');
      assert.notEqual((await machine.try('systemctl', 'cat', service)).status, 0);
      assert.notEqual((await machine.try('ls', socket)).status, 0);
      assert.equal((await machine.try('pgrep', '--full', 'codekeep')).stdout, '');
      assert.equal(
        (await machine.run('find', '/etc/systemd/system', '-name', 'codekeep@alice.socket')).trim(),
        '',
      );
      await machine.run('ls', '/var/lib/codekeep/alice/index.db');
    },
  );

  inMachine('a unit that somebody else wrote is kept, unless --force says otherwise', async () => {
    const path = '/etc/systemd/system/codekeep@.service';
    const own = '[Service]\nExecStart=/bin/true\n';
    await machine.run('sh', '-c', 'printf %s "$2" > "$1"', 'sh', path, own);
    const refused = await machine.try('codekeep', 'install', '--system', '--json');
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /TARGET_FILE_EXISTS/);
    assert.equal(await machine.run('cat', path), own);
    assert.notEqual(
      (await machine.try('ls', '/etc/systemd/system/codekeep@.socket')).status,
      0,
      'all or nothing',
    );
    await machine.run('codekeep', 'uninstall', '--system');
    assert.equal(await machine.run('cat', path), own);
    await machine.run('codekeep', 'install', '--system', '--force');
    assert.match(await machine.run('cat', path), /^# Written by "codekeep install"/);
    await machine.run('codekeep', 'uninstall', '--system');
  });

  inMachine('the units of a user: installed, started by a command, stopped, removed', async () => {
    await machine.run('loginctl', 'enable-linger', 'alice');
    await waitFor("the user's systemd", async () => {
      const { stdout } = await machine.try('systemctl', 'is-active', 'user@1000.service');
      return stdout.trim() === 'active';
    });
    const alice = (...command: string[]): Promise<string> => machine.runAs('alice', ...command);
    await alice('codekeep', 'install', '--user');
    await alice('systemctl', '--user', 'enable', '--now', 'codekeep.socket');
    const status = JSON.parse(await alice('codekeep', 'status', '--json')) as { health: { status: string } };
    assert.equal(status.health.status, 'ok');
    await alice('systemctl', '--user', 'start', 'codekeep.service');
    assert.match(
      await alice('systemctl', '--user', 'show', 'codekeep.service', '--property=ActiveState,StatusText'),
      /^ActiveState=active$/m,
    );
    const units = ['service', 'socket'].map((type) => `/home/alice/.config/systemd/user/codekeep.${type}`);
    assert.equal(await alice('systemd-analyze', '--user', 'verify', ...units), '');
    const findings = await alice('codekeep', 'doctor');
    assert.match(findings, / 0 failed$/m);
    await alice('codekeep', 'uninstall', '--user');
    assert.equal((await machine.try('pgrep', '--full', 'codekeep')).stdout, '');
    assert.notEqual((await machine.try('ls', '/run/user/1000/codekeep/codekeep.sock')).status, 0);
  });
});
