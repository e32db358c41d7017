import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget, type Holder } from '#src/rpc/server/byte-budget.js';

const KiB = 1024;

function holder(isServed = false): Holder & { woken: number } {
  const made = { woken: 0, isServed, wake: () => void (made.woken += 1) };
  return made;
}

test('small requests are always read, large ones while there is room, and one of them to its end', () => {
  const budget = new ByteBudget(100 * KiB);
  const [first, second, third] = [holder(), holder(), holder()];
  budget.note(first, 80 * KiB);
  assert.equal(budget.mayGrow(second, 40 * KiB), true);
  budget.note(second, 80 * KiB);
  assert.equal(budget.mayGrow(second, 80 * KiB), false);
  assert.equal(budget.mayGrow(third, 40 * KiB), false);
  assert.equal(budget.mayGrow(third, 10 * KiB), true);
  assert.equal(budget.mayGrow(first, 80 * KiB), true);
});

test('who waits for an answer keeps no room from those who are read in part', () => {
  const budget = new ByteBudget(100 * KiB);
  const [served, other] = [holder(true), holder()];
  budget.note(served, 150 * KiB);
  assert.equal(budget.mayGrow(served, 150 * KiB), false);
  assert.equal(budget.mayGrow(other, 20 * KiB), true);
  budget.note(other, 80 * KiB);
  assert.equal(budget.mayGrow(other, 80 * KiB), true, 'it is the one that is read to its end');
});

test('who was refused is waked when others let go, and nothing is left when all have', () => {
  const budget = new ByteBudget(10 * KiB);
  const [first, second, gone] = [holder(), holder(), holder()];
  budget.note(first, 80 * KiB);
  assert.equal(budget.mayGrow(second, 20 * KiB), false);
  assert.equal(budget.mayGrow(gone, 20 * KiB), false);
  budget.forget(gone);
  budget.note(first, 0);
  assert.deepEqual([second.woken, gone.woken, budget.total], [1, 0, 0]);
  assert.equal(budget.mayGrow(second, 20 * KiB), true);
});
