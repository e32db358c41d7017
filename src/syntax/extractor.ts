/** What made a tree and what is derived from it, in a word: files that another extractor made are indexed anew. */
import { readFileSync } from 'node:fs';
import { grammarPackageOf, resolveFile } from './grammar.js';
import type { Language } from './language.js';

/**
 * Raise it whenever this program would make something else of the same file with the same grammar: another tree
 * (tree-builder.ts, source.ts, the bounds in parser.ts), other entities (entities.ts, entity-kinds.ts,
 * entity-names.ts, docstrings.ts, leading.ts), chunks (chunks.ts) or words (base/search-words.ts), or when it tells
 * languages from other names (language.ts).
 */
const codeVersion = 2;

const extractors = new Map<Language, string>();

/**
 * Equal for two files of one language exactly where the same would be made of the same bytes, like
 * `2 tree-sitter-json@0.24.8`; `2` for files without a grammar (null).
 */
export function extractorOf(language: Language | null): string {
  if (language === null) return String(codeVersion);
  let extractor = extractors.get(language);
  if (extractor === undefined) {
    const name = grammarPackageOf(language);
    extractor = `${codeVersion} ${name}@${versionOf(name)}`;
    extractors.set(language, extractor);
  }
  return extractor;
}

/** The version of an installed package. */
function versionOf(name: string): string {
  const manifest = readFileSync(resolveFile(`${name}/package.json`), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
