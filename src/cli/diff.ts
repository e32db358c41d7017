import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import { type CommonFlags, withConnection } from './client-command.js';
import { exitStatus, isForPeople, print, printExact, printJson, printStyled, type Style } from './output.js';
import { oneLine } from './text.js';
import { throughPager } from './pager.js';
import { askForPlace, parseFolder, type Place, projectRoot } from './paths.js';
import { parseWhen } from './when.js';

type FileDiff = Result<'diff'>['files'][number];

interface DiffFlags extends CommonFlags {
  project?: string;
  since?: string;
  until?: string;
}

export function addDiff(program: Command): void {
  program
    .command('diff')
    .description('Show what changed, as a patch that "git apply" takes')
    .argument('[path]', 'only this file, or what is below this folder')
    .option(
      '--since <when>',
      'a time, a duration such as 10m, a checkpoint, or a version of the file; the newest checkpoint by default',
      parseWhen,
    )
    .option('--until <when>', 'likewise; now by default', parseWhen)
    .option(
      '--project <dir>',
      "the project's root folder; without it the project around the working directory",
      parseFolder,
    )
    .action(async (path: string | undefined, flags: DiffFlags) => {
      await withConnection(flags, async (client) => {
        const root_dir = await projectRoot(client, flags.project, path);
        const { since: from, until: to } = flags;
        const ask = async (place: Place, cursor?: string): Promise<[Place, Result<'diff'>]> => [
          place,
          await client.call('diff', { root_dir, ...place, from, to, cursor }),
        ];
        const [place, first] = await askForPlace(root_dir, path, ask, ([, { files }]) => files.length === 0);
        const rest = async (cursor: string): Promise<Result<'diff'>> => (await ask(place, cursor))[1];
        await printPages(first, rest, flags.json === true);
        if (first.files.length === 0) process.exitCode = exitStatus.notFound;
      });
    });
}

/** In JSON all pages are one. */
async function printPages(
  first: Result<'diff'>,
  next: (cursor: string) => Promise<Result<'diff'>>,
  isJson: boolean,
): Promise<void> {
  if (first.files.length === 0 && !isJson) {
    if (isForPeople()) print`nothing changed`;
    return;
  }
  const all: FileDiff[] = [];
  const printAll = async (): Promise<void> => {
    for (let page = first; ;) {
      if (isJson) all.push(...page.files);
      else for (const file of page.files) printFile(file);
      if (page.next_cursor === null) return;
      page = await next(page.next_cursor);
    }
  };
  if (!isJson) return await throughPager(printAll);
  await printAll();
  printJson({ files: all, next_cursor: null });
}

function printFile(file: FileDiff): void {
  const { patch, reason } = file;
  const text = patch ?? withoutPatch(file);
  if (!isForPeople()) {
    printExact(text);
    return;
  }
  if (reason !== null) {
    printStyled(`${oneLine(file.path)}: ${file.kind}, no patch: ${oneLine(reason)}`, 'bold');
    return;
  }
  let isHead = true;
  for (const line of text.split('\n').slice(0, -1)) {
    isHead = line.startsWith('diff --git ') || (isHead && !line.startsWith('@@ '));
    printStyled(line, isHead ? 'bold' : styleOf(line));
  }
}

/** As git has what is binary; it wants hashes, which name nothing here. It refuses such a patch by the file's name, unless that is excluded. */
function withoutPatch({ path, from_path, kind }: FileDiff): string {
  const [old, later] = [`a/${from_path ?? path}`, `b/${path}`].map(quoted);
  const modes = {
    added: 'new file mode 100644\n',
    deleted: 'deleted file mode 100644\n',
    changed: '',
    renamed: '',
  };
  const [hash, other] = [
    kind === 'added' ? '0000000' : '1111111',
    kind === 'deleted' ? '0000000' : '2222222',
  ];
  const sides = `${kind === 'added' ? '/dev/null' : old} and ${kind === 'deleted' ? '/dev/null' : later}`;
  return `diff --git ${old} ${later}\n${modes[kind]}index ${hash}..${other}\nBinary files ${sides} differ\n`;
}

/** As git has a name with what would end it, or its line. */
function quoted(name: string): string {
  return /["\\\p{Cc}]/u.test(name) ? JSON.stringify(name) : name;
}

function styleOf(line: string): Style | null {
  if (line.startsWith('@@ ')) return 'cyan';
  if (line.startsWith('+')) return 'green';
  return line.startsWith('-') ? 'red' : null;
}
