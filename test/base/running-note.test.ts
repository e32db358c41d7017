import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunningNote } from '#src/base/running-note.js';
import { newFolder } from '../harness/folder.js';

test('the run that a process was killed in is known to those after it, until one has finished it', () => {
  const stateDir = newFolder();
  const first = new RunningNote(stateDir);
  assert.equal(first.left, null);
  first.write('a rewind');
  const second = new RunningNote(stateDir);
  assert.equal(second.left, 'a rewind');
  second.write('what finishes it');
  const third = new RunningNote(stateDir);
  assert.equal(third.left, 'a rewind');
  third.remove();
  assert.equal(new RunningNote(stateDir).left, null);
});
