import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { CodekeepError } from './errors.js';

/** sun_path holds 108 bytes with its terminator; the kernel silently truncates what is longer. */
const socketPathMaxBytes = 107;

/** Where the program keeps its things; absolute paths. */
export interface Locations {
  stateDir: string;
  socket: string;
  config: string;
  /** By a flag or CODEKEEP_CONFIG: then the file has to be there. */
  isConfigNamed: boolean;
  /** The folder of the log files. */
  logs: string;
}

/** Command-line flags that move a location; undefined where the flag was not given. */
export interface LocationFlags {
  stateDir?: string | undefined;
  socket?: string | undefined;
  config?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Flags beat CODEKEEP_* variables, which beat what systemd gives, which beats the XDG base directories.
 * @throws CodekeepError INVALID_PARAMS for a socket path longer than 107 bytes, and where there is no home folder
 */
export function locate(flags: LocationFlags, environment: Environment): Locations {
  const env = usable(environment);
  const stateDir = resolve(
    flags.stateDir ??
      env['CODEKEEP_STATE_DIR'] ??
      first(env['STATE_DIRECTORY']) ??
      join(xdg(env, 'XDG_STATE_HOME', '.local/state'), 'codekeep'),
  );
  const named = flags.config ?? env['CODEKEEP_CONFIG'];
  const config = resolve(
    named ?? join(first(env['CONFIGURATION_DIRECTORY']) ?? join(configHome(env), 'codekeep'), 'config.json'),
  );
  const socket = resolve(flags.socket ?? env['CODEKEEP_SOCKET'] ?? defaultSocket(flags, env, stateDir));
  assertSocketPathFits(socket);
  const logs = hasOwnState(flags, env) ? undefined : first(env['LOGS_DIRECTORY']);
  return {
    stateDir,
    socket,
    config,
    isConfigNamed: named !== undefined,
    logs: resolve(logs ?? join(stateDir, 'logs')),
  };
}

/** Below it systemd's system units have each user's socket; see systemd/system/codekeep@.socket. */
const systemSockets = '/run/codekeep';

/**
 * The socket that a client connects to: the user's own, or that of the system unit where only this one is there.
 * One that was named is taken as it is.
 * @throws CodekeepError INVALID_PARAMS for a path longer than 107 bytes
 */
export function clientSocket(flags: LocationFlags, environment: Environment): string {
  const { socket } = locate(flags, environment);
  const env = usable(environment);
  const isNamed = flags.socket !== undefined || env['CODEKEEP_SOCKET'] !== undefined;
  if (isNamed || hasOwnState(flags, env) || existsSync(socket)) return socket;
  const user = account();
  const ofUnit = user === null ? null : join(systemSockets, user.username, 'codekeep.sock');
  return ofUnit !== null && existsSync(ofUnit) ? ofUnit : socket;
}

/** Null for a user id without a name, as containers have them. */
function account(): { username: string; homedir: string } | null {
  try {
    return userInfo();
  } catch {
    return null;
  }
}

/** @throws CodekeepError INVALID_PARAMS for a path longer than 107 bytes */
export function assertSocketPathFits(path: string): void {
  if (Buffer.byteLength(path) <= socketPathMaxBytes) return;
  throw new CodekeepError(
    'INVALID_PARAMS',
    `The socket path ${path} is longer than ${socketPathMaxBytes} bytes.`,
    'Give a shorter one with --socket or CODEKEEP_SOCKET.',
  );
}

/** A state directory of one's own brings a socket and logs of its own: two daemons must not meet in either. */
function hasOwnState(flags: LocationFlags, env: Environment): boolean {
  return flags.stateDir !== undefined || env['CODEKEEP_STATE_DIR'] !== undefined;
}

function defaultSocket(flags: LocationFlags, env: Environment, stateDir: string): string {
  if (hasOwnState(flags, env)) return join(stateDir, 'codekeep.sock');
  const runtimeDir = first(env['RUNTIME_DIRECTORY']);
  if (runtimeDir !== undefined) return join(runtimeDir, 'codekeep.sock');
  if (env['XDG_RUNTIME_DIR'] !== undefined) return join(env['XDG_RUNTIME_DIR'], 'codekeep', 'codekeep.sock');
  return join(stateDir, 'codekeep.sock');
}

/** systemd gives several directories of one kind with colons between them; systemd.exec(5). */
function first(directories: string | undefined): string | undefined {
  return directories?.split(':')[0];
}

/** The folder of a user's configuration files. */
export function configHome(environment: Environment): string {
  return xdg(usable(environment), 'XDG_CONFIG_HOME', '.config');
}

/**
 * A variable that is set to nothing counts as not set, and so does a relative path, as the XDG base directory specification
 * has both: it would be another folder in each working directory.
 */
function usable(environment: Environment): Environment {
  const isUsable = ([name, value]: [string, string | undefined]): boolean =>
    value !== '' && (!/^(?:HOME$|XDG_)/u.test(name) || isAbsolute(value ?? ''));
  return Object.fromEntries(Object.entries(environment).filter(isUsable));
}

function xdg(env: Environment, name: string, fallback: string): string {
  return env[name] ?? join(homeFolder(env), fallback);
}

/** Not os.homedir(), which gives HOME whatever it is. */
function homeFolder(env: Environment): string {
  const home = env['HOME'] ?? account()?.homedir ?? '';
  if (isAbsolute(home)) return home;
  throw new CodekeepError(
    'INVALID_PARAMS',
    'There is no home folder: HOME has no absolute path, and this user has none.',
    'Set HOME to an absolute path.',
  );
}
