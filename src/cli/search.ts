import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Result } from '../contract/index.js';
import { type CommonFlags, parseNumber, withClient } from './client-command.js';
import { exitStatus, print, printText } from './output.js';
import { parseFolder, shownPath } from './paths.js';

interface SearchFlags extends CommonFlags {
  project?: string;
  mode: Mode;
  limit: number;
  kind?: string;
  language?: string;
}
type Mode = 'hybrid' | 'fulltext' | 'semantic';

export function addSearch(program: Command): void {
  program
    .command('search')
    .description('Find code by words and by meaning')
    .argument('<query...>')
    .option('--project <dir>', 'only this project', parseFolder)
    .addOption(new Option('--mode <mode>').choices(['hybrid', 'fulltext', 'semantic']).default('hybrid'))
    .option('--limit <n>', 'at most so many results', parseNumber, 10)
    .option('--kind <kind>', 'entity kind, such as function or class')
    .option('--language <language>', 'only files in it, such as python')
    .action(async (query: string[], flags: SearchFlags) => {
      const { mode, limit, kind, language, project } = flags;
      const root_dir = project === undefined ? undefined : resolve(project);
      const params = { query: query.join(' '), root_dir, mode, limit, kind, language };
      await withClient(
        flags,
        (client) => client.call('search', params),
        printHits,
        ({ results }) => (results.length === 0 ? exitStatus.notFound : exitStatus.done),
      );
    });
}

function printHits({ results, freshness, vectorized }: Result<'search'>): void {
  for (const { root_dir, path, start_line, end_line, entity, snippet } of results) {
    print`${shownPath(root_dir, path)}:${start_line}-${end_line}${entity === null ? '' : `  ${entity}`}`;
    printText(snippet, '    ');
  }
  if (results.length === 0) print`nothing found`;
  if (freshness !== 'fresh') print`(the index is ${freshness}; "codekeep status" says why)`;
  if (vectorized.vectorized < vectorized.total)
    print`(${vectorized.vectorized} of ${vectorized.total} chunks have vectors so far)`;
}
