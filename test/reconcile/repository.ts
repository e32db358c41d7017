/** Repositories of the tests' own, untouched by whoever runs them. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { atEnd, temporaryFolder } from '../harness/folder.js';

const identity = ['user.name=Test', 'user.email=test@example.org', 'init.defaultBranch=main'];

/** Runs git and gives what it writes. */
export function git(folder: string, ...parameters: string[]): string {
  const settings = identity.flatMap((setting) => ['-c', setting]);
  return execFileSync('git', ['-C', folder, ...settings, ...parameters], {
    env: {
      PATH: process.env['PATH'],
      HOME: '/nowhere',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
    },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Makes the folder a repository, and gives it back. */
export function repositoryIn(folder: string, ...options: string[]): string {
  git(folder, 'init', '-q', ...options);
  return folder;
}

/** Sets variables of this process's environment, or takes them away, until the test ends. */
export function withVariables(t: TestContext, variables: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(variables)) {
    const before = process.env[name];
    setVariable(name, value);
    atEnd(t, () => setVariable(name, before));
  }
}

function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

/** Puts a program in the place of git that writes down each call, and gives the calls so far. */
export function loggedGit(t: TestContext): () => string[] {
  const folder = temporaryFolder(t);
  const log = join(folder, 'calls');
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  writeFileSync(log, '');
  writeFileSync(join(folder, 'git'), `#!/bin/sh\necho "$*" >> ${log}\nexec ${real} "$@"\n`, { mode: 0o755 });
  withVariables(t, { PATH: `${folder}:${process.env['PATH']}` });
  return () => readFileSync(log, 'utf8').split('\n').slice(0, -1);
}
