import assert from 'node:assert/strict';
import { type CommandResult, run } from './command.js';
import type { Daemon } from './daemon.js';
import { program, type Sandbox } from './sandbox.js';

/**
 * Runs in a shell the command that a text for people names in quotes, word for word as somebody who reads it would; fails
 * where it names none, or the command fails.
 * @param choice which of them, where it names several
 */
export async function followCommand(
  sandbox: Sandbox,
  daemon: Daemon,
  text: string,
  choice: RegExp,
  cwd = sandbox.folder,
): Promise<CommandResult> {
  const named = [...text.matchAll(/"(codekeep [^"]+)"/gu)].map(([, command]) => command ?? '');
  const command = named.find((one) => choice.test(one)) ?? assert.fail(`no ${String(choice)} in: ${text}`);
  const codekeep = `codekeep() { CODEKEEP_SOCKET='${daemon.socket}' '${process.execPath}' '${program}' "$@"; }`;
  const result = await run(sandbox, 'sh', ['-c', `${codekeep}\n${command}`], { cwd });
  assert.equal(result.status, 0, `${command}: ${result.stdout}${result.stderr}`);
  return result;
}
