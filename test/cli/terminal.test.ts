import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { codekeep, onTerminal } from '../harness/command.js';
import { addLostRows, type Daemon } from '../harness/daemon.js';
import { Sandbox, writeFiles } from '../harness/sandbox.js';

/** Sets a title, colours, reverses text, and breaks lines: as an archive from elsewhere may have it. */
const evil = '\u001b]0;pwned\u0007\u001b[31m\u009b32m\u202e\nsecond\rline\t';

/** What a terminal carries out, besides the line breaks and tabs that the program itself prints. */
const carriedOut = /[^\P{Cc}\n\t]|[\p{Bidi_Control}]/u;

/** What the program's own progress bar ends with: to the first column, clear the line. */
const barCleared = '\u001b[1G\u001b[2K';

function withoutBar(text: string): string {
  const end = text.lastIndexOf(barCleared);
  return end < 0 ? text : text.slice(end + barCleared.length);
}

suite('what comes from disk is shown, and not carried out', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let root: string;

  before(async () => {
    root = sandbox.path(`project${evil}`);
    await mkdir(root);
    const source = `def parse_header():\n\treturn "${evil}"\n`;
    await writeFiles(root, { [`a${evil}.py`]: source, [`gone${evil}.py`]: 'gone = 1\n', 'b.py': 'b = 1\n' });
    daemon = await sandbox.startDaemon();
    const project = await daemon.addProject(root);
    await daemon.call('delete_file', { root_dir: root, path: `gone${evil}.py` });
    addLostRows(daemon, project, 3);
  });

  const commands: Record<string, () => string[]> = {
    status: () => ['status'],
    search: () => ['search', 'parse header', '--mode', 'fulltext'],
    deleted: () => ['deleted', root],
    history: () => ['history', '--project', root],
    repair: () => ['repair', '--dry-run'],
    restore: () => ['restore', '--dry-run', '--project', root, '--prefix', 'gone'],
    logs: () => ['logs', 'file_watcher'],
    'an error': () => ['restore', '--project', root, `none${evil}`],
    'JSON, which may have it only in escapes': () => ['deleted', root, '--json'],
  };
  for (const [name, args] of Object.entries(commands)) {
    test(`${name}, on a terminal and into a pipe`, async () => {
      const shown = await onTerminal(sandbox, ...args(), '--socket', daemon.socket);
      const piped = await codekeep(sandbox, ...args(), '--socket', daemon.socket);
      for (const [where, text] of [
        ['terminal', withoutBar(shown.stdout).replaceAll('\r\n', '\n')],
        ['pipe', piped.stdout],
        ['stderr', piped.stderr],
      ] as const) {
        assert.doesNotMatch(text, carriedOut, `${where}: ${JSON.stringify(text)}`);
      }
      assert.match(piped.stdout + piped.stderr, /pwned/, 'the name is there all the same');
    });
  }

  test('a newline in a name makes no second row, and cannot pass for an entry', async () => {
    const { stdout } = await codekeep(sandbox, 'deleted', root, '--socket', daemon.socket);
    assert.equal(stdout.split('\n').length, 2, 'one file, one row');
    const logs = await codekeep(sandbox, 'logs', 'file_watcher', '--socket', daemon.socket);
    for (const line of logs.stdout.trimEnd().split('\n')) assert.match(line, /^(?:\d{4}-\d\d-\d\dT| {4})/);
  });

  test('a snippet keeps its lines and its indentation', async () => {
    const args = ['search', 'parse header', '--mode', 'fulltext', '--socket', daemon.socket];
    const { stdout } = await codekeep(sandbox, ...args);
    assert.match(stdout, /\n {4}def parse_header\(\):\n {4}\treturn "/);
    const exact = await codekeep(sandbox, ...args, '--json');
    const { results } = JSON.parse(exact.stdout) as { results: { path: string; root_dir: string }[] };
    assert.equal(join(results[0]?.root_dir ?? '', results[0]?.path ?? ''), join(root, `a${evil}.py`));
  });
});
