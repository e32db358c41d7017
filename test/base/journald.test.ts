import assert from 'node:assert/strict';
import { fstatSync } from 'node:fs';
import { test } from 'node:test';
import { isJournal, journalLines } from '#src/base/journald.js';

test('a stream is the journal only where device and inode are those that systemd named', () => {
  const { dev, ino } = fstatSync(2);
  assert.equal(isJournal({ JOURNAL_STREAM: `${dev}:${ino}` }, 2), true);
  // A descendant that inherits the variable and writes elsewhere.
  assert.equal(isJournal({ JOURNAL_STREAM: `${dev}:${ino + 1}` }, 2), false);
  assert.equal(isJournal({}, 2), false);
});

test('every line has the priority: the journal makes an entry of each', () => {
  assert.equal(journalLines('error', 'it failed\n    at line 1\n\n'), '<3>it failed\n<3>    at line 1\n');
  assert.equal(journalLines('warn', 'careful'), '<4>careful\n');
  assert.equal(journalLines('info', 'started'), '<6>started\n');
});
