import assert from 'node:assert/strict';
import { userInfo } from 'node:os';
import { test } from 'node:test';
import { locate, type LocationFlags, type Locations } from '#src/base/locations.js';

interface Case {
  name: string;
  flags?: LocationFlags;
  env: Record<string, string>;
  expected: Partial<Locations>;
}

const home = { HOME: '/home/me' };
const xdg = { ...home, XDG_STATE_HOME: '/s', XDG_CONFIG_HOME: '/c', XDG_RUNTIME_DIR: '/run/user/1' };
const systemd = {
  STATE_DIRECTORY: '/var/lib/ck',
  RUNTIME_DIRECTORY: '/run/ck',
  CONFIGURATION_DIRECTORY: '/etc/ck',
  LOGS_DIRECTORY: '/var/log/ck',
};
const own = { CODEKEEP_STATE_DIR: '/mine', CODEKEEP_SOCKET: '/mine/s.sock', CODEKEEP_CONFIG: '/mine/c.json' };

const cases: Case[] = [
  {
    name: 'nothing set: below the home folder',
    env: home,
    expected: {
      stateDir: '/home/me/.local/state/codekeep',
      config: '/home/me/.config/codekeep/config.json',
      socket: '/home/me/.local/state/codekeep/codekeep.sock',
      logs: '/home/me/.local/state/codekeep/logs',
    },
  },
  {
    name: 'the XDG folders',
    env: xdg,
    expected: {
      stateDir: '/s/codekeep',
      config: '/c/codekeep/config.json',
      socket: '/run/user/1/codekeep/codekeep.sock',
    },
  },
  {
    name: 'systemd beats XDG',
    env: { ...xdg, ...systemd },
    expected: {
      stateDir: '/var/lib/ck',
      config: '/etc/ck/config.json',
      socket: '/run/ck/codekeep.sock',
      logs: '/var/log/ck',
    },
  },
  {
    name: 'of several directories that systemd gives, the first',
    env: {
      ...home,
      STATE_DIRECTORY: '/var/lib/ck:/var/lib/other',
      LOGS_DIRECTORY: '/var/log/ck:/var/log/other',
    },
    expected: { stateDir: '/var/lib/ck', logs: '/var/log/ck' },
  },
  {
    name: 'CODEKEEP_* beats systemd',
    env: { ...xdg, ...systemd, ...own },
    expected: { stateDir: '/mine', config: '/mine/c.json', socket: '/mine/s.sock' },
  },
  {
    name: 'flags beat everything',
    flags: { stateDir: '/flag', socket: '/flag/x', config: '/flag/y' },
    env: { ...xdg, ...systemd, ...own },
    expected: { stateDir: '/flag', socket: '/flag/x', config: '/flag/y' },
  },
  {
    name: 'a state directory of its own brings its own socket and logs',
    env: { ...xdg, ...systemd, CODEKEEP_STATE_DIR: '/mine' },
    expected: { stateDir: '/mine', socket: '/mine/codekeep.sock', logs: '/mine/logs' },
  },
  {
    name: 'so does the flag',
    flags: { stateDir: '/flag' },
    env: { ...xdg, ...systemd },
    expected: { stateDir: '/flag', socket: '/flag/codekeep.sock', logs: '/flag/logs' },
  },
  {
    name: 'but a named socket counts',
    flags: { stateDir: '/flag' },
    env: { ...xdg, CODEKEEP_SOCKET: '/other.sock' },
    expected: { socket: '/other.sock' },
  },
  {
    name: 'a variable that is set to nothing is not set',
    env: {
      ...home,
      CODEKEEP_STATE_DIR: '',
      CODEKEEP_SOCKET: '',
      CODEKEEP_CONFIG: '',
      XDG_STATE_HOME: '',
      XDG_CONFIG_HOME: '',
      XDG_RUNTIME_DIR: '',
      STATE_DIRECTORY: '',
    },
    expected: {
      stateDir: '/home/me/.local/state/codekeep',
      config: '/home/me/.config/codekeep/config.json',
      socket: '/home/me/.local/state/codekeep/codekeep.sock',
    },
  },
  {
    name: 'nor is one of XDG with a relative path',
    env: { ...home, XDG_STATE_HOME: 'state', XDG_CONFIG_HOME: './config', XDG_RUNTIME_DIR: 'run' },
    expected: {
      stateDir: '/home/me/.local/state/codekeep',
      config: '/home/me/.config/codekeep/config.json',
      socket: '/home/me/.local/state/codekeep/codekeep.sock',
    },
  },
  ...['', 'me', '.'].map((folder) => ({
    name: `HOME=${folder} is no home: the one of the account`,
    env: { HOME: folder },
    expected: {
      stateDir: `${userInfo().homedir}/.local/state/codekeep`,
      config: `${userInfo().homedir}/.config/codekeep/config.json`,
    },
  })),
  {
    name: 'relative flags are taken from the working directory',
    flags: { stateDir: 'state' },
    env: home,
    expected: { stateDir: `${process.cwd()}/state` },
  },
];

for (const { name, flags, env, expected } of cases) {
  test(`locations: ${name}`, () => {
    const located = locate(flags ?? {}, env);
    assert.deepEqual({ ...located, ...expected }, located);
  });
}

test('a configuration is named by its flag or variable, not by the folders of systemd and XDG', () => {
  const named = (flags: { config?: string }, env: Record<string, string>): boolean =>
    locate(flags, { ...home, ...env }).isConfigNamed;
  assert.deepEqual([named({ config: 'c' }, {}), named({}, { CODEKEEP_CONFIG: '/c' })], [true, true]);
  const folders = { CONFIGURATION_DIRECTORY: '/etc/codekeep', XDG_CONFIG_HOME: '/xdg' };
  assert.deepEqual([named({}, {}), named({}, folders)], [false, false]);
});

test('a socket path that the kernel would cut off is refused', () => {
  const socket = (bytes: number): string => `/${'s'.repeat(bytes - 1)}`;
  assert.equal(locate({ socket: socket(107) }, home).socket, socket(107));
  assert.throws(() => locate({ socket: socket(108) }, home), { code: 'INVALID_PARAMS' });
  assert.throws(() => locate({ socket: `/${'ä'.repeat(54)}` }, home), { code: 'INVALID_PARAMS' });
});
