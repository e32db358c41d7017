import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { isTemporaryName } from '../base/temporary-names.js';
import { isWithin } from '../base/paths.js';
import { presenceAt } from '../base/presence.js';
import type { GitState } from './git-state.js';
import { IgnoreList } from './gitignore.js';
import { OwnFiles } from './own-files.js';
import { noProjectGit, type ProjectGit } from './project-git.js';

/** Ignored unless a project's own rules say otherwise (`!name/` in .gitignore or .codekeepignore). */
const builtIn = [
  'node_modules/',
  'bower_components/',
  '.venv/',
  '__pycache__/',
  '*.pyc',
  '.tox/',
  '.nox/',
  '.mypy_cache/',
  '.pytest_cache/',
  '.ruff_cache/',
  '.cache/',
  '.parcel-cache/',
  '.gradle/',
  '.terraform/',
  '.DS_Store',
];

/** Never content, whatever the rules say: version control's own files. */
const neverNames = new Set(['.git', '.hg', '.svn', '.jj']);

/** What the built-in rules are called where a rule file would be named. */
const builtInName = 'the built-in rules';

/** Stands for a rule file where no rule is asked: version control's files, the program's own. */
export const neverContent = 'never content';

export const ruleFiles: readonly string[] = ['.gitignore', '.codekeepignore'];
/** What else is content may change with a rule file, or where a repository comes or goes. */
const rulingNames = new Set([...ruleFiles, '.git']);

/** True for entries whose change asks for a comparison of the whole project. */
export function isRuling(path: string): boolean {
  return rulingNames.has(path.slice(path.lastIndexOf('/') + 1));
}

/**
 * Files with rules of a project that lie elsewhere, absolute: git's own, and those of the folders between a repository's top and
 * a root below it. They may not be there.
 */
export function rulesOutside(root: string, git: ProjectGit): string[] {
  const gits = [git, ...git.nested.values()].flatMap(({ infoExclude, excludesFile }) => [
    infoExclude,
    excludesFile,
  ]);
  const above: string[] = [];
  for (let folder = root; git.top !== null && folder !== git.top; folder = dirname(folder))
    above.push(...ruleFiles.map((name) => join(dirname(folder), name)));
  return [...gits.filter((file) => file !== null), ...above];
}

interface RuleSource {
  /** A rule file's path (relative to the root where it is below it), or the built-in rules. */
  name: string;
  /** It ends where another repository begins, as all of git's own but the user's. */
  endsAtRepository: boolean;
  rules: IgnoreList;
}

/** A source with the folder that its rules count from, relative to the base. */
interface PlacedSource {
  source: RuleSource;
  folder: string;
}

export interface IgnoreContext {
  /** Where it is left out, git is not asked. */
  git?: ProjectGit;
  /** Roots of registered projects, absolute real paths: what is below another one is that project's. */
  projects?: readonly string[];
}

/**
 * Which paths of a project are content. The one implementation for every walker: the watcher, the
 * reconcile and single events all ask here.
 *
 * A folder's rule files apply to what is below it, git's own not beyond where another repository begins; deeper rules beat
 * higher ones, then come the repository's info/exclude, the user's core.excludesFile and the built-in rules. What is below an ignored folder is ignored
 * (gitignore(5)), but for what git tracks: that is content whatever the rules say. A repository below the root is ignored
 * with its folder, unless it is a submodule that the one around it tracks: builds clone what nobody edits. Rule files are
 * read once; make a new object after a change.
 */
export class IgnoreRules {
  readonly #root: string;
  readonly #git: ProjectGit;
  /** Rules count from here: the repository's top folder, or the root. */
  readonly #base: string;
  /** The root relative to the base, with a slash behind it; '' for the base itself. */
  readonly #prefix: string;
  readonly #own: OwnFiles;
  readonly #isInOwn: boolean;
  /** Own folders that are not there yet, relative to the root. */
  readonly #notMadeYet: readonly string[];
  /** Roots of other projects, relative to the root. */
  readonly #projects: ReadonlySet<string>;
  /** What rules what is in a folder, that of the folders above it, too; mostly the same array as there. */
  readonly #byFolder = new Map<string, readonly PlacedSource[]>();
  /** What `withinAt` has said. */
  readonly #withinAt = new Map<string, string | null>();
  readonly #environments = new Map<string, boolean>();
  readonly #ownFolders = new Map<string, boolean>();

