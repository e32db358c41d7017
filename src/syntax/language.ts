/** Which language a file is written in, told from its name, or from its first line when the name says nothing. */

/**
 * Every language with a grammar. The order is no contract: stored trees hold the name. PowerShell's grammar is left
 * out although the package has it: V8 optimises its lexer for 9 s, and a process cannot exit before that is done.
 */
export const languages = [
  'python',
  'typescript',
  'tsx',
  'javascript',
  'go',
  'rust',
  'java',
  'c',
  'cpp',
  'csharp',
  'ruby',
  'php',
  'shell',
  'css',
  'json',
  'ini',
] as const;

export type Language = (typeof languages)[number];

const names: ReadonlySet<string> = new Set(languages);

export function isLanguage(name: string): name is Language {
  return names.has(name);
}

/** Extensions without the dot, in lower case. `.h` is C: the grammar is the C++ one for both. */
const extensionsOf: Record<Language, string> = {
  python: 'py pyi pyw',
  typescript: 'ts mts cts',
  tsx: 'tsx',
  javascript: 'js jsx mjs cjs',
  go: 'go',
  rust: 'rs',
  java: 'java',
  c: 'c h',
  cpp: 'cc cpp cxx c++ hh hpp hxx h++ ipp inl tpp cu cuh ino',
  csharp: 'cs csx',
  ruby: 'rb rake gemspec ru podspec',
  php: 'php php3 php4 php5 php7 phtml inc',
  shell: 'sh bash zsh ksh bats ebuild',
  css: 'css',
  json: 'json jsonc webmanifest geojson ipynb',
  ini: 'ini cfg conf desktop service socket timer',
};

/** Whole file names, in lower case. */
const fileNamesOf: Partial<Record<Language, string>> = {
  python: 'sconstruct sconscript wscript',
  ruby: 'rakefile gemfile guardfile vagrantfile podfile fastfile capfile brewfile',
  shell:
    '.bashrc .bash_profile .bash_aliases .bash_logout .profile .zshrc .zshenv .zprofile pkgbuild apkbuild',
  json: '.babelrc .eslintrc .jshintrc composer.lock pipfile.lock',
  ini: '.editorconfig .gitconfig .gitmodules .npmrc .pylintrc .flake8',
};

/** Interpreter names as in `#!/usr/bin/env python3.11`, with the version's digits and dots taken off. */
const interpreters: Readonly<Record<string, Language>> = {
  python: 'python',
  pypy: 'python',
  node: 'javascript',
  nodejs: 'javascript',
  bun: 'typescript',
  deno: 'typescript',
  'ts-node': 'typescript',
  tsx: 'typescript',
  ruby: 'ruby',
  php: 'php',
  sh: 'shell',
  bash: 'shell',
  dash: 'shell',
  zsh: 'shell',
  ksh: 'shell',
};

const byExtension = invert(extensionsOf);
const byFileName = invert(fileNamesOf);
const byInterpreter: ReadonlyMap<string, Language> = new Map(Object.entries(interpreters));

function invert(table: Partial<Record<Language, string>>): ReadonlyMap<string, Language> {
  const inverted = new Map<string, Language>();
  for (const language of languages) {
    for (const word of (table[language] ?? '').split(' ')) {
      if (word !== '') inverted.set(word, language);
    }
  }
  return inverted;
}

/**
 * The language of the file at `path` (`/`-separated, only the last part counts), or null when none is known.
 * `firstLine` is the file's first line or any longer beginning of it; only asked when the name has no extension.
 */
export function languageOf(path: string, firstLine?: string): Language | null {
  const fileName = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const named = byFileName.get(fileName);
  if (named !== undefined) return named;
  const dot = fileName.lastIndexOf('.');
  // A leading dot starts a hidden file's name, not an extension.
  if (dot > 0) return byExtension.get(fileName.slice(dot + 1)) ?? null;
  return firstLine === undefined ? null : languageOfShebang(firstLine);
}

/** Shebangs longer than this are cut by the kernel, too (BINPRM_BUF_SIZE). */
const shebangLengthMax = 256;

function languageOfShebang(firstLine: string): Language | null {
  const line = /^\uFEFF?#!([^\r\n]*)/.exec(firstLine.slice(0, shebangLengthMax))?.[1];
  if (line === undefined) return null;
  const words = line
    .trim()
    .split(/\s+/)
    .map((word) => word.slice(word.lastIndexOf('/') + 1));
  // `env` hands over to the first word that is neither an option nor an assignment.
  const command = words[0] === 'env' ? words.slice(1).find((word) => !/^-|=/.test(word)) : words[0];
  if (command === undefined) return null;
  return byInterpreter.get(command) ?? byInterpreter.get(command.replace(/[\d.]+$/, '')) ?? null;
}
