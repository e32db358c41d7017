import { execFile, spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { type BigIntStats, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { errnoOf, messageOf } from '../base/errors.js';

/** Where a work tree's repository lies; absolute paths. */
export interface Repository {
  /** The folder that `.git` is in. */
  top: string;
  gitDir: string;
  /** What all work trees of the repository share; gitDir itself for the first one. */
  commonDir: string;
}

/** As git looks for it: the nearest `.git` at a folder or above it, on the same file system. One stat a folder. */
export function findRepository(root: string): Repository | null {
  for (let top = root; ; top = dirname(top)) {
    const repository = repositoryAt(top);
    if (repository !== null) return followed(top)?.dev === followed(root)?.dev ? repository : null;
    if (top === '/') return null;
  }
}

/** The one that begins with exactly this folder; null where none does. */
export function repositoryAt(top: string): Repository | null {
  const path = join(top, '.git');
  const stats = followed(path);
  if (stats === null) return null;
  const gitDir = stats.isFile() ? resolve(top, firstLineOf(path).replace(/^gitdir: /u, '')) : path;
  const commonDir = resolve(gitDir, firstLineOf(join(gitDir, 'commondir')));
  const isOne = followed(join(gitDir, 'HEAD')) !== null && followed(join(commonDir, 'objects')) !== null;
  return isOne ? { top, gitDir, commonDir } : null;
}

/** Of one of git's small files; '' where it cannot be read. */
export function firstLineOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n[^]*$/u, '');
  } catch {
    return '';
  }
}

/** stat, through symlinks; null for what cannot be looked at. */
function followed(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
  } catch {
    return null;
  }
}

/** Files, absolute, and how they were at some time. */
export interface StampedFiles {
  files: readonly string[];
  /** As stampsOf gave them. */
  stamps: string;
}

/** The same files, and more as they are now. */
export function withStamped({ files, stamps }: StampedFiles, more: readonly string[]): StampedFiles {
  const texts = [stamps, stampsOf(more)].filter((text) => text !== '');
  return { files: [...files, ...more], stamps: texts.join('\n') };
}

/** One text for how files are now; it is another one as soon as one of them was written, replaced, made or removed. */
export function stampsOf(files: readonly string[]): string {
  return files.map((file) => `${file} ${stampTextOf(followed(file))}`).join('\n');
}

function stampTextOf(stats: BigIntStats | null): string {
  return stats === null
    ? 'absent'
    : [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(' ');
}

/** An index of a million files is listed within seconds, in some 100 MB. */
const answerMaxMs = 20_000;
/** A git that did not answer is not asked again for so long (ms): everybody waits for it. */
const silenceMs = 60_000;
let silentUntil = 0;
const answerMaxBytes = 1024 * 1024 * 1024;

/** What a repository's own configuration might have git do is off: it could be anybody's. */
const harmless = [
  'safe.directory=*',
  'core.fsmonitor=false',
  'core.hooksPath=/dev/null',
  'log.showSignature=false',
  'protocol.allow=never',
].flatMap((setting) => ['-c', setting]);

/**
 * What git answers; null where it says that there is no such thing (exit status 1). The repository is named, so that
 * git looks for none, and takes one that is somebody else's. Nothing is written, and nothing of it is run.
 * @param folder the working directory
 * @throws ENOENT where git is not installed; a failure of git (see whyGitFailed); an AbortError
 */
export async function askGit(
  repository: { top: string | null; gitDir: string | null } | null,
  folder: string,
  question: readonly string[],
  signal: AbortSignal,
): Promise<string | null> {
  if (performance.now() < silentUntil) throw new Error(noAnswer);
  try {
    const { stdout } = await promisify(execFile)('git', wholeQuestion(repository, question), {
      ...processOptions(folder, signal),
      maxBuffer: answerMaxBytes,
    });
    return stdout;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 1) return null;
    const isKilled = error instanceof Error && 'killed' in error && error.killed === true;
    throw isKilled && !signal.aborted ? silence(error) : error;
  }
}

/**
 * As askGit, for answers that are too long to be held as a whole.
 * @param onPiece told of what git writes, as it comes
 * @throws as askGit, and where git says that there is no such thing
 */
export async function listGit(
  repository: { top: string | null; gitDir: string | null },
  folder: string,
  question: readonly string[],
  signal: AbortSignal,
  onPiece: (piece: Buffer) => void,
): Promise<void> {
  if (performance.now() < silentUntil) throw new Error(noAnswer);
  const child = spawn('git', wholeQuestion(repository, question), processOptions(folder, signal));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(0, saidMaxChars);
  });
  child.stdout.on('data', onPiece);
  const [status] = (await once(child, 'close')) as [number | null];
  if (status === 0) return;
  const failure = new Error(`git ended with ${status ?? child.signalCode}`);
  throw child.killed && !signal.aborted ? silence(failure) : Object.assign(failure, { stderr: said });
}

/** Of what git says of its failure, more than anybody reads. */
const saidMaxChars = 4_000;

function wholeQuestion(
  repository: { top: string | null; gitDir: string | null } | null,
  question: readonly string[],
): string[] {
  const place =
    repository === null
      ? ['--git-dir=/dev/null']
      : [`--git-dir=${repository.gitDir}`, `--work-tree=${repository.top}`];
  return [...place, '--no-pager', ...harmless, ...question];
}

function processOptions(
  folder: string,
  signal: AbortSignal,
): Pick<SpawnOptions, 'cwd' | 'env' | 'timeout' | 'signal'> & { cwd: string } {
  return { cwd: folder, env: environment(), timeout: answerMaxMs, signal };
}

/** git was ended, since it did not answer. */
function silence(cause: unknown): Error {
  silentUntil = performance.now() + silenceMs;
  return new Error(noAnswer, { cause });
}

const noAnswer = `git did not answer within ${answerMaxMs / 1_000} s`;

/** What git itself said where it failed, or what became of it. */
export function whyGitFailed(error: unknown): string {
  if (errnoOf(error) === 'ENOENT') return 'git is not installed';
  const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return `git failed: ${said === '' ? messageOf(error) : said}`;
}

/** Names files of the user's configuration, as git's own tests do; all else that begins so would lead git elsewhere. */
const keptVariables = new Set(['GIT_CONFIG_GLOBAL', 'GIT_CONFIG_SYSTEM', 'GIT_CONFIG_NOSYSTEM']);

function environment(): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('GIT_') || keptVariables.has(name),
  );
  return { ...Object.fromEntries(kept), LC_ALL: 'C', GIT_OPTIONAL_LOCKS: '0', GIT_NO_LAZY_FETCH: '1' };
}
