import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { EventFlood } from '#src/workers/file-watcher/event-flood.js';

function floodOf(eventsMax: number): { flood: EventFlood; told: string[] } {
  const flood = new EventFlood(eventsMax);
  const told: string[] = [];
  for (const project of ['a', 'b']) flood.listen(() => told.push(project));
  return { flood, told };
}

test('when half of a queue comes in one turn every listener is told, once', () => {
  const { flood, told } = floodOf(4);
  for (let event = 0; event < 3; event += 1) flood.note();
  assert.deepEqual(told, []);
  for (let event = 0; event < 5; event += 1) flood.note();
  assert.deepEqual(told, ['a', 'b']);
});

test('events of many turns are no flood', async () => {
  const { flood, told } = floodOf(4);
  for (let event = 0; event < 40; event += 1) {
    flood.note();
    if (event % 3 === 2) await turn();
  }
  assert.deepEqual(told, []);
});

test('who no longer listens is told nothing', () => {
  const flood = new EventFlood(1);
  const told: string[] = [];
  flood.listen(() => told.push('a'))();
  flood.note();
  assert.deepEqual(told, []);
});
