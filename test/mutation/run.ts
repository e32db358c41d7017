/**
 * `npm run test:mutation`: takes each of the mutations out on a copy of the program, and runs the tests that are to see it.
 * Ends with status 1 where one survives, or does not fit the source any more.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutation, mutations } from './mutations.js';

const project = join(import.meta.dirname, '../..');
const copied = ['src', 'test', 'package.json', 'tsconfig.json', 'README.md', 'systemd'];

/** A copy whose tests are compiled once; they load the program from its dist. */
function makeCopy(): string {
  const folder = mkdtempSync(join(tmpdir(), 'codekeep-mutation-'));
  for (const name of copied) cpSync(join(project, name), join(folder, name), { recursive: true });
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
  build(folder);
  execFileSync('npx', ['tsc', '-p', 'test'], { cwd: folder, stdio: 'inherit' });
  return folder;
}

/** What a mutation leaves unused is no error. */
function build(folder: string): void {
  const loose = ['--noUnusedLocals', 'false', '--noUnusedParameters', 'false'];
  execFileSync('npx', ['tsc', '-p', '.', ...loose], { cwd: folder, stdio: 'pipe' });
  execFileSync('npm', ['run', '--silent', 'bundle'], { cwd: folder, stdio: 'pipe' });
}

/** @returns what became of it */
function tryOne(
  folder: string,
  { file, find, replace, tests }: Mutation,
): 'seen' | 'survived' | 'does not fit' {
  const path = join(folder, 'src', file);
  const source = readFileSync(path, 'utf8');
  if (source.split(find).length !== 2) return 'does not fit';
  writeFileSync(
    path,
    source.replace(find, () => replace),
  );
  try {
    build(folder);
    const { status } = spawnSync(
      process.execPath,
      ['--test', ...tests.map((test) => join('dist-test', test))],
      { cwd: folder, stdio: 'ignore', timeout: 600_000 },
    );
    return status === 0 ? 'survived' : 'seen';
  } catch (error) {
    console.log(String((error as { stdout?: Buffer }).stdout ?? error));
    return 'does not fit';
  } finally {
    writeFileSync(path, source);
  }
}

const only = process.argv[2];
const chosen = mutations.filter(({ what }) => only === undefined || what.includes(only));
const folder = makeCopy();
let seen = 0;
try {
  for (const mutation of chosen) {
    const startedAt = performance.now();
    const outcome = tryOne(folder, mutation);
    if (outcome === 'seen') seen += 1;
    console.log(`${outcome}: ${mutation.what} (${Math.round((performance.now() - startedAt) / 1_000)} s)`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(`${seen} of ${chosen.length} mutations are seen by a test`);
process.exitCode = seen === chosen.length ? 0 : 1;
