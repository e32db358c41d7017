import { closeSync, constants, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isTemporaryName } from '../base/file-placer.js';
import { isWithin } from '../base/paths.js';
import { presenceAt } from '../base/presence.js';
import { IgnoreList } from './gitignore.js';

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

/** Files whose change asks for a reconcile. */
const ruleFiles = ['.gitignore', '.codekeepignore'];

export function isRuleFile(path: string): boolean {
  return ruleFiles.includes(path.slice(path.lastIndexOf('/') + 1));
}

interface RuleSource {
  /** A rule file's path in the project, or the built-in rules. */
  name: string;
  rules: IgnoreList;
}

/**
 * Which paths of a project are content. The one implementation for every walker: the watcher, the
 * reconcile and single events all ask here.
 *
 * A folder's rule files apply to what is below it; deeper rules beat higher ones, and what is below an
 * ignored folder is ignored (gitignore(5)). Rule files are read once; make a new object after a change.
 */
export class IgnoreRules {
  readonly #root: string;
  readonly #excluded: readonly string[];
  readonly #byFolder = new Map<string, readonly RuleSource[]>();
  readonly #environments = new Map<string, boolean>();

  /** @param excluded absolute folders that are never content: the versions and state directories */
  constructor(root: string, excluded: readonly string[]) {
    this.#root = root;
    this.#excluded = excluded.filter((folder) => isWithin(root, folder) && folder !== root);
  }

  /** True when the entry itself is ignored, given that the folder it is in is not. */
  ignoresEntry(path: string, isDirectory: boolean): boolean {
    return this.ignoredBy(path, isDirectory) !== null;
  }

  /** What ignores the entry itself: a rule file's path, the built-in rules, neverContent; null for content. */
  ignoredBy(path: string, isDirectory: boolean): string | null {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (neverNames.has(name) || isTemporaryName(name)) return neverContent;
    if (this.#excluded.length > 0) {
      const absolute = `${this.#root}/${path}`;
      if (this.#excluded.some((folder) => isWithin(folder, absolute))) return neverContent;
    }
    for (let folder = parentOf(path); ; folder = parentOf(folder)) {
      const below = folder === '' ? path : path.slice(folder.length + 1);
      for (const source of this.#rulesOf(folder)) {
        const verdict = source.rules.verdict(below, isDirectory);
        if (verdict !== null) return verdict === 'ignored' ? source.name : null;
      }
      if (folder === '') return isDirectory && this.#isVirtualEnvironment(path) ? builtInName : null;
    }
  }

  /** True when the path or a folder above it is ignored. */
  ignoresPath(path: string, isDirectory: boolean): boolean {
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      if (this.ignoresEntry(path.slice(0, slash), true)) return true;
    }
    return this.ignoresEntry(path, isDirectory);
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

  /** The strongest first. */
  #rulesOf(folder: string): readonly RuleSource[] {
    const known = this.#byFolder.get(folder);
    if (known !== undefined) return known;
    const rules = this.#readRules(folder);
    this.#byFolder.set(folder, rules);
    return rules;
  }

  #readRules(folder: string): readonly RuleSource[] {
    const names = folder === '' ? [join('.git', 'info', 'exclude'), ...ruleFiles] : ruleFiles;
    const sources = names.map((name) => {
      const text = readOptional(join(this.#root, folder, name));
      return { name: join(folder, name), rules: new IgnoreList(text.replace(/^\uFEFF/u, '')) };
    });
    if (folder === '') sources.unshift({ name: builtInName, rules: new IgnoreList(builtIn.join('\n')) });
    return sources.filter(({ rules }) => !rules.isEmpty).reverse();
  }
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** Neither follows a symlink nor waits for the writer of a fifo. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A rule file that is missing, a folder, a symlink, or unreadable has no rules: git treats it so, too. */
function readOptional(path: string): string {
  let fd: number | null = null;
  try {
    fd = openSync(path, readFlags);
    return readFileSync(fd, 'utf8');
  } catch {
    return '';
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
