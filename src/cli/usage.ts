import { type Command, CommanderError } from 'commander';
import { CodekeepError, RpcError } from '../rpc/client/client.js';
import { CommandError, exitStatus } from './output.js';
import { inCommands } from './own-words.js';

/** Where the command line has another word for what the wire calls so; the rest is alike (batch_size, --batch-size). */
const otherWords: Readonly<Record<string, readonly string[]>> = {
  root_dir: ['dir', 'project'],
  project_id: ['dir', 'project'],
  path_prefix: ['prefix'],
  worker_type: ['type'],
  search_pattern: ['grep'],
  log_levels: ['level'],
  job_id: ['id'],
  plan_id: ['plan'],
  run_id: ['run'],
  checkpoint_id: ['remove'],
  from: ['since'],
  to: ['when', 'until'],
  version_ids: ['version-id'],
};

/** What the dispatcher says of any wrong params: words for those who call methods themselves. */
const isForCallers = /\brpc\.discover\b/u;

/**
 * Params that the supervisor refused are wrong usage of the command that sent them; said in the command's own words.
 * So is a relative path where there is no folder that it could be relative to. Other errors stay what they are, with
 * their hints in the command line's words.
 * @returns the error as it came where the user named method and params himself
 */
export function asUsage(error: unknown, command: Command | null): unknown {
  if (error instanceof Error && 'syscall' in error && error.syscall === 'uv_cwd')
    return new CommandError(
      'The working directory is gone.',
      'Change to a folder that is there, or name one with -C.',
      exitStatus.usage,
    );
  if (error instanceof CommanderError) {
    const message =
      error.code === 'commander.help' ? 'No command was given.' : error.message.replace(/^error: /u, '');
    return new CommandError(message, 'Add --help for more.', exitStatus.usage);
  }
  if (command === null || command.name() === 'call') return error;
  if (!(error instanceof CodekeepError) || error.code !== 'INVALID_PARAMS') return withOwnHint(error);
  const issues = issuesOf(error.details['issues']);
  const message = issues.map(({ param, message: text }) => `${wordFor(command, param)}: ${text}`).join('; ');
  const path = namesOf(command).join(' ');
  return new CommandError(
    message === '' ? error.message : message,
    isForCallers.test(error.hint) ? `"${path} --help" says what it takes.` : inCommands(error.hint),
    exitStatus.usage,
  );
}

function withOwnHint(error: unknown): unknown {
  if (error instanceof CodekeepError)
    return new CodekeepError(error.code, error.message, inCommands(error.hint), error.details);
  if (error instanceof RpcError)
    return new RpcError(error.number, error.message, inCommands(error.hint), error.data);
  return error;
}

interface Issue {
  param: string;
  message: string;
}

/** From a wire: anything else than issues is passed over. */
function issuesOf(details: unknown): Issue[] {
  const list: unknown[] = Array.isArray(details) ? details : [];
  return list.filter(
    (issue): issue is Issue =>
      typeof issue === 'object' &&
      issue !== null &&
      'param' in issue &&
      typeof issue.param === 'string' &&
      'message' in issue &&
      typeof issue.message === 'string',
  );
}

/** The flag or argument that a param came from: `paths[0]` from <paths>. */
function wordFor(command: Command, param: string): string {
  const name = param.replace(/[[.].*$/u, '');
  for (const word of otherWords[name] ?? [name.replaceAll('_', '-')]) {
    const argument = command.registeredArguments.find((one) => one.name() === word);
    if (argument !== undefined) return argument.required ? `<${word}>` : `[${word}]`;
    const option = command.options.find((one) => one.long === `--${word}`);
    if (option !== undefined) return `--${word}`;
  }
  return name;
}

function namesOf(command: Command): string[] {
  return [...(command.parent === null ? [] : namesOf(command.parent)), command.name()];
}
