import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { suite, test, type TestContext } from 'node:test';
import { type ServiceNotify, serviceNotify, statusLine } from '#src/daemon/service-notify.js';
import { childrenOf, environmentOf } from '../harness/processes.js';
import { Sandbox } from '../harness/sandbox.js';
import { waitFor } from '../harness/waiting.js';

const missing = ['systemd-notify', 'perl'].filter(
  (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0,
);

/**
 * Takes datagrams as systemd does and prints them. Not socat: it keeps the descriptor that comes with a message,
 * and systemd-notify waits until that is closed.
 */
const receiver = `
use Socket;
$| = 1;
socket(NOTIFY, AF_UNIX, SOCK_DGRAM, 0) or die $!;
bind(NOTIFY, sockaddr_un($ARGV[0])) or die $!;
while (defined recv(NOTIFY, my $message, 65536, 0)) { print "$message\\n" }
`;

/** A datagram socket like systemd's; \`text\` is everything that came. */
interface Listener {
  path: string;
  text: () => string;
}

async function listen(sandbox: Sandbox): Promise<Listener> {
  const path = sandbox.path('notify.sock');
  const child = sandbox.spawn('perl', ['-e', receiver, path]);
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await waitFor('somebody listens', () => existsSync(path));
  return { path, text: () => text };
}

const occurrences = (text: string, part: string): number => text.split(part).length - 1;

const skip = missing.length === 0 ? false : `missing: ${missing.join(', ')}`;

suite('telling systemd', () => {
  test('ready once it answers, pings while it does, and the stop before it ends', { skip }, async (t) => {
    const sandbox = await Sandbox.create(t);
    const systemd = await listen(sandbox);
    const daemon = await sandbox.startDaemon({
      under: ['env', `NOTIFY_SOCKET=${systemd.path}`, 'WATCHDOG_USEC=600000'],
    });
    await waitFor('READY=1', () => systemd.text().includes('READY=1'));
    const { workers } = await daemon.call('health');
    assert.equal(workers['index_service'], 'ready');
    await waitFor('pings', () => occurrences(systemd.text(), 'WATCHDOG=1') >= 5);
    await waitFor('the status', () => /STATUS=ready: index_service, file_watcher/.test(systemd.text()));
    assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
    const text = systemd.text();
    assert.equal(occurrences(text, 'READY=1'), 1);
    assert.ok(text.indexOf('STATUS=starting') < text.indexOf('READY=1'));
    assert.ok(text.indexOf('READY=1') < text.indexOf('STOPPING=1'));
    // 10 s for the workers and 15 s for the rest.
    assert.match(text.slice(text.indexOf('STOPPING=1')), /EXTEND_TIMEOUT_USEC=25000000\n/);
  });

  test(
    'what systemd gave to the supervisor is not in the environment of its workers',
    { skip },
    async (t) => {
      const sandbox = await Sandbox.create(t);
      const systemd = await listen(sandbox);
      const daemon = await sandbox.startDaemon({
        under: ['env', `NOTIFY_SOCKET=${systemd.path}`, 'WATCHDOG_USEC=60000000'],
      });
      await waitFor('READY=1', () => systemd.text().includes('READY=1'));
      const workers = childrenOf(daemon.pid).filter(({ commandLine }) =>
        commandLine.some((word) => word.endsWith('worker.js')),
      );
      assert.ok(workers.length > 0);
      for (const { pid } of workers)
        assert.deepEqual(
          environmentOf(pid).filter((entry) => /^(NOTIFY|WATCHDOG|LISTEN)_/.test(entry)),
          [],
        );
    },
  );

  test(
    'no ping goes out for a supervisor that takes connections and does not answer',
    { skip },
    async (t) => {
      const { notify, systemd, socket } = await besideSocket(t);
      const server = createServer(() => undefined).listen(socket);
      t.after(() => server.close());
      await notify.look();
      assert.doesNotMatch(systemd.text(), /WATCHDOG/);
    },
  );

  test(
    'a socket that was removed is no reason to be killed: it is said once, and the pings go on',
    { skip },
    async (t) => {
      const { notify, systemd, said } = await besideSocket(t);
      await notify.look();
      await notify.look();
      assert.equal(occurrences(systemd.text(), 'WATCHDOG=1'), 2);
      assert.equal(said.length, 1);
      assert.match(said[0] ?? '', /^warn Nobody can reach this supervisor at /);
    },
  );

  test('no ping goes out for a start that outlasts its bound', { skip }, async (t) => {
    const { notify, systemd } = await besideSocket(t);
    notify.starting(0);
    await notify.look();
    await notify.end();
    assert.match(systemd.text(), /STATUS=starting/);
    assert.doesNotMatch(systemd.text(), /WATCHDOG/);
  });

  test('a watchdog that is meant for another process gets no ping', { skip }, async (t) => {
    const { notify, systemd } = await besideSocket(t, { WATCHDOG_PID: '1' });
    notify.ready();
    await waitFor('READY=1', () => systemd.text().includes('READY=1'));
    assert.doesNotMatch(systemd.text(), /WATCHDOG/);
  });

  test('READY=1 is sent again until systemd has taken it', { skip }, async (t) => {
    const { notify, systemd, sandbox } = await besideSocket(t);
    const path = systemd.path;
    await unlink(path);
    notify.ready();
    await notify.end();
    assert.doesNotMatch(systemd.text(), /READY/);
    const later = await listen(sandbox);
    await notify.look();
    assert.match(later.text(), /READY=1/);
  });
});

test('without systemd-notify it is said once what to do, and nothing is tried again', async (t) => {
  const { notify, said } = await besideSocket(t, { PATH: '/nowhere' }, false);
  notify.ready();
  await notify.end();
  await notify.look();
  await notify.end();
  assert.equal(said.filter((line) => line.startsWith('error')).length, 1);
  assert.match(said.join('\n'), /error The program systemd-notify is missing.*Type=exec/);
});

test('without NOTIFY_SOCKET there is nobody to tell', () => {
  const log = (): void => assert.fail('nothing is said');
  assert.equal(serviceNotify({ env: { WATCHDOG_USEC: '1000' }, socket: '/nowhere', log }), null);
});

const health = { status: 'ok' as const, repair: null };
const statusCases: [string, Parameters<typeof statusLine>[0], string][] = [
  ['all well', { ...health, workers: { index_service: 'ready', repair: 'stopped' } }, 'ready: index_service'],
  ['nothing runs', { ...health, workers: { index_service: 'starting' } }, 'no worker runs'],
  [
    'a crash',
    { status: 'degraded', repair: null, workers: { index_service: 'ready', file_watcher: 'backoff' } },
    'degraded: file_watcher backoff',
  ],
  [
    'a repair goes before everything',
    { status: 'repairing', repair: { run_id: 'r', phase: 'apply', done: 3, total: 9 }, workers: {} },
    'repairing: apply, 3 of 9',
  ],
];
for (const [name, given, expected] of statusCases)
  test(`the status line: ${name}`, () => assert.equal(statusLine(given), expected));

interface BesideSocket {
  sandbox: Sandbox;
  systemd: Listener;
  notify: ServiceNotify;
  /** Where the supervisor's socket would be. */
  socket: string;
  said: string[];
}

/** The notices of a service whose supervisor is not there. */
async function besideSocket(
  t: TestContext,
  env: Record<string, string> = {},
  isHeard = true,
): Promise<BesideSocket> {
  const sandbox = await Sandbox.create(t);
  const systemd = isHeard ? await listen(sandbox) : { path: sandbox.path('none'), text: () => '' };
  const socket = sandbox.path('codekeep.sock');
  const said: string[] = [];
  const notify = serviceNotify({
    env: { PATH: process.env['PATH'], NOTIFY_SOCKET: systemd.path, WATCHDOG_USEC: '60000000', ...env },
    socket,
    log: (level, message) => said.push(`${level} ${message}`),
  });
  t.after(() => notify?.end());
  return { sandbox, systemd, notify: notify ?? assert.fail('there is a NOTIFY_SOCKET'), socket, said };
}
