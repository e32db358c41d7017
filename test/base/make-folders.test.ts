import assert from 'node:assert/strict';
import { statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CodekeepError } from '#src/base/errors.js';
import { makeFolders } from '#src/base/make-folders.js';
import { temporaryFolder } from '../harness/folder.js';

const hint = 'Give another one.';

function refusal(path: string): string {
  try {
    makeFolders(path, hint);
  } catch (error) {
    assert.ok(error instanceof CodekeepError && error.hint === hint, String(error));
    return error.message;
  }
  return assert.fail(`${path} was made`);
}

test('folders are made for their owner alone, and what is there is left as it is', (t) => {
  const folder = temporaryFolder(t);
  assert.equal(makeFolders(join(folder, 'a/b/c'), hint), true);
  for (const path of ['a', 'a/b', 'a/b/c'])
    assert.equal((statSync(join(folder, path)).mode & 0o777).toString(8), '700', path);
  assert.equal(makeFolders(join(folder, 'a/b/c'), hint), false);
  symlinkSync('a/b', join(folder, 'link'));
  assert.equal(makeFolders(join(folder, 'link'), hint), false, 'a symlink to a folder is one');
  assert.equal(makeFolders('/', hint), false);
});

test('a folder that cannot be made is named, with the reason', (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('nowhere', join(folder, 'broken'));
  const cases: [path: string, named: string, why: string][] = [
    ['/proc/foo/bar', '/proc/foo', 'nothing can be made in /proc'],
    [join(folder, 'file'), join(folder, 'file'), 'something else is there'],
    [join(folder, 'file/a'), join(folder, 'file/a'), `${join(folder, 'file')} is not a folder`],
    [join(folder, 'broken'), join(folder, 'broken'), 'something else is there'],
    [join(folder, 'broken/a'), join(folder, 'broken/a'), `nothing can be made in ${join(folder, 'broken')}`],
    [
      join(folder, 'x'.repeat(300)),
      join(folder, 'x'.repeat(300)),
      'the name is too long for the file system',
    ],
  ];
  for (const [path, named, why] of cases)
    assert.equal(refusal(path), `The folder ${named} cannot be made: ${why}.`);
});
