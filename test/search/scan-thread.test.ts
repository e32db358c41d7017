import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { nearestRowsAside } from '#src/search/scan-thread.js';
import { SignatureRows } from '#src/search/signature-rows.js';
import { nearestRows } from '#src/search/signature-scan.js';
import { signatureOf } from '#src/store/derived/vector-codec.js';
import { randomUnit } from '../store/derived/vector-fixture.js';

const { signal } = new AbortController();
const dimensions = 32;
const threads = (): number => readdirSync('/proc/self/task').length;

/** More rows than one thread is to go through. */
function largeTable(): SignatureRows {
  const signatures = Array.from({ length: 500 }, (_, seed) => signatureOf(randomUnit(dimensions, seed)));
  const table = new SignatureRows();
  for (let row = 0; row < 200_000; row += 1) table.append(row, signatures[row % 499] ?? new Uint8Array());
  return table;
}

test('another thread finds in a large table what this one finds, also of what was appended since', async () => {
  const table = largeTable();
  const before = threads();
  const both = async (seed: number): Promise<void> => {
    const [view, question] = [table.view(), randomUnit(dimensions, seed)];
    const stretches = [
      [10, 180_000],
      [190_000, view.count],
    ] as const;
    const aside = await nearestRowsAside(view, question, stretches, 300, signal);
    assert.deepEqual(aside, await nearestRows(view, question, stretches, 300, signal));
  };
  await both(1);
  assert.ok(threads() > before, 'no thread was started');
  table.append(table.end, signatureOf(randomUnit(dimensions, 2)));
  await Promise.all([both(2), both(3), both(4)]);
});

test('who asks does not wait any longer than it wants to', async () => {
  const view = largeTable().view();
  const stop = new AbortController();
  const asked = nearestRowsAside(view, randomUnit(dimensions, 1), [[0, view.count]], 300, stop.signal);
  stop.abort(new Error('stopped'));
  await assert.rejects(asked, /stopped/u);
});
