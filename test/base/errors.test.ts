import assert from 'node:assert/strict';
import { lstatSync } from 'node:fs';
import { test } from 'node:test';
import { systemErrorText } from '#src/base/errors.js';

test('the cause of a system error is said in words', () => {
  const caught = (work: () => void): unknown => {
    try {
      return work();
    } catch (error) {
      return error;
    }
  };
  assert.equal(
    systemErrorText(caught(() => lstatSync(`/${'n'.repeat(256)}`))),
    'the name is too long for the file system',
  );
  assert.equal(systemErrorText(Object.assign(new Error(), { code: 'ENOSPC' })), 'the disk is full');
  assert.equal(systemErrorText(caught(() => lstatSync('/nothing/here'))), null);
  assert.equal(systemErrorText('EROFS'), null);
});