  /** @param excluded absolute folders that are never content: the versions and state directories */
  constructor(
    root: string,
    excluded: readonly string[],
    { git = noProjectGit, projects = [] }: IgnoreContext = {},
  ) {
    this.#root = root;
    this.#git = git;
    this.#own = new OwnFiles(excluded);
    this.#isInOwn = this.#own.hold(root);
    this.#notMadeYet = foldersBelow(root, this.#own.notMadeYet);
    this.#projects = new Set(foldersBelow(root, projects));
    this.#base = git.top ?? root;
    this.#prefix = root === this.#base ? '' : `${relative(this.#base, root)}/`;
    // A repository that ignores the project's folder as a whole has nothing to say of what is in it.
    if (this.#prefix !== '' && this.#ignoresRoot()) {
      this.#base = root;
      this.#prefix = '';
      this.#byFolder.clear();
    }
  }

  /**
   * What ignores an entry: a rule file's path, the built-in rules, a project, neverContent; null for content.
   * @param within what ignores the folder that the entry is in, where that was entered nevertheless
   * @param isTracked what `isTracked` says, where somebody has asked already
   */
  ignoredBy(
    path: string,
    isDirectory: boolean,
    within: string | null = null,
    isTracked = !isDirectory && this.isTracked(path),
  ): string | null {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (this.#isInOwn || neverNames.has(name) || isTemporaryName(name)) return neverContent;
    if (this.#notMadeYet.some((folder) => isWithin(folder, path))) return neverContent;
    if (isDirectory && this.#projects.has(path)) return `the project ${this.#root}/${path}`;
    if (isTracked) return null;
    return within ?? this.#ruleAbout(path, isDirectory);
  }

  /**
   * Whether content may be found in a folder: it is not ignored, or git tracks something below it.
   * @param source what ignores the folder
   */
  isEntered(folder: string, source: string | null): boolean {
    if (source === null) return true;
    return source !== neverContent && !this.#projects.has(folder) && this.#git.hasTrackedBelow(folder);
  }

  /** What ignores all in a folder that was entered, but for what git tracks: nothing from outside of a repository. */
  within(folder: string, source: string | null): string | null {
    return this.#git.nested.has(folder) ? null : source;
  }

  /** As `within`, for a folder that no walk has come to. */
  withinAt(folder: string): string | null {
    if (folder === '') return null;
    let within = this.#withinAt.get(folder);
    if (within === undefined) {
      const source = this.ignoredBy(folder, true, this.withinAt(parentOf(folder)));
      within = this.isEntered(folder, source) ? this.within(folder, source) : source;
      this.#withinAt.set(folder, within);
    }
    return within;
  }

  /** True for the program's own folders and databases, by whatever path they are reached. */
  isOwn(stats: Pick<BigIntStats, 'dev' | 'ino'>): boolean {
    return this.#own.has(stats);
  }

  isTracked(path: string): boolean {
    return this.#git.isTracked(path);
  }

  /** A walk has listed a folder: where no rule file was in it, none is looked for. */
  noteListed(folder: string, names: readonly string[]): void {
    if (ruleFiles.some((name) => names.includes(name))) return;
    const path = folder === '' ? this.#prefix.slice(0, -1) : `${this.#prefix}${folder}`;
    if (path !== '' && this.#nestedAt(path) === undefined && !this.#byFolder.has(path))
      this.#byFolder.set(path, this.#rulesIn(parentOf(path)));
  }

  /** True when a path is no content: it, or a folder above it, is ignored or the program's own. */
  ignoresPath(path: string, isDirectory: boolean): boolean {
    let within: string | null = null;
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      const folder = path.slice(0, slash);
      const source = this.ignoredBy(folder, true, within);
      if (!this.isEntered(folder, source) || this.#isOwnFolder(folder)) return true;
      within = this.within(folder, source);
    }
    const source = this.ignoredBy(path, isDirectory, within);
    const isIgnored = isDirectory ? !this.isEntered(path, source) : source !== null;
    return isIgnored || this.#own.standsAt(`${this.#root}/${path}`);
  }

  #isOwnFolder(folder: string): boolean {
    let isOwn = this.#ownFolders.get(folder);
    if (isOwn === undefined) {
      isOwn = this.#own.standsAt(`${this.#root}/${folder}`);
      this.#ownFolders.set(folder, isOwn);
    }
    return isOwn;
  }

  #ignoresRoot(): boolean {
    const steps = this.#prefix.split('/').slice(0, -1);
    const folders = steps.map((_name, position) => steps.slice(0, position + 1).join('/'));
    return folders.some((folder) => typeof this.#ruleFrom(folder, true) === 'string');
  }

  #ruleAbout(path: string, isDirectory: boolean): string | null {
    const source = this.#ruleFrom(`${this.#prefix}${path}`, isDirectory);
    if (source !== undefined) return source;
    return isDirectory && this.#isVirtualEnvironment(path) ? builtInName : null;
  }

  /**
   * @param path relative to the base
   * @returns the source of the rule that ignores it, null where a rule includes it, undefined where none is about it
   */
  #ruleFrom(path: string, isDirectory: boolean): string | null | undefined {
    for (const { source, folder } of this.#rulesIn(parentOf(path))) {
      const below = folder === '' ? path : path.slice(folder.length + 1);
      const verdict = source.rules.verdict(below, isDirectory);
      if (verdict !== null) return verdict === 'ignored' ? source.name : null;
    }
    return undefined;
  }

  /** By its marker and not by its name: a folder `venv` may be code, as in Python's own library. */
  #isVirtualEnvironment(folder: string): boolean {
    let isOne = this.#environments.get(folder);
    if (isOne === undefined) {
      isOne = presenceAt(`${this.#root}/${folder}/pyvenv.cfg`) === 'file';
      this.#environments.set(folder, isOne);
    }
    return isOne;
  }

