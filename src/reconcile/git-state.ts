import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  askGit,
  findRepository,
  firstLineOf,
  listGit,
  type Repository,
  repositoryAt,
  type StampedFiles,
  stampsOf,
  whyGitFailed,
} from './git-program.js';
import { IndexListing, type PlainPaths, TrackedPaths } from './tracked-paths.js';

/**
 * What git says of a folder: which of its files are tracked, where HEAD is, and which rule files of its own hold.
 *
 * The program git is asked, since what an index or a ref looks like on disk is its business (index versions 2 to 4,
 * split, sparse, SHA-256, reftable). It is asked again only when a file that the answer came from has another stamp.
 */
export interface GitState {
  /** Commit of HEAD, or the name of its branch while that has none; null without a repository, or without git. */
  head: string | null;
  /** The newest entry of HEAD's log, see git-left.ts; null where there is none. */
  headLog: string | null;
  /** The repository's top folder, absolute: the root or one above it; null without a repository. */
  top: string | null;
  /** Where this work tree's HEAD lies, absolute; null without a repository. */
  gitDir: string | null;
  /** @param path of a file or symlink, relative to the root */
  isTracked: (path: string) => boolean;
  /** How many such paths there are. */
  trackedCount: number;
  /**
   * @param folder relative to the root; '' for the root itself. A submodule's folder counts as tracked, and what is below it
   *   is another repository's.
   */
  hasTrackedBelow: (folder: string) => boolean;
  /** The repository's info/exclude, absolute; it may not be there. Null without a repository. */
  infoExclude: string | null;
  /** core.excludesFile or its default, absolute; it may not be there. Also without a repository; null for none. */
  excludesFile: string | null;
  /** What excludesFile was read from; none where that was not asked for. */
  configuration: StampedFiles;
  /** Why git could not be asked, in words; then what it said last holds on. */
  problem: string | null;
}

/** Where git is not asked: nothing is tracked, and no rules hold but those in the tree. */
export const noGit: GitState = {
  head: null,
  headLog: null,
  top: null,
  gitDir: null,
  isTracked: () => false,
  trackedCount: 0,
  hasTrackedBelow: () => false,
  infoExclude: null,
  excludesFile: null,
  configuration: { files: [], stamps: '' },
  problem: null,
};

/** An answer, and how the files that it came from were just before it was given. */
interface Known<T> {
  stamps: string;
  answer: T;
}

/** What git said of a folder that was asked about, as JSON can have it. */
export interface PlainAnswer extends Pick<GitState, 'head' | 'headLog'> {
  stamps: string;
  tracked: PlainPaths;
}

/** Null where git was not asked about it by this process. */
export function answerOf(folder: string): PlainAnswer | null {
  const known = knownIndexes.get(folder);
  if (known === undefined) return null;
  const { head, headLog, tracked } = known.answer;
  return { stamps: known.stamps, head, headLog, tracked: tracked.toPlain() };
}

/** What an earlier process was told holds as long as the files are as they were then. */
export function recallAnswer(folder: string, { stamps, head, headLog, tracked }: PlainAnswer): void {
  const answer = { head, headLog, tracked: TrackedPaths.from(tracked), problem: null };
  knownIndexes.set(folder, { stamps, answer });
}

/** By the folder that was asked about: a root, or where a repository begins below one. */
const knownIndexes = new Map<string, Known<GitIndex>>();
/** By where configuration usually is: without a repository it is the user's alone. */
const knownConfigs = new Map<string, GitConfig>();

/**
 * An unchanged repository costs some stats and starts no process.
 * @param root absolute real path
 * @throws the signal's reason
 */
export async function readGitState(root: string, signal: AbortSignal): Promise<GitState> {
  const repository = findRepository(root);
  if (repository === null) {
    knownIndexes.delete(root);
    return { ...noGit, ...(await readConfig(null, signal)) };
  }
  const [config, state] = await Promise.all([
    readConfig(repository, signal),
    stateOf(repository, root, signal),
  ]);
  return { ...state, ...config };
}

/**
 * Of a repository that begins with exactly this folder; null where none does. The user's own rules are not asked for.
 * @param top absolute real path
 * @throws the signal's reason
 */
export async function readRepositoryAt(top: string, signal: AbortSignal): Promise<GitState | null> {
  const repository = repositoryAt(top);
  if (repository === null) {
    knownIndexes.delete(top);
    return null;
  }
  const { excludesFile, configuration } = noGit;
  return { ...(await stateOf(repository, top, signal)), excludesFile, configuration };
}

async function stateOf(
  repository: Repository,
  root: string,
  signal: AbortSignal,
): Promise<Omit<GitState, keyof GitConfig>> {
  const { tracked, ...answer } = await readIndex(repository, root, signal);
  return {
    ...answer,
    top: repository.top,
    gitDir: repository.gitDir,
    isTracked: (path) => tracked.has(path),
    trackedCount: tracked.count,
    hasTrackedBelow: (folder) => tracked.hasBelow(folder),
    infoExclude: join(repository.commonDir, 'info', 'exclude'),
  };
}

interface GitIndex {
  head: string | null;
  headLog: string | null;
  /** Relative to the root. */
  tracked: TrackedPaths;
  problem: string | null;
}

const emptyIndex: GitIndex = {
  head: null,
  headLog: null,
  tracked: new TrackedPaths(),
  problem: null,
};

/** What git wrote to while it was asked is asked again, so often at most: HEAD and index are to be of one moment. */
const readsMax = 5;

