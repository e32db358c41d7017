import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { CodekeepError } from '#src/base/errors.js';
import { LogFiles, type LogFile } from '#src/supervisor/logs/log-files.js';
import { type LogEntry, type LogFilter, type LogView, viewLogs } from '#src/supervisor/logs/log-view.js';
import { temporaryFolder } from '../../harness/folder.js';

const start = Date.parse('2024-01-01T00:00:00.000Z');
const levels = ['info', 'warn', 'error', 'debug'] as const;

function entry(number: number, message = `message ${number}`): LogEntry {
  const timestamp = new Date(start + number * 1_000).toISOString();
  return { timestamp, level: levels[number % levels.length] ?? 'info', message };
}

/** Writes the files, newest first, as `LogFiles.list` gives them. */
function logFiles(t: TestContext, ...contents: string[]): LogFile[] {
  const folder = temporaryFolder(t);
  return contents.map((content, number) => {
    const path = join(folder, `repair${number === 0 ? '' : number}.log`);
    writeFileSync(path, content);
    return { path, type: 'repair', size: content.length, modified: 100 - number };
  });
}

const text = (entries: readonly LogEntry[]): string =>
  entries.map((one) => `${JSON.stringify(one)}\n`).join('');
const range = (from: number, to: number): LogEntry[] =>
  Array.from({ length: to - from }, (_, i) => entry(from + i));
const view = (files: LogFile[], filter: Partial<LogFilter> = {}): Promise<LogView> =>
  viewLogs(files, { limit: 1_000, ...filter });

test('the newest entries are given, oldest first, across rotated files', async (t) => {
  const files = logFiles(t, text(range(20, 25)), text(range(10, 20)), text(range(0, 10)));
  assert.deepEqual((await view(files)).entries, range(0, 25));
  const { entries, truncated } = await view(files, { limit: 8 });
  assert.deepEqual(entries, range(17, 25));
  assert.equal(truncated, true);
});

test('an unfinished last line, empty lines and what is no entry are passed over', async (t) => {
  const odd = `\n\nnot json\n[1]\n{"timestamp":1}\n${text(range(0, 2))}null\n{"timestamp":"2024`;
  const { entries, totalLines } = await view(logFiles(t, odd));
  assert.deepEqual(entries, range(0, 2));
  assert.equal(totalLines, 2);
});

test('entries across the seams of what is read at once are whole, in any script', async (t) => {
  const messages = range(0, 40).map((one, number) => ({
    ...one,
    message: 'ä\u{1F600}'.repeat(700 + number * 17),
  }));
  assert.deepEqual((await view(logFiles(t, text(messages)))).entries, messages);
});

test('a line longer than what is read at once is whole', async (t) => {
  const entries = [entry(0), entry(1, 'x'.repeat(300_000)), entry(2)];
  assert.deepEqual((await view(logFiles(t, text(entries)))).entries, entries);
});

test('entries are chosen by time, level and pattern', async (t) => {
  const files = logFiles(t, text(range(10, 20)), text(range(0, 10)));
  const numbers = async (filter: Partial<LogFilter>): Promise<string[]> =>
    (await view(files, filter)).entries.map(({ message }) => message.slice('message '.length));
  assert.deepEqual(await numbers({ from: start + 18_000 }), ['18', '19']);
  assert.deepEqual(await numbers({ to: start + 1_000 }), ['0', '1']);
  assert.deepEqual(await numbers({ from: start + 9_000, to: start + 11_000 }), ['9', '10', '11']);
  assert.deepEqual(await numbers({ levels: ['error'] }), ['2', '6', '10', '14', '18']);
  assert.deepEqual(await numbers({ pattern: ' (?:3|12)$' }), ['3', '12']);
  assert.deepEqual(await numbers({ levels: [] }), []);
});

test('a pattern that is none, or needs more than linear time, is refused with what is wrong with it', async (t) => {
  const files = logFiles(t, text(range(0, 3)));
  for (const pattern of ['(', '[a-', '(?=a)b', '(?<=a)b', '(a)\\1', 'x{1001}'])
    await assert.rejects(
      view(files, { pattern }),
      (error) =>
        error instanceof CodekeepError &&
        error.code === 'LOG_VIEW_ERROR' &&
        /search_pattern/.test(error.message) &&
        /backreferences/.test(error.hint),
      pattern,
    );
});

test("JavaScript's way of writing characters and named groups is understood", async (t) => {
  const files = logFiles(t, text([entry(0, 'caf\u00e9 \u{1F600}'), entry(1, 'tea')]));
  for (const pattern of ['\\u00e9', '\\u{1F600}', '(?<drink>caf)', '^caf\\S \\S$', '(?i)CAF'])
    assert.deepEqual((await view(files, { pattern })).entries.length, 1, pattern);
});

test('a file that was rotated away meanwhile, and no file at all, are empty', async (t) => {
  const [file] = logFiles(t, '');
  assert.ok(file);
  assert.deepEqual((await view([{ ...file, path: `${file.path}.gone` }, file])).entries, []);
  assert.deepEqual((await view([])).entries, []);
});

