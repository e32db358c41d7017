import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import type { Result } from '#src/contract/index.js';
import { localTime } from '#src/cli/text.js';
import { atTerminal, codekeep, type CommandResult, run } from '../harness/command.js';
import type { Daemon } from '../harness/daemon.js';
import { program, Sandbox } from '../harness/sandbox.js';

/** Sets a title and a colour, and ends as lines of Windows do. */
const evil = 'a = "\u001b]0;pwned\u0007\u001b[31m"\r\n';

const image = (word: string): Buffer => Buffer.from(`\u00ff\u0000${word}`, 'latin1');

/** A text that has more lines than the terminal of a test. */
const long = (word: string): string => Array.from({ length: 100 }, (_none, at) => `${word} ${at}\n`).join('');

suite('history, diff and show', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let root: string;
  let project_id: string;

  before(async () => {
    root = await sandbox.project({
      'a.py': 'a = 1\n',
      'lib/old.py': 'def old():\n    return 1\n',
      'lib/gone.py': 'gone = 1\n',
      'evil.py': 'a = 1\r\n',
      'image.png': image('one'),
      'icon@2x.svg': '<svg/>\n',
      'long.txt': long('one'),
    });
    daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'], revision_burst: 0 } });
    ({ project_id } = await daemon.addProject(root));
    await daemon.call('create_checkpoint', { project_id, label: 'start' });
    const act = async (work: () => void): Promise<void> => {
      work();
      await daemon.call('wait_until_fresh', { project_id });
    };
    await act(() => writeFileSync(join(root, 'a.py'), 'a = 1\nb = 22\n'));
    await act(() => rmSync(join(root, 'lib/gone.py')));
    await act(() => renameSync(join(root, 'lib/old.py'), join(root, 'lib/new.py')));
    await act(() => writeFileSync(join(root, 'a.py'), 'b = 22\n'));
    await act(() => writeFileSync(join(root, 'evil.py'), evil));
    await act(() => writeFileSync(join(root, 'image.png'), image('two')));
    await act(() => writeFileSync(join(root, 'long.txt'), long('two')));
    // A folder in which nothing changes.
    mkdirSync(join(root, 'quiet'));
  });

  const at = async (...args: string[]): Promise<CommandResult> => {
    const words = [program, ...args, '--socket', daemon.socket];
    return await run(sandbox, process.execPath, words, { cwd: root });
  };
  const there = async (
    args: string[],
    variables: Record<string, string> = {},
    typed = '',
  ): Promise<string> => {
    const { stdout } = await atTerminal(sandbox, [...args, '--socket', daemon.socket], {
      cwd: root,
      variables: { TERM: 'xterm', ...variables },
      typed,
    });
    return stdout.replaceAll('\r\n', '\n');
  };

  async function done(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await at(...args);
    assert.deepEqual([status, stderr], [0, ''], args.join(' '));
    return stdout;
  }

  /** Rows without their times. */
  async function rows(...args: string[]): Promise<string[]> {
    const lines = (await done('history', ...args)).trimEnd().split('\n');
    return lines.map((line) =>
      line.replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +/u, '').replaceAll(/ {2,}/gu, ' | '),
    );
  }

  const everything = [
    'changed | by an edit | long.txt',
    'changed | by an edit | image.png',
    'changed | by an edit | +16 B | evil.py',
    'changed | by an edit | -6 B | a.py',
    'renamed | by a rename | +24 B | lib/old.py -> lib/new.py',
    'deleted | seen by the watcher | -9 B | lib/gone.py',
    'changed | by an edit | +7 B | a.py',
  ];

  test('history of a project, a folder and a file, the newest first, in local time', async () => {
    assert.deepEqual(await rows(), everything);
    assert.deepEqual(await rows('lib'), everything.slice(4, 6));
    assert.deepEqual(await rows('lib/'), everything.slice(4, 6));
    assert.deepEqual(await rows('--limit', '2'), [
      ...everything.slice(0, 2),
      '... and earlier ones; --limit shows more',
    ]);
    const { changes } = await daemon.call('list_changes', { project_id, limit: 1 });
    const [newest] = (await done('history')).split('\n');
    assert.ok(newest?.startsWith(`${localTime(changes[0]?.at ?? '')}  changed  `));
    const versions = await rows('a.py');
    assert.deepEqual(
      versions.map((row) => row.replace(/v[\da-z]+-[\da-z]+$/u, 'ID')),
      [
        'changed | by an edit | -6 B | ID',
        'changed | by an edit | +7 B | ID',
        'there | at the first look | +6 B | ID',
      ],
    );
    assert.deepEqual((await rows('lib/gone.py'))[0], 'deleted | seen by the watcher | -9 B');
    assert.deepEqual(await rows('--since', 'start'), everything);
    assert.deepEqual(await rows('--since', '0s'), ['nothing changed']);
    assert.deepEqual((await rows('a.py', '--since', '0s')).length, 1, 'what it was since then');
    const list = JSON.parse(await done('history', '--json')) as Result<'list_changes'>;
    assert.equal(list.changes.length, everything.length);
  });

  test('of an empty folder in the place of a file both are listed, and the folder takes nothing', async () => {
    writeFileSync(join(root, 'was'), 'a file\n');
    await daemon.call('wait_until_fresh', { project_id });
    rmSync(join(root, 'was'));
    mkdirSync(join(root, 'was'));
    await daemon.call('wait_until_fresh', { project_id });
    const { stdout } = await at('history', 'was');
    const lines = stdout.split('\n').slice(0, -1);
    assert.equal(lines.length, 3, stdout);
    assert.match(lines.join('\n'), /added.*\n.*deleted.*-7 B.*\n.*added.*\+7 B/u);
    assert.doesNotMatch(stdout, /kB/u);
  });

  test('a path that is empty, as of a variable that is not set, is none', async () => {
    for (const command of ['history', 'diff', 'restore', 'purge', 'show']) {
      const { status, stderr } = await at(command, '');
      assert.deepEqual([status, stderr.split('\n')[0]], [2, 'codekeep: A path is empty.'], command);
    }
    assert.equal((await at('rewind', 'start', '', '--yes')).status, 2);
  });

  test('a path that is not known is an error; a time that nobody can mean is wrong usage', async () => {
    for (const [status, ...args] of [
      [1, 'history', 'none.py'],
      [1, 'diff', 'none.py'],
      [1, 'show', 'none.py@10m'],
      [2, 'history', '--since', 'no such checkpoint'],
      [2, 'history', '--limit', '0'],
      [2, 'diff', '--since', ''],
      [2, 'diff', '--until', '2999-01-01'],
      [2, 'show', 'a.py@nonsense'],
      [2, 'show', 'a.py@2999-01-01'],
      [1, 'show', 'a.py@v1-1'],
    ] as const) {
      const result = await at(...args);
      assert.deepEqual([result.status, result.stdout], [status, ''], args.join(' '));
      assert.notEqual(result.stderr, '');
    }
    assert.match(
      (await at('diff', '--since', 'nonsense')).stderr,
      /^codekeep: --since: .*\n.*"codekeep checkpoint --list"/u,
    );
  });

  test('show gives the exact bytes, by version, time, checkpoint, of a binary, a deleted one, and a name with an @', async () => {
    const bytes = async (named: string): Promise<string> => {
      const script = '"$@" > "$0"';
      const file = sandbox.path('shown');
      const words = [process.execPath, program, 'show', named, '--socket', daemon.socket];
      const { status, stderr } = await run(sandbox, 'sh', ['-c', script, file, ...words], { cwd: root });
      assert.deepEqual([status, stderr], [0, ''], named);
      return readFileSync(file, 'latin1');
    };
    const [, second = ''] = (await done('history', 'a.py')).split('\n');
    const version = second.split(' ').at(-1) ?? '';
    assert.equal(await bytes('a.py'), 'b = 22\n');
    assert.equal(await bytes(`a.py@${version}`), 'a = 1\nb = 22\n');
    assert.equal(await bytes('a.py@start'), 'a = 1\n');
    const { versions } = await daemon.call('list_file_versions', { project_id, path: 'a.py' });
    assert.equal(await bytes(`a.py@${versions[1]?.seen_at}`), 'a = 1\nb = 22\n');
    assert.equal(await bytes('image.png@start'), image('one').toString('latin1'));
    assert.equal(await bytes('lib/gone.py'), 'gone = 1\n');
    assert.equal(await bytes('icon@2x.svg'), '<svg/>\n');
    assert.equal(await bytes('icon@2x.svg@start'), '<svg/>\n');
    assert.equal(await bytes('evil.py'), evil);
    // A checkpoint may be called as a version is.
    await daemon.call('create_checkpoint', { project_id, label: 'v2-rc1' });
    assert.equal(await bytes('a.py@v2-rc1'), 'b = 22\n');
    const asJson = JSON.parse(await done('show', 'image.png', '--json')) as Result<'get_file'>;
    assert.equal(asJson.content, image('two').toString('base64'));
  });

  test('on a terminal show carries nothing out', async () => {
    assert.equal(await there(['show', 'evil.py']), 'a = "\\x1b]0;pwned\\x07\\x1b[31m"\n');
    assert.match(await there(['show', 'image.png']), /^codekeep: image\.png is binary\.\n/u);
  });

  test('diff into a pipe is a plain patch, exactly, which git refuses where it is not all', async () => {
    const patch = await done('diff', 'evil.py', '--since', 'start');
    assert.ok(patch.includes(`-a = 1\r\n+${evil}`), JSON.stringify(patch));
    const folder = sandbox.path('applied');
    mkdirSync(folder);
    writeFileSync(join(folder, 'evil.py'), 'a = 1\r\n');
    const applied = await run(sandbox, 'git', ['apply'], { cwd: folder, input: patch });
    assert.equal(applied.status, 0, applied.stderr);
    assert.equal(readFileSync(join(folder, 'evil.py'), 'utf8'), evil);
    const binary = await done('diff', 'image.png', '--since', 'start');
    assert.equal(
      binary,
      'diff --git a/image.png b/image.png\nindex 1111111..2222222\nBinary files a/image.png and b/image.png differ\n',
    );
    writeFileSync(join(folder, 'evil.py'), 'a = 1\r\n');
    const both = { cwd: folder, input: binary + patch };
    const refused = await run(sandbox, 'git', ['apply'], both);
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, /image\.png/u);
    const without = await run(sandbox, 'git', ['apply', '--exclude=image.png'], both);
    assert.equal(without.status, 0, without.stderr);
    assert.match(
      await done('diff', 'lib', '--since', 'start'),
      /^rename from lib\/old\.py\nrename to lib\/new\.py$/mu,
    );
    const [newest = '', older = ''] = (await done('history', 'a.py'))
      .split('\n')
      .map((row) => row.split(' ').at(-1));
    assert.match(
      await done('diff', 'a.py', '--since', older, '--until', newest),
      /^@@ .*\n-a = 1\n b = 22\n$/mu,
    );
    const { files } = JSON.parse(await done('diff', '--since', 'start', '--json')) as Result<'diff'>;
    assert.equal(files.length, 6);
  });

  test('diff where nothing changed: status 1, and nothing in a pipe', async () => {
    const { status, stdout, stderr } = await at('diff', '--since', '0s');
    assert.deepEqual([status, stdout, stderr], [1, '', '']);
    assert.equal(await there(['diff', '--since', '0s']), 'nothing changed\n');
    const asJson = await at('diff', 'quiet', '--since', '0s', '--json');
    assert.deepEqual([asJson.status, asJson.stdout], [1, '{"files":[],"next_cursor":null}\n']);
  });

  const edited = ['diff', 'evil.py', '--since', 'start'];

  test('diff on a terminal is coloured, unless NO_COLOR or the terminal says so, and carries nothing out', async () => {
    const shown = await there(edited, { PAGER: 'cat' });
    assert.ok(shown.includes('\u001b[1mdiff --git a/evil.py b/evil.py\u001b[m\n'), JSON.stringify(shown));
    assert.ok(
      shown.includes(
        '\u001b[31m-a = 1\\r\u001b[m\n\u001b[32m+a = "\\x1b]0;pwned\\x07\\x1b[31m"\\r\u001b[m\n',
      ),
    );
    for (const variables of [{ NO_COLOR: '1' }, { TERM: 'dumb' }])
      assert.equal((await there(edited, { PAGER: 'cat', ...variables })).includes('\u001b'), false);
  });

  test('diff on a terminal goes through the pager that is chosen as git chooses it', async () => {
    const first = { CODEKEEP_PAGER: "sed 's/^/own: /'", PAGER: "sed 's/^/other: /'", NO_COLOR: '1' };
    assert.match(await there(edited, first), /^own: diff --git /u);
    const { PAGER, NO_COLOR } = first;
    assert.match(await there(edited, { PAGER, NO_COLOR }), /^other: diff --git /u);
    assert.match(
      await there(edited, { PAGER, NO_COLOR, CODEKEEP_PAGER: '' }),
      /^diff --git /u,
      'none is wanted',
    );
    const marked = `sh -c 'printf "%s\\n" "$LESS"; cat'`;
    assert.match(await there(edited, { PAGER: marked, NO_COLOR }), /^FRX\ndiff --git /u);
    // A pager that has shown enough ends the program in order.
    const whole = ['diff', '--since', 'start'];
    const { status, stdout } = await atTerminal(sandbox, [...whole, '--socket', daemon.socket], {
      cwd: root,
      variables: { PAGER: 'head -n 1', NO_COLOR },
    });
    assert.deepEqual([status, stdout.split('\n').length], [0, 2]);
    const gone = await atTerminal(sandbox, [...whole, '--socket', daemon.socket], {
      cwd: root,
      variables: { PAGER: 'no-such-pager' },
    });
    assert.deepEqual([gone.status, /no-such-pager.*not found/u.test(gone.stdout)], [1, true]);
    const piped = await run(
      sandbox,
      'env',
      ['PAGER=false', process.execPath, program, ...edited, '--socket', daemon.socket],
      { cwd: root },
    );
    assert.deepEqual([piped.status, piped.stderr], [0, ''], 'a pipe has none');
  });

  test('--quiet says nothing', async () => {
    for (const args of [['history'], ['show', 'a.py'], edited])
      assert.equal(await done(...args, '--quiet'), '');
    assert.equal(
      (await codekeep(sandbox, 'diff', '--quiet', '-C', root, '--since', '0s', '--socket', daemon.socket))
        .status,
      1,
    );
  });
});
