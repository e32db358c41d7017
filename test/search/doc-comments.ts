/**
 * A retrieval task made of real code: for each function with a doc comment, the first sentence of the comment is a
 * query and the function without its comment is the one right answer.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseFile, type ParsedFile } from './project-fixture.js';

export interface Question {
  query: string;
  path: string;
  entity: string;
}

/** Comments shorter than this say too little to be a question. */
const queryWordsMin = 4;
const docComment = /\/\*\*[\s\S]*?\*\/[ \t]*\r?\n?/;

/** @param folders of JavaScript and TypeScript sources below `root` */
export async function commentedFunctions(
  root: string,
  folders: readonly string[],
): Promise<{ files: ParsedFile[]; questions: Question[] }> {
  const files: ParsedFile[] = [];
  const questions: Question[] = [];
  const paths = folders.flatMap((folder) => sourcesIn(root, folder));
  for (const path of paths) {
    const parsed = await parseFile(path, readFileSync(join(root, path)));
    const asked = new Set<number>();
    const chunks = parsed.chunks.map((chunk) => {
      const text = chunk.text.replace(new RegExp(docComment, 'g'), '');
      const entity = chunk.entityIndex === null ? undefined : parsed.entities[chunk.entityIndex];
      const query = firstSentence(docComment.exec(chunk.text)?.[0] ?? '');
      const isFunction = entity?.kind === 'function' || entity?.kind === 'method';
      if (isFunction && chunk.entityIndex !== null && !asked.has(chunk.entityIndex) && query !== '') {
        asked.add(chunk.entityIndex);
        questions.push({ query, path, entity: entity.qualifiedName });
      }
      return { ...chunk, text };
    });
    files.push({ ...parsed, chunks });
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
