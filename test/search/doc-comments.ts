/**
 * A retrieval task made of real code: for each function with a doc comment, the first sentence of the comment is a
 * query and the function without its comment is the one right answer.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chunksOf } from '#src/syntax/chunks.js';
import { entitiesOf } from '#src/syntax/entities.js';
import { languageOf } from '#src/syntax/language.js';
import { createParser } from '#src/syntax/parser.js';
import { decodeSource } from '#src/syntax/source.js';

export interface Question {
  query: string;
  path: string;
  entity: string;
}

const parser = createParser();

/** Comments shorter than this say too little to be a question. */
const queryWordsMin = 4;
const docComment = /\/\*\*[\s\S]*?\*\/[ \t]*\r?\n?/;

export interface SourceFile {
  path: string;
  /** Without its doc comments. */
  content: string;
}

/** @param folders of JavaScript and TypeScript sources below `root` */
export async function commentedFunctions(
  root: string,
  folders: readonly string[],
): Promise<{ files: SourceFile[]; questions: Question[] }> {
  const files: SourceFile[] = [];
  const questions: Question[] = [];
  const paths = folders.flatMap((folder) => sourcesIn(root, folder));
  for (const path of paths) {
    const content = readFileSync(join(root, path), 'utf8');
    const tree = await parser.parse(decodeSource(Buffer.from(content)), languageOf(path));
    const entities = entitiesOf(tree);
    const asked = new Set<number>();
    for (const { text, entityIndex } of chunksOf(tree, entities)) {
      const entity = entityIndex === null ? undefined : entities[entityIndex];
      const query = firstSentence(docComment.exec(text)?.[0] ?? '');
      const isFunction = entity?.kind === 'function' || entity?.kind === 'method';
      if (isFunction && entityIndex !== null && !asked.has(entityIndex) && query !== '') {
        asked.add(entityIndex);
        questions.push({ query, path, entity: entity.qualifiedName });
      }
    }
    files.push({ path, content: content.replaceAll(new RegExp(docComment, 'g'), '') });
  }
  return { files, questions };
}

function sourcesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /(?<!\.d)\.(js|ts)$/.test(name))
    .map((name) => join(folder, name))
    .sort();
}

function firstSentence(comment: string): string {
  const prose = comment
    .replaceAll(/\/\*\*|\*\/|^[ \t]*\*/gm, '')
    .split(/^\s*@/m)[0]
    ?.replaceAll(/\{@link ([^}]*)\}/g, '$1')
    .trim()
    .split(/\n\s*\n|\.\s/)[0]
    ?.replaceAll(/\s+/g, ' ');
  return prose !== undefined && prose.split(' ').length >= queryWordsMin ? prose : '';
}

/** Mean reciprocal rank of the right answer among the first 10, over all questions. */
export function meanReciprocalRank(ranks: readonly (number | null)[]): number {
  return ranks.reduce<number>((sum, rank) => sum + (rank === null ? 0 : 1 / rank), 0) / ranks.length;
}
