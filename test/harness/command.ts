import { once } from 'node:events';
import { program, type Sandbox } from './sandbox.js';
import { within } from './waiting.js';

export interface CommandResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, with `input` as its standard input. */
export async function run(
  sandbox: Sandbox,
  command: string,
  args: readonly string[],
  { input = '', cwd = sandbox.folder }: { input?: string; cwd?: string } = {},
): Promise<CommandResult> {
  const child = sandbox.spawn(command, args, cwd);
  const result: CommandResult = { status: null, stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (result.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (result.stderr += text));
  // It may end before it has read all of its input.
  child.stdin?.on('error', () => undefined).end(input);
  const [status] = (await within([command, ...args].join(' '), once(child, 'close'), 30_000)) as [
    number | null,
  ];
  return { ...result, status };
}

/** `codekeep ARGS` on a terminal of its own, by script(1) of util-linux; stderr is on it, too. */
export async function onTerminal(sandbox: Sandbox, ...args: string[]): Promise<CommandResult> {
  return await atTerminal(sandbox, args, {});
}

/** Likewise, with what is typed there, and variables for it alone. */
export async function atTerminal(
  sandbox: Sandbox,
  args: readonly string[],
  {
    typed = '',
    cwd = sandbox.folder,
    variables = {},
  }: { typed?: string; cwd?: string; variables?: Record<string, string> },
): Promise<CommandResult> {
  const set = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const words = ['env', ...set, process.execPath, program, ...args];
  const command = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  return await run(sandbox, 'script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    input: typed,
    cwd,
  });
}

/** `codekeep ARGS` as a user runs it. */
export async function codekeep(sandbox: Sandbox, ...args: string[]): Promise<CommandResult> {
  return await run(sandbox, process.execPath, [program, ...args]);
}

/** What to put before a command so that permissions count for it, root or not. */
export function withoutPrivileges(): string[] {
  return process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : [];
}
