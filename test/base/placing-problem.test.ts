import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PlacingProblems } from '#src/base/placing-problem.js';
import { atEnd, pathsBelow, temporaryFileSystem, temporaryFolder } from '../harness/folder.js';

test('where a file can be placed there is no problem, and nothing is made', (t) => {
  const root = temporaryFolder(t);
  mkdirSync(join(root, 'd'));
  const problems = new PlacingProblems(root);
  for (const path of ['a', 'd/a', 'd/new/deep/a', 'new/a', `d/${'n'.repeat(255)}`])
    assert.equal(problems.at(path), null, path);
  const missing = new PlacingProblems(join(root, 'e/f'), { mayBeMissing: true });
  assert.equal(missing.at('d/a'), null);
  assert.deepEqual(pathsBelow(root), ['d']);
});

test('what is in the way is named', (t) => {
  const root = temporaryFolder(t);
  writeFileSync(join(root, 'file'), '');
  symlinkSync('/tmp', join(root, 'link'));
  const problems = new PlacingProblems(root);
  const expected = {
    'file/a': 'the folder "file" is not a folder',
    'file/deep/a': 'the folder "file" is not a folder',
    'link/a': 'the folder "link" is a symlink',
    'link/deep/a': 'the folder "link" is a symlink',
    '../a': 'its path contains the segment ".."',
    ['n'.repeat(256)]: 'its name is longer than 255 bytes',
    [`${'n'.repeat(256)}/a`]: `the folder "${'n'.repeat(256)}" cannot be written: the name is too long for the file system`,
  };
  for (const [path, problem] of Object.entries(expected)) assert.equal(problems.at(path), problem);
  assert.equal(new PlacingProblems(join(root, 'nothing')).at('a'), 'the folder does not exist');
  const blocked = new PlacingProblems(join(root, 'file/versions'), { mayBeMissing: true });
  assert.equal(blocked.at('a'), `the folder ${root}/file is not a folder`);
});

test('a folder that may not be written is one for all of its files', (t) => {
  const root = temporaryFolder(t);
  for (const name of ['open', 'closed']) mkdirSync(join(root, name));
  chmodSync(join(root, 'open'), 0o777);
  const script = `import { PlacingProblems } from '#src/base/placing-problem.js';
    const problems = new PlacingProblems(process.argv[1]);
    console.log(['open/a', 'closed/a', 'closed/deep/a', 'a'].map((path) => String(problems.at(path))).join('\\n'));`;
  // access() asks for the real user, so this needs a process that is nobody's.
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  if (!('uid' in user)) for (const name of ['closed', '.']) chmodSync(join(root, name), 0o555);
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script, '--', root], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    ...user,
  });
  assert.deepEqual(output.trimEnd().split('\n'), [
    'null',
    'the folder "closed" cannot be written: permission is denied',
    'the folder "closed" cannot be written: permission is denied',
    'the folder cannot be written: permission is denied',
  ]);
});

test('a file system that is read-only is named', (t) => {
  const root = temporaryFileSystem(t, 64 * 1024);
  if (root === null) return t.skip('mounting a file system is not allowed here');
  execFileSync('mount', ['-o', 'remount,ro', root]);
  const problem = 'the folder cannot be written: the file system is read-only';
  assert.equal(new PlacingProblems(root).at('d/a'), problem);
  const versions = new PlacingProblems(join(root, 'versions'), { mayBeMissing: true });
  assert.equal(versions.at('a'), `the folder ${root} cannot be written: the file system is read-only`);
});

test('a folder that nobody may change is named', (t) => {
  const root = temporaryFolder(t);
  mkdirSync(join(root, 'd'));
  try {
    execFileSync('chattr', ['+i', join(root, 'd')], { stdio: 'ignore' });
  } catch {
    return t.skip('chattr +i is not possible here');
  }
  atEnd(t, () => execFileSync('chattr', ['-i', join(root, 'd')]));
  assert.equal(
    new PlacingProblems(root).at('d/a'),
    'the folder "d" cannot be written: the system does not permit it',
  );
  assert.deepEqual(readdirSync(join(root, 'd')), []);
});
