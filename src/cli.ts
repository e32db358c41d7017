#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander';
import { interrupt } from './cli/interrupt.js';
import { leaveLostTerminal } from './cli/lost-terminal.js';
import { beQuiet, CommandError, describeError, exitStatus, exitStatusOf, isToGoOn } from './cli/output.js';
import { parseFolder } from './cli/paths.js';
import { asUsage } from './cli/usage.js';
import { errnoOf, messageOf } from './base/errors.js';
import { isJournal, journalLines } from './base/journald.js';
import type { LocationFlags } from './base/locations.js';
import { version } from './base/package.js';

/** The program `codekeep`: the supervisor in the foreground, and a command per task over its socket. */
const program = new Command('codekeep')
  .description('Keeps a code index true to the files on disk, and mends both when they part.')
  .version(version)
  // Throws instead of exiting, as do all commands that are made after this: one place maps errors to exit statuses.
  .exitOverride()
  // For scripts it is said as every other error is.
  .configureOutput({ writeErr: (text) => void (isForScripts() || process.stderr.write(text)) })
  // Declared once: commander takes a program's options before and after the name of a command.
  .option('-C <dir>', 'run as if started in this directory')
  .option('--state-dir <dir>', "the supervisor's state directory")
  .option('--socket <path>', "the supervisor's socket")
  .option('--json', 'print JSON, for scripts')
  .option('--quiet', 'print errors only')
  .configureHelp({ showGlobalOptions: true })
  .showHelpAfterError('(add --help for more)')
  .addHelpText(
    'after',
    `
Exit status: 0 done, 1 it failed or nothing was found, 2 wrong usage, 3 no supervisor
reachable, 4 done but something is left that a person must look at, 130 interrupted.`,
  )
  .hook('preAction', (_program, command) => prepare(command));

program
  .command('serve')
  .description('Run the supervisor in the foreground')
  .option('--config <file>', 'the configuration file')
  .addOption(
    new Option(
      '--project [dir]',
      'register and index this project (without DIR: the current directory); may be repeated',
    )
      .preset('.')
      .argParser(collect)
      .default([]),
  )
  .action(async (flags: LocationFlags & { project: string[] }) => {
    await (await import('./cli/serve.js')).serve(flags);
  });

program
  .command('mcp')
  .description('Serve the tools to an agent over MCP on stdio')
  .action(async (flags: LocationFlags) => {
    await (await import('./cli/mcp.js')).serveMcp(flags);
  });

function collect(value: string, previous: string[]): string[] {
  return [...previous, parseFolder(value)];
}

/** The command that runs, for what it may have to say. */
let running: Command | null = null;

const pathFlags = [
  ['stateDir', '--state-dir'],
  ['socket', '--socket'],
  ['config', '--config'],
] as const;

/** Before a command runs: it gets the options that all of them take, and the directory that it runs in. */
function prepare(command: Command): void {
  running = command;
  const { C: directory, ...common } = program.opts<{ C?: string; quiet?: boolean }>();
  for (const [name, value] of Object.entries(common)) command.setOptionValue(name, value);
  if (common.quiet === true) beQuiet();
  for (const [name, flag] of pathFlags)
    // As a script gives it whose variable is not set; resolved, it would name the working directory.
    if (command.getOptionValue(name) === '')
      throw new CommandError(`${flag} is empty.`, 'Give a path, or leave it out.', exitStatus.usage);
  if (directory === undefined) return;
  try {
    process.chdir(directory);
  } catch (error) {
    throw new CommandError(
      `-C ${directory}: ${messageOf(error)}`,
      'Give a folder that is there.',
      exitStatus.usage,
    );
  }
}

/** The daemon has to answer soon after its start, and the bridge too: they need none of the other commands. */
function isService(): boolean {
  const [name] = program.parseOptions(process.argv.slice(2)).operands;
  return name === 'serve' || name === 'mcp';
}

/** Its reader has seen enough, as head has after some lines; or what it said is lost, as on a full disk. */
function endWithOutput(error: Error): void {
  if (errnoOf(error) === 'EPIPE') {
    if (isToGoOn()) return;
    process.exit(exitStatus.done);
  }
  process.stderr.write(`codekeep: the output cannot be written: ${error.message}\n`);
  process.exit(exitStatus.failed);
}

function isForScripts(): boolean {
  return program.opts()['json'] === true;
}

async function main(): Promise<void> {
  process.on('exit', leaveLostTerminal);
  try {
    if (!isService()) {
      const { addClientCommands } = await import('./cli/commands.js');
      addClientCommands(program);
      process.on('SIGINT', interrupt);
      process.stdout.on('error', endWithOutput);
    }
    await program.parseAsync();
  } catch (error) {
    process.exitCode = statusOfFailure(error);
  }
}

/** Says what went wrong, unless commander has, which knows of no JSON. */
function statusOfFailure(thrown: unknown): number {
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return exitStatus.done;
    if (!isForScripts()) return exitStatus.usage;
  }
  const error = asUsage(thrown, running);
  const text = describeError(error, isForScripts());
  process.stderr.write(isJournal(process.env, 2) ? journalLines('error', text) : `${text}\n`);
  return exitStatusOf(error, running?.name() === 'serve');
}

await main();
