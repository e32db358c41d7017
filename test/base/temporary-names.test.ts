import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isTakenByLiving,
  isTakenName,
  isTemporaryName,
  takenName,
  temporaryName,
} from '#src/base/temporary-names.js';

test('temporary files and what was taken aside are known by their names', () => {
  assert.ok(isTemporaryName(temporaryName('abc-1')) && !isTakenName(temporaryName('abc-1')));
  assert.ok(isTemporaryName(takenName('abc-1')) && isTakenName(takenName('abc-1')));
  for (const name of ['.codekeepignore', 'a.tmp', 'a.taken', '.codekeep-'])
    assert.ok(!isTemporaryName(name), name);
  assert.ok(!isTakenName('.codekeep-mine.taken'));
});

test('a pid that is somebody else’s by now has taken nothing', () => {
  assert.ok(isTakenByLiving(takenName('t')));
  assert.ok(!isTakenByLiving(`.codekeep-${process.pid}-1-t.taken`));
  assert.ok(!isTakenByLiving('.codekeep-4194305-1-t.taken'));
});
