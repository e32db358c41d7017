#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander';
import { interrupt } from './cli/interrupt.js';
import { describeError, exitStatus, exitStatusOf } from './cli/output.js';
import { isJournal, journalLines } from './base/journald.js';
import type { LocationFlags } from './base/locations.js';
import { version } from './base/version.js';

/** The program `codekeep`: the supervisor in the foreground, and a command per task over its socket. */
function locationOptions(command: Command): Command {
  return command
    .option('--state-dir <dir>', "the supervisor's state directory")
    .option('--socket <path>', "the supervisor's socket");
}

const program = new Command('codekeep')
  .description('Keeps a code index true to the files on disk, and mends both when they part.')
  .version(version)
  .showHelpAfterError('(add --help for more)');

locationOptions(program.command('serve').description('Run the supervisor in the foreground'))
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

locationOptions(program.command('mcp').description('Serve the tools to an agent over MCP on stdio')).action(
  async (flags: LocationFlags) => {
    await (await import('./cli/mcp.js')).serveMcp(flags);
  },
);

// The daemon has to answer soon after its start, and needs none of this.
const name = process.argv[2];
if (name !== 'serve' && name !== 'mcp') {
  const { addClientCommands } = await import('./cli/commands.js');
  addClientCommands(program, (command) =>
    locationOptions(command).option('--json', 'print JSON, for scripts'),
  );
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

/** Throws instead of exiting, for every command and subcommand: one place maps errors to exit statuses. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const subcommand of command.commands) throwInsteadOfExit(subcommand);
}

async function main(): Promise<number> {
  throwInsteadOfExit(program);
  if (name !== 'serve' && name !== 'mcp') {
    process.on('SIGINT', interrupt);
    // Its reader has seen enough, as head has after some lines.
    process.stdout.on('error', () => process.exit(exitStatus.done));
  }
  try {
    await program.parseAsync();
    // The doctor has looked at everything, and something is wrong.
    return process.exitCode === exitStatus.failed ? exitStatus.failed : exitStatus.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitStatus.done : exitStatus.usage;
    const asJson = process.argv.includes('--json');
    const text = describeError(error, asJson);
    process.stderr.write(isJournal(process.env, 2) ? journalLines('error', text) : `${text}\n`);
    return exitStatusOf(error, name === 'serve');
  }
}

process.exitCode = await main();
