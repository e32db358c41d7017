/**
 * The rules of one rule file, exactly as git reads them (gitignore(5), git's dir.c and wildmatch.c): a test
 * compares them with git itself.
 *
 * Rules say something about one path only, never about what is below it: that a file below an ignored folder
 * is ignored follows from not going there. So a folder that a deeper file includes again is really included.
 *
 * git matches bytes. Texts are turned into strings with one unit a byte (latin1), so that `?` and ranges mean
 * what they mean to git.
 */
interface Rule {
  negated: boolean;
  folderOnly: boolean;
  /** A rule without a slash is about the last part of a path, wherever that is. */
  wholePath: boolean;
  matches: (subject: string) => boolean;
}

/** What a list of rules says of a path; null where no rule is about it. */
export type IgnoreVerdict = 'ignored' | 'included' | null;

export class IgnoreList {
  readonly #rules: readonly Rule[];

  /** @param text of the rule file, the strongest rule last */
  constructor(text: string) {
    const lines = bytesOf(text).split('\n');
    this.#rules = lines.map(parseRule).filter((rule) => rule !== null);
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  /** @param path relative to the folder of the rule files; the last rule that matches decides */
  verdict(path: string, isDirectory: boolean): IgnoreVerdict {
    const whole = bytesOf(path);
    const name = whole.slice(whole.lastIndexOf('/') + 1);
    const rule = this.#rules.findLast(
      ({ folderOnly, wholePath, matches }) =>
        (isDirectory || !folderOnly) && matches(wholePath ? whole : name),
    );
    if (rule === undefined) return null;
    return rule.negated ? 'included' : 'ignored';
  }
}

function bytesOf(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString('latin1');
}

function parseRule(line: string): Rule | null {
  if (line.startsWith('#')) return null;
  let pattern = withoutTrailingSpaces(line.replace(/\r$/u, ''));
  const negated = pattern.startsWith('!');
  if (negated) pattern = pattern.slice(1);
  const folderOnly = pattern.endsWith('/');
  if (folderOnly) pattern = pattern.slice(0, -1);
  const wholePath = pattern.includes('/');
  if (pattern.startsWith('/')) pattern = pattern.slice(1);
  if (pattern === '') return null;
  const matches = matcherOf(pattern);
  return matches === null ? null : { negated, folderOnly, wholePath, matches };
}

/** Spaces at the end do not count, unless a backslash keeps them. */
function withoutTrailingSpaces(line: string): string {
  const kept = /^(?:\\.|[^\\])*?(?= *$)/su.exec(line);
  return kept === null ? line : kept[0];
}

/** Null for a pattern that can match nothing: a class without an end, a backslash at the end. */
function matcherOf(pattern: string): Rule['matches'] | null {
  if (!/[*?[\\]/u.test(pattern)) return (subject) => subject === pattern;
  const rest = pattern.slice(1);
  if (pattern.startsWith('*') && !/[*?[\\/]/u.test(rest)) {
    return (subject) =>
      subject.endsWith(rest) && !subject.slice(0, subject.length - rest.length).includes('/');
  }
  const source = sourceOf(pattern);
  if (source === null) return null;
  const expression = new RegExp(`^${source}$`, 's');
  return (subject) => expression.test(subject);
}

/** A glob as the source of a regular expression. */
function sourceOf(pattern: string): string | null {
  let source = '';
  let at = 0;
  while (at < pattern.length) {
    const piece = pieceAt(pattern, at);
    if (piece === null) return null;
    source += piece.source;
    at = piece.end;
  }
  return source;
}

interface Piece {
  source: string;
  /** Where the next piece begins. */
  end: number;
}

function pieceAt(pattern: string, at: number): Piece | null {
  switch (pattern[at]) {
    case '\\':
      return at + 1 < pattern.length ? { source: literal(pattern.charAt(at + 1)), end: at + 2 } : null;
    case '?':
      return { source: '[^/]', end: at + 1 };
    case '*':
      return starsAt(pattern, at);
    case '[':
      return classAt(pattern, at);
    default:
      return { source: literal(pattern.charAt(at)), end: at + 1 };
  }
}

/**
 * Two or more stars that fill the place between two slashes match any number of folders; others match within
 * one. git compares what comes before the first special character literally, and takes stars right behind it for
 * the beginning of the pattern.
 */
function starsAt(pattern: string, at: number): Piece {
  let end = at;
  while (pattern[end] === '*') end += 1;
  const isFirst = !/[*?[\\]/u.test(pattern.slice(0, at));
  const startsPlace = isFirst || pattern[at - 1] === '/';
  const next = pattern[end];
  const endsPlace = next === undefined || next === '/' || pattern.startsWith('\\/', end);
  if (end - at < 2 || !startsPlace || !endsPlace) return { source: '[^/]*', end };
  if (next === '/') return { source: '(?:.*/)?', end: end + 1 };
  return { source: '.*', end };
}

const namedClasses: Record<string, string> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  blank: '\\t ',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '\\x21-\\x7e',
  lower: 'a-z',
  print: '\\x20-\\x7e',
  punct: '\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e',
  space: '\\t-\\r ',
  upper: 'A-Z',
  xdigit: '0-9A-Fa-f',
};

function classAt(pattern: string, start: number): Piece | null {
  const negated = pattern[start + 1] === '!' || pattern[start + 1] === '^';
  let at = start + (negated ? 2 : 1);
  let members = '';
  /** The character that a range may begin with. */
  let previous: string | null = null;
  for (let isFirst = true; isFirst || pattern[at] !== ']'; isFirst = false) {
    const member = memberAt(pattern, at, previous);
    if (member === null) return null;
    members += member.source;
    previous = member.previous;
    at = member.end;
  }
  // A class never matches a slash; an empty one, as of a range that is upside down, matches nothing.
  const source = negated ? `[^/${members}]` : members === '' ? '(?!)' : `(?!/)[${members}]`;
  return { source, end: at + 1 };
}

function memberAt(
  pattern: string,
  at: number,
  previous: string | null,
): (Piece & { previous: string | null }) | null {
  const first = pattern[at];
  if (first === undefined) return null;
  if (first === '-' && previous !== null && at + 1 < pattern.length && pattern[at + 1] !== ']') {
    const escaped = pattern[at + 1] === '\\';
    const last = pattern[at + (escaped ? 2 : 1)];
    if (last === undefined) return null;
    const source = last < previous ? '' : `${unit(previous)}-${unit(last)}`;
    return { source, end: at + (escaped ? 3 : 2), previous: null };
  }
  if (first === '[' && pattern[at + 1] === ':') {
    const close = pattern.indexOf(']', at + 2);
    if (close < 0) return null;
    if (close - 1 >= at + 2 && pattern[close - 1] === ':') {
      const source = namedClasses[pattern.slice(at + 2, close - 1)];
      return source === undefined ? null : { source, end: close + 1, previous: null };
    }
  }
  const escaped = first === '\\';
  const character = escaped ? pattern[at + 1] : first;
  if (character === undefined) return null;
  return { source: unit(character), end: at + (escaped ? 2 : 1), previous: character };
}

/** A character as it stands in a class: numbered, so that none has a meaning. */
function unit(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

function literal(character: string): string {
  return /\w/u.test(character) ? character : unit(character);
}
