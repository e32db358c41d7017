import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

/** In a process of its own: blocks of some kilobytes, of which every twentieth is kept. */
const program = `
  import Database from 'better-sqlite3';
  import { giveBackMemory } from ${JSON.stringify(import.meta.resolve('#src/store/free-memory.js'))};
  const connection = { db: new Database(':memory:') };
  giveBackMemory(connection);
  let blocks = Array.from({ length: 20_000 }, (_none, number) => Buffer.alloc(1_000 + (number % 7_000), 1));
  blocks = blocks.filter((_block, number) => number % 20 === 0);
  // What V8 has freed is given to malloc by another thread.
  while (process.memoryUsage().arrayBuffers > 10_000_000) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const before = process.memoryUsage.rss();
  giveBackMemory(connection);
  const freed = before - process.memoryUsage.rss();
  const kept = blocks.every((block, number) => block.length === 1_000 + ((number * 20) % 7_000) && !block.includes(0));
  console.log(JSON.stringify({ freed, kept, answer: connection.db.prepare('SELECT 1 AS one').get() }));
`;

test('memory that lies free between blocks in use goes back to the system, and all else goes on', (t) => {
  const { glibcVersionRuntime } = (process.report.getReport() as { header: Record<string, unknown> }).header;
  if (glibcVersionRuntime === undefined) return t.skip('this C library is not glibc');
  const node = ['--expose-gc', '--input-type=module', '-e', program];
  const { freed, ...rest } = JSON.parse(
    execFileSync(process.execPath, node, {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      env: { ...process.env, MALLOC_MMAP_THRESHOLD_: '262144' },
    }),
  ) as { freed: number };
  assert.deepEqual(rest, { kept: true, answer: { one: 1 } });
  assert.ok(freed > 40 * 1024 * 1024, `${freed} bytes went back`);
});