async function readIndex(repository: Repository, root: string, signal: AbortSignal): Promise<GitIndex> {
  const known = knownIndexes.get(root);
  try {
    for (let reads = 1; ; reads += 1) {
      const stamps = stampsOf(headFiles(repository));
      if (known?.stamps === stamps) return known.answer;
      const [head, headLog, tracked] = await Promise.all([
        headOf(repository, root, signal),
        newestEntry(repository, root, signal),
        trackedIn(repository, root, signal),
      ]);
      if (reads < readsMax && stampsOf(headFiles(repository)) !== stamps) continue;
      const answer = { head, headLog, tracked, problem: null };
      knownIndexes.set(root, { stamps, answer });
      return answer;
    }
  } catch (error) {
    signal.throwIfAborted();
    return { ...(known?.answer ?? emptyIndex), problem: whyGitFailed(error) };
  }
}

/** What changes when HEAD moves or the index is written. A branch is a file of its own, or a line of one for all. */
function headFiles({ gitDir, commonDir }: Repository): string[] {
  const branch = /^ref: (?<name>.+)$/u.exec(firstLineOf(join(gitDir, 'HEAD')))?.groups?.['name'];
  const own = ['HEAD', 'index', 'logs/HEAD', 'reftable/tables.list'].map((name) => join(gitDir, name));
  const shared = ['packed-refs', 'reftable/tables.list'].map((name) => join(commonDir, name));
  return branch === undefined ? [...own, ...shared] : [...own, ...shared, join(commonDir, branch)];
}

async function headOf(repository: Repository, root: string, signal: AbortSignal): Promise<string | null> {
  const commit = await askGit(repository, root, ['rev-parse', '--quiet', '--verify', 'HEAD'], signal);
  if (commit !== null) return commit.trim();
  return (await askGit(repository, root, ['symbolic-ref', '--quiet', 'HEAD'], signal))?.trim() ?? null;
}

/** Of one entry of HEAD's log: where it led, when, and by what. */
export const logFormat = ['--date=raw', '--format=%H %gd %gs'];

async function newestEntry(
  repository: Repository,
  root: string,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    const entry = await askGit(repository, root, ['log', '-g', '-z', '-1', ...logFormat, 'HEAD'], signal);
    return entry === null || entry === '' ? null : entry.replace(/\0$/u, '');
  } catch {
    signal.throwIfAborted();
    // As long as HEAD has no commit.
    return null;
  }
}

async function trackedIn(repository: Repository, root: string, signal: AbortSignal): Promise<TrackedPaths> {
  const listing = new IndexListing();
  // In its working directory git names what is below it, relative to it.
  await listGit(repository, root, ['ls-files', '-z', '--stage'], signal, (piece) => listing.take(piece));
  listing.tracked.seal();
  return listing.tracked;
}

/** `configuration` also has what would change the answer by being made. */
type GitConfig = Pick<GitState, 'excludesFile' | 'configuration'>;

/**
 * core.excludesFile as git resolves it. Includes and their conditions make it git's business which files the
 * configuration is in; it names them, and their stamps say when to ask again. A time would be too long for somebody
 * who has just changed a rule, and would start processes for projects where nothing happens.
 */
async function readConfig(repository: Repository | null, signal: AbortSignal): Promise<GitConfig> {
  const usual = usualConfigs(repository);
  const key = usual.join('\n');
  const known = knownConfigs.get(key);
  if (known !== undefined && known.configuration.stamps === stampsOf(known.configuration.files)) return known;
  const usualStamps = stampsOf(usual);
  try {
    const { named, isExcluding } = await listConfig(repository, signal);
    const files = [...new Set([...usual, ...named])];
    const isPlain = files.length === usual.length && !isExcluding;
    const stamps = isPlain ? usualStamps : stampsOf(files);
    const answer = {
      configuration: { files, stamps },
      excludesFile: isPlain ? defaultExcludes() : await askExcludes(repository, signal),
    };
    knownConfigs.set(key, answer);
    return answer;
  } catch {
    signal.throwIfAborted();
    const configuration = { files: usual, stamps: usualStamps };
    return { configuration, excludesFile: known?.excludesFile ?? defaultExcludes() };
  }
}

/** The files that the configuration is read from, and whether any of them names a file of rules. */
async function listConfig(
  repository: Repository | null,
  signal: AbortSignal,
): Promise<{ named: string[]; isExcluding: boolean }> {
  const listed = await askGit(repository, '/', ['config', '--list', '--show-origin', '-z'], signal);
  // An origin, NUL, key and value with a line feed in between, NUL.
  const parts = (listed ?? '').split('\0');
  const origins = parts.filter((_text, position) => position % 2 === 0);
  return {
    named: origins.filter((origin) => origin.startsWith('file:')).map((origin) => origin.slice(5)),
    isExcluding: parts.some(
      (text, position) => position % 2 === 1 && /^core\.excludesfile(?:\n|$)/u.test(text),
    ),
  };
}

function usualConfigs(repository: Repository | null): string[] {
  const users = ['/etc/gitconfig', join(homedir(), '.gitconfig'), join(gitHome(), 'config')];
  if (repository === null) return users;
  return [...users, join(repository.commonDir, 'config'), join(repository.gitDir, 'config.worktree')];
}

async function askExcludes(repository: Repository | null, signal: AbortSignal): Promise<string | null> {
  const question = ['config', '--type=path', '-z', '--get', 'core.excludesFile'];
  const given = await askGit(repository, '/', question, signal);
  if (given === null) return defaultExcludes();
  const path = given.replace(/\0$/u, '');
  return path === '' ? null : resolve(repository?.top ?? '/', path);
}

/** Of git's own folder below XDG's; gitignore(5). */
function defaultExcludes(): string {
  return join(gitHome(), 'ignore');
}

function gitHome(): string {
  const given = process.env['XDG_CONFIG_HOME'] ?? '';
  return join(given === '' ? join(homedir(), '.config') : given, 'git');
}
