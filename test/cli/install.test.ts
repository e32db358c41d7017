import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { renderUnit, stateOf } from '#src/cli/unit-files.js';
import { type CommandResult, run, withoutPrivileges } from '../harness/command.js';
import { program, Sandbox } from '../harness/sandbox.js';

/** `codekeep install|uninstall --user` in a home of its own, out of reach of a systemd that runs here. */
async function service(sandbox: Sandbox, ...args: string[]): Promise<CommandResult> {
  const home = [`XDG_CONFIG_HOME=${sandbox.path('config')}`, `XDG_RUNTIME_DIR=${sandbox.path('none')}`];
  const env = ['--unset=DBUS_SESSION_BUS_ADDRESS', ...home];
  return await run(sandbox, 'env', [...env, process.execPath, program, ...args, '--user']);
}

const unitPath = (sandbox: Sandbox, name: string): string => sandbox.path('config/systemd/user', name);

const isThere = spawnSync('systemctl', ['--version']).status === 0;

const skip = isThere ? false : 'missing: systemctl';

suite('install for a user', () => {
  test(
    'writes the units with the absolute paths of node and program, and says what comes next',
    { skip },
    async (t) => {
      const sandbox = await Sandbox.create(t);
      const { status, stdout } = await service(sandbox, 'install');
      assert.equal(status, 0);
      assert.match(stdout, /^written: .*codekeep\.service\nwritten: .*codekeep\.socket\n/);
      assert.match(stdout, /next: systemctl --user enable --now codekeep\.socket/);
      const unit = await readFile(unitPath(sandbox, 'codekeep.service'), 'utf8');
      assert.ok(unit.includes(`ExecStart="${process.execPath}" "${program}" serve --socket %t/`), unit);
      assert.match((await service(sandbox, 'install')).stdout, /^unchanged: .*\nunchanged: /);
    },
  );

  test(
    'replaces its own units of another version, and nothing that somebody else wrote',
    { skip },
    async (t) => {
      const sandbox = await Sandbox.create(t);
      await service(sandbox, 'install');
      const path = unitPath(sandbox, 'codekeep.service');
      await writeFile(path, '# Written by "codekeep install" 0.0.1;\n[Service]\n');
      assert.match((await service(sandbox, 'install')).stdout, /^replaced: .*codekeep\.service\nunchanged: /);

      await writeFile(path, '[Service]\nExecStart=/bin/true\n');
      const refused = await service(sandbox, 'install', '--json');
      const { error } = JSON.parse(refused.stderr) as { error: { code: string; hint: string } };
      assert.deepEqual([refused.status, error.code], [1, 'TARGET_FILE_EXISTS']);
      assert.match(error.hint, /--force/);
      assert.equal(await readFile(path, 'utf8'), '[Service]\nExecStart=/bin/true\n');
      await service(sandbox, 'install', '--force');
      assert.match(await readFile(path, 'utf8'), /^# Written by/);
    },
  );

  test('a masked unit is not unmasked, nor its target written to', { skip }, async (t) => {
    const sandbox = await Sandbox.create(t);
    await mkdir(sandbox.path('config/systemd/user'), { recursive: true });
    await symlink('/dev/null', unitPath(sandbox, 'codekeep.service'));
    assert.equal((await service(sandbox, 'install')).status, 1);
    assert.equal(existsSync(unitPath(sandbox, 'codekeep.socket')), false);
  });

  test('uninstall removes what install wrote, and keeps the rest', { skip }, async (t) => {
    const sandbox = await Sandbox.create(t);
    await service(sandbox, 'install');
    await writeFile(unitPath(sandbox, 'codekeep.socket'), '[Socket]\n');
    const { status, stdout } = await service(sandbox, 'uninstall');
    assert.equal(status, 0);
    assert.match(
      stdout,
      /^removed: .*codekeep\.service\nkept, not written by codekeep: .*codekeep\.socket\n/m,
    );
    assert.equal(existsSync(unitPath(sandbox, 'codekeep.service')), false);
    assert.equal(existsSync(unitPath(sandbox, 'codekeep.socket')), true);
  });

  test('without permission it says so, and leaves no half a unit', { skip }, async (t) => {
    const sandbox = await Sandbox.create(t);
    const folder = sandbox.path('config/systemd/user');
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o555);
    const command = [...withoutPrivileges(), process.execPath, program, 'install', '--user'];
    const { status, stderr } = await run(sandbox, 'env', [
      `XDG_CONFIG_HOME=${sandbox.path('config')}`,
      ...command,
    ]);
    assert.equal(status, 1);
    assert.match(stderr, /cannot be changed: EACCES.*\n {2}Run it as root/);
    assert.equal(existsSync(join(folder, 'codekeep.service')), false);
  });
});

test('--dry-run writes nothing and says what it would', async (t) => {
  const sandbox = await Sandbox.create(t);
  const { status, stdout } = await service(sandbox, 'install', '--dry-run');
  assert.equal(status, 0);
  assert.match(stdout, /^would write: .*codekeep\.service\nwould write: .*codekeep\.socket\n/);
  assert.equal(existsSync(sandbox.path('config')), false);
});

test('a machine without systemd: an error that says what to do instead', async (t) => {
  const sandbox = await Sandbox.create(t);
  const args = [
    'PATH=/nowhere',
    `XDG_CONFIG_HOME=${sandbox.path('config')}`,
    process.execPath,
    program,
    'install',
  ];
  const { status, stderr } = await run(sandbox, 'env', [...args, '--user']);
  assert.equal(status, 1);
  assert.match(stderr, /has no systemd.*\n {2}.*codekeep serve/);
  assert.equal(existsSync(sandbox.path('config')), false);
});

test('both scopes at once are wrong usage', async (t) => {
  const sandbox = await Sandbox.create(t);
  assert.equal((await service(sandbox, 'install', '--system')).status, 2);
});

test('paths that mean something to systemd are quoted', () => {
  const text = renderUnit('ExecStart=/usr/bin/env codekeep serve --socket %t/s\n', {
    node: '/opt/my node/node',
    cli: '/opt/100%/a"b\\c/$HOME/cli.js',
    version: '1',
  });
  assert.match(text, /^# Written by "codekeep install" 1;/);
  assert.ok(
    text.endsWith(
      'ExecStart="/opt/my node/node" "/opt/100%%/a\\"b\\\\c/$$HOME/cli.js" serve --socket %t/s\n',
    ),
    text,
  );
});

for (const [found, expected] of [
  [null, 'write'],
  ['text', 'unchanged'],
  ['# Written by "codekeep install" 0.0.1\nother', 'replace'],
  ['other', 'foreign'],
  ['', 'foreign'],
] as const)
  test(`a unit that has ${JSON.stringify(found)} is taken as: ${expected}`, () =>
    assert.equal(stateOf(found, 'text'), expected));