  /** The strongest first. Found once for each folder: to ask all above it again for each entry takes seconds where they are many. */
  #rulesIn(folder: string): readonly PlacedSource[] {
    const known = this.#byFolder.get(folder);
    if (known !== undefined) return known;
    const own = this.#readRules(folder).map((source) => ({ source, folder }));
    let above = folder === '' ? [] : this.#rulesIn(parentOf(folder));
    if (this.#nestedAt(folder) !== undefined) above = above.filter(({ source }) => !source.endsAtRepository);
    const rules = own.length === 0 ? above : [...own, ...above];
    this.#byFolder.set(folder, rules);
    return rules;
  }

  #readRules(folder: string): readonly RuleSource[] {
    const sources = ruleFiles.map((name) =>
      this.#sourceAt(join(this.#base, folder, name), readFlags, name === '.gitignore'),
    );
    const infoExclude = this.#nestedAt(folder)?.infoExclude;
    if (typeof infoExclude === 'string') sources.unshift(this.#sourceAt(infoExclude, readFlagsOutside, true));
    if (folder === '') sources.unshift(...this.#rulesForAll());
    return sources.filter(({ rules }) => !rules.isEmpty).reverse();
  }

  /** @param folder relative to the base */
  #nestedAt(folder: string): GitState | undefined {
    const isInRoot = folder.startsWith(this.#prefix);
    return isInRoot ? this.#git.nested.get(folder.slice(this.#prefix.length)) : undefined;
  }

  /** The weakest first. */
  #rulesForAll(): RuleSource[] {
    const { infoExclude, excludesFile, top } = this.#git;
    const sources = [
      { name: builtInName, rules: new IgnoreList(builtIn.join('\n')), endsAtRepository: false },
    ];
    if (excludesFile !== null) sources.push(this.#sourceAt(excludesFile, readFlagsOutside, false));
    if (infoExclude !== null && top === this.#base)
      sources.push(this.#sourceAt(infoExclude, readFlagsOutside, true));
    return sources;
  }

  #sourceAt(file: string, flags: number, endsAtRepository: boolean): RuleSource {
    const text = readOptional(file, flags);
    const name = isWithin(this.#root, file) ? relative(this.#root, file) : file;
    return { name, rules: new IgnoreList(text.replace(/^\uFEFF/u, '')), endsAtRepository };
  }
}

/** Those of absolute folders that are below the root, relative to it. */
function foldersBelow(root: string, folders: readonly string[]): string[] {
  return folders
    .filter((folder) => folder !== root && isWithin(root, folder))
    .map((folder) => relative(root, folder));
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** Waits for no writer of a fifo. Where people keep their own rules may be a symlink; one in a tree has none, as for git. */
const readFlagsOutside = constants.O_RDONLY | constants.O_NONBLOCK;
const readFlags = readFlagsOutside | constants.O_NOFOLLOW;

/** A rule file that is missing, no regular file, or unreadable has no rules: git treats it so, too. */
function readOptional(path: string, flags: number): string {
  let fd: number | null = null;
  try {
    // Most folders have none, and an error takes several times as long as a look.
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return '';
    fd = openSync(path, flags);
    return fstatSync(fd).isFile() ? readFileSync(fd, 'utf8') : '';
  } catch {
    return '';
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
