import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, unlink, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Command, Option } from 'commander';
import { CodekeepError, errnoOf, ignoreErrno, messageOf } from '../base/errors.js';
import { configHome } from '../base/locations.js';
import { packagePath, version } from '../base/package.js';
import { CommandError, print, printJson } from './output.js';
import { isOurs, plannedUnits, readIfThere, type Scope, type UnitFile, unitNames } from './unit-files.js';

interface InstallFlags {
  user?: boolean;
  system?: boolean;
  for?: string;
  force?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

interface ServiceReport {
  dry_run: boolean;
  units: { path: string; action: string }[];
  /** Whether the running systemd has read them. */
  reloaded: boolean;
  notes: string[];
  next: string[];
}

/** Adds install and uninstall, which put the daemon under systemd's care. */
export function addServiceCommands(program: Command): void {
  scopeOptions(program.command('install').description('Install the systemd units that start the daemon'))
    .option('--for <user>', 'with --system: whose files the daemon keeps')
    .option('--force', 'replace units that were not written by this command')
    .action(async (flags: InstallFlags) => show(await install(flags), flags));
  scopeOptions(
    program
      .command('uninstall')
      .description('Stop the daemon of systemd and remove its units; keeps every file'),
  ).action(async (flags: InstallFlags) => show(await uninstall(flags), flags));
}

function scopeOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--user', "units of this user's sessions (the default unless root)").conflicts('system'),
    )
    .option('--system', 'units of the machine, one instance for each user (the default for root)')
    .option('--dry-run', 'only say what would be done');
}

async function install(flags: InstallFlags): Promise<ServiceReport> {
  const scope = scopeOf(flags);
  const user = await instanceUser(scope, flags.for);
  const units = plannedUnits(scope, unitFolder(scope), installedProgram());
  const foreign = units.filter(({ state }) => state === 'foreign');
  if (foreign.length > 0 && flags.force !== true) {
    throw new CodekeepError(
      'TARGET_FILE_EXISTS',
      `Not written by codekeep: ${foreign.map(({ path }) => path).join(', ')}. Nothing was changed.`,
      'Look at what is in it (systemctl cat), then move it away or replace it with --force.',
      { paths: foreign.map(({ path }) => path) },
    );
  }
  const isDry = flags.dryRun === true;
  const changed = units.filter(({ state }) => state !== 'unchanged');
  const notes: string[] = [];
  let reloaded = false;
  if (!isDry) {
    await requireSystemctl();
    for (const unit of changed) await placeUnit(unit);
    reloaded = await reload(scope, notes);
  }
  return {
    dry_run: isDry,
    units: units.map(({ path, state }) => ({ path, action: state === 'foreign' ? 'replace' : state })),
    reloaded,
    notes,
    next: nextCommands(scope, user),
  };
}

async function uninstall(flags: InstallFlags): Promise<ServiceReport> {
  const scope = scopeOf(flags);
  const folder = unitFolder(scope);
  const found = unitNames(scope).map((name) => ({
    path: join(folder, name),
    text: readIfThere(join(folder, name)),
  }));
  const ours = found.filter(({ text }) => text !== null && isOurs(text));
  const isDry = flags.dryRun === true;
  const notes = found
    .filter(({ text }) => text !== null && !isOurs(text))
    .map(({ path }) => `kept, not written by codekeep: ${path}`);
  let reloaded = false;
  if (!isDry && ours.length > 0) {
    await requireSystemctl();
    await stopUnits(scope, notes);
    for (const { path } of ours) await unlink(path).catch(asPermission(path));
    reloaded = await reload(scope, notes);
  }
  const next = 'The index and the logs stay where they are; "codekeep install" continues with them.';
  return {
    dry_run: isDry,
    units: ours.map(({ path }) => ({ path, action: 'remove' })),
    reloaded,
    notes,
    next: [next],
  };
}

function scopeOf({ user, system }: InstallFlags): Scope {
  if (system === true) return 'system';
  return user === true || userInfo().uid !== 0 ? 'user' : 'system';
}