test('whatever the limit and the cut into files, the view is the end of what was written', async (t) => {
  const entries = range(0, 30);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 35 }), async (cut, limit) => {
      const files = logFiles(t, text(entries.slice(cut)), text(entries.slice(0, cut)));
      const seen = await view(files, { limit });
      assert.deepEqual(seen.entries, entries.slice(-limit));
      assert.equal(seen.filteredLines, seen.entries.length);
    }),
    { numRuns: 50 },
  );
});

test('what is written is seen, huge entries are cut, and rotation numbers the files on', async (t) => {
  const files = new LogFiles(join(temporaryFolder(t), 'logs'), 'info');
  await files.open();
  files.write('repair', 'info', 'first');
  files.write('repair', 'debug', 'below the level');
  files.write('repair', 'error', 'x'.repeat(100_000));
  const rotated = await files.rotate('repair', 2);
  assert.deepEqual(
    rotated.map((path) => path.slice(files.folder.length + 1)),
    ['repair1.log'],
  );
  files.write('repair', 'warn', 'second');
  await files.rotate('repair', 2);
  files.write('repair', 'info', 'third');
  await files.close();
  const { entries } = await view(await files.list('repair'));
  assert.deepEqual(
    entries.map(({ message }) => (message.length > 100 ? `long ${message.endsWith('(cut)')}` : message)),
    ['first', 'long true', 'second', 'third'],
  );
  const { errors, warnings } = files.activityOf('repair');
  assert.deepEqual([errors, warnings], [1, 1]);
});

test('no more than the backups that were asked for are kept', async (t) => {
  const files = new LogFiles(join(temporaryFolder(t), 'logs'), 'info');
  await files.open();
  for (let round = 0; round < 5; round += 1) {
    files.write('repair', 'info', `round ${round}`);
    await files.rotate('repair', 2);
  }
  await files.close();
  const names = (await files.list('repair')).map(({ path }) => path.slice(files.folder.length + 1)).sort();
  assert.deepEqual(names, ['repair1.log', 'repair2.log']);
  const { entries } = await view(await files.list('repair'));
  assert.deepEqual(
    entries.map(({ message }) => message),
    ['round 3', 'round 4'],
  );
});

test('a file that has become large is numbered on by itself, and no line is lost or doubled', async (t) => {
  const files = new LogFiles(join(temporaryFolder(t), 'logs'), 'info', 100_000);
  await files.open();
  const lines = 1_500;
  for (let number = 0; number < lines; number += 1) {
    files.write('repair', 'info', `line ${number} ${'x'.repeat(100)}`);
    if (number % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await files.close();
  const listed = await files.list('repair');
  assert.ok(listed.length > 1 && listed.length <= 5, `${listed.length} files`);
  const { entries } = await view(listed, { limit: lines });
  assert.deepEqual(
    entries.map(({ message }) => message.split(' ')[1]),
    Array.from({ length: lines }, (_, number) => String(number)),
  );
});

test('while a log is written, every rotation rotates, and each line is in one file, in order', async (t) => {
  const files = new LogFiles(join(temporaryFolder(t), 'logs'), 'info');
  await files.open();
  const rotations = 10;
  let written = 0;
  const write = (): void => files.write('repair', 'info', `line ${written++}`);
  const writing = setInterval(() => Array.from({ length: 20 }, write), 1);
  t.after(() => clearInterval(writing));
  for (let number = 1; number <= rotations; number += 1) {
    write();
    const rotating = files.rotate('repair', 100);
    // The old file is being closed: this one belongs to the new file.
    write();
    const moved = await rotating;
    assert.equal(moved.length, number, `rotation ${number}`);
    write();
  }
  clearInterval(writing);
  await files.close();
  const listed = await files.list('repair');
  assert.equal(listed.length, rotations + 1);
  assert.ok(listed.some(({ path, size }) => path.endsWith('/repair.log') && size > 0));
  const { entries } = await view(listed, { limit: 1_000_000 });
  assert.deepEqual(
    entries.map(({ message }) => message),
    Array.from({ length: written }, (_, number) => `line ${number}`),
  );
});

test('patterns without end on another engine are matched, many at once, while others have their turns', async (t) => {
  const files = logFiles(t, text(Array.from({ length: 150 }, (_, n) => entry(n, `${'a'.repeat(2_000)}!`))));
  await view(files, { pattern: 'a!$' });
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const views = await Promise.all(
    Array.from({ length: 10 }, () => view(files, { pattern: '^(a+)+$', limit: 10 })),
  );
  isOver = true;
  for (const { totalLines, entries } of views) assert.deepEqual([totalLines, entries], [150, []]);
  assert.ok(turns > 60, `${turns} turns of the loop: a view that is not cut into slices leaves one or two`);
});

test('a pattern that is too large for a long entry is refused', async (t) => {
  const files = logFiles(t, text([entry(1, 'ab'.repeat(8_000))]));
  await assert.rejects(view(files, { pattern: '.*a.{300}$' }), {
    code: 'LOG_VIEW_ERROR',
    message: /too large/,
  });
});

test('a view whose caller has gone away ends, also one that waits for its turn', async (t) => {
  const files = logFiles(t, text(range(0, 20_000)));
  const gone = new AbortController();
  const filter = { limit: 10, pattern: 'x'.repeat(30) };
  const views = [1, 2, 3].map(() => viewLogs(files, filter, gone.signal).catch((error: unknown) => error));
  gone.abort('gone');
  assert.deepEqual(await Promise.all(views), ['gone', 'gone', 'gone']);
});