function unitFolder(scope: Scope): string {
  if (scope === 'system') return '/etc/systemd/system';
  return join(configHome(process.env), 'systemd', 'user');
}

function installedProgram(): { node: string; cli: string; version: string } {
  return { node: process.execPath, cli: packagePath('dist', 'cli.js'), version };
}

/** Whose instance the next command starts. */
async function instanceUser(scope: Scope, name: string | undefined): Promise<string> {
  if (name === undefined) return process.env['SUDO_USER'] ?? 'USER';
  if (scope === 'user')
    throw new CommandError('--for names a user for --system.', 'Leave it out, or give --system.');
  try {
    await promisify(execFile)('id', ['-u', '--', name]);
    return name;
  } catch {
    throw new CommandError(`There is no user ${name}.`, 'Give the name of a user of this machine.');
  }
}

/** Under a name of its own first: systemd must not read half a unit. */
async function placeUnit({ path, text }: UnitFile): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(temporary, text, { flag: 'wx', mode: 0o644 });
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(ignoreErrno('ENOENT', 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR'));
    asPermission(path)(error);
  }
}

function asPermission(path: string): (error: unknown) => never {
  return (error) => {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error) ?? '')) throw error;
    throw new CommandError(
      `${path} cannot be changed: ${messageOf(error)}`,
      'Run it as root, or give --user.',
    );
  };
}

/** @throws Error with what systemctl itself said */
async function systemctl(scope: Scope, ...args: string[]): Promise<void> {
  try {
    await promisify(execFile)('systemctl', [`--${scope}`, ...args]);
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new Error(said === '' ? messageOf(error) : said.replaceAll('\n', ' '), { cause: error });
  }
}

async function requireSystemctl(): Promise<void> {
  try {
    await promisify(execFile)('systemctl', ['--version']);
  } catch {
    throw new CommandError(
      'This machine has no systemd: there is no program systemctl.',
      'Start the daemon with "codekeep serve" from whatever starts services here.',
    );
  }
}

/** Whether a running systemd has read the units; where none runs, the next one that starts will. */
async function reload(scope: Scope, notes: string[]): Promise<boolean> {
  if (scope === 'system' && !existsSync('/run/systemd/system')) {
    notes.push('systemd does not run here; it reads the units when it starts.');
    return false;
  }
  try {
    await systemctl(scope, 'daemon-reload');
    return true;
  } catch (error) {
    const command = `systemctl --${scope} daemon-reload`;
    notes.push(`systemd was not told (${messageOf(error)}); run "${command}" in a session of this user.`);
    return false;
  }
}

/** Stopping the socket first keeps a connection from starting the daemon again. */
async function stopUnits(scope: Scope, notes: string[]): Promise<void> {
  const running =
    scope === 'system'
      ? ['codekeep@*.socket', 'codekeep@*.service']
      : ['codekeep.socket', 'codekeep.service'];
  const enabled = scope === 'system' ? ['codekeep@.socket', 'codekeep@.service'] : running;
  try {
    for (const unit of running) await systemctl(scope, 'stop', unit);
    await systemctl(scope, 'disable', ...enabled);
  } catch (error) {
    notes.push(`systemd did not stop everything: ${messageOf(error)}`);
  }
}

function nextCommands(scope: Scope, user: string): string[] {
  if (scope === 'user') return ['systemctl --user enable --now codekeep.socket', 'codekeep status'];
  return [
    `systemctl enable --now codekeep@${user}.socket`,
    `codekeep status --socket /run/codekeep/${user}/codekeep.sock`,
  ];
}

function show(report: ServiceReport, { json }: InstallFlags): void {
  if (json === true) return printJson(report);
  const past: Record<string, string> = { write: 'written', replace: 'replaced', remove: 'removed' };
  for (const { path, action } of report.units)
    print`${report.dry_run && action in past ? `would ${action}` : (past[action] ?? action)}: ${path}`;
  if (report.units.length === 0) print`nothing to do`;
  if (report.reloaded) print`systemd has read the change`;
  for (const note of report.notes) print`${note}`;
  report.next.forEach((command, index) => print`${index === 0 ? 'next:' : '     '} ${command}`);
}
