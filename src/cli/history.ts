import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import type { Client } from '../rpc/client/client.js';
import { type CommonFlags, parseNumber, withClient } from './client-command.js';
import { CommandError, exitStatus, isForPeople, print, printExact, printTable, printText } from './output.js';
import { askForPlace, isNotFound, parseFolder, pathInProject, projectRoot, shownPath } from './paths.js';
import { growthText, localTime, whyText } from './text.js';
import { askForVersion, type Which } from './named-version.js';
import { parseWhen } from './when.js';

type Versions = Result<'list_file_versions'>;
type Version = Versions['versions'][number];
type Changes = Result<'list_changes'>;

const projectOption = [
  '--project <dir>',
  "the project's root folder; without it the project around the working directory",
  parseFolder,
] as const;

interface HistoryFlags extends CommonFlags {
  project?: string;
  since?: string;
  limit: number;
}

export function addHistory(program: Command): void {
  program
    .command('history')
    .description('List what changed, when, why and by how much, the newest first')
    .argument('[path]', 'a file: its versions; a folder: what changed below it; without it in the project')
    .option('--since <when>', 'only what changed after it: a time, 10m, a checkpoint', parseWhen)
    .option('--limit <n>', 'at most so many entries', parseNumber, 100)
    .option(...projectOption)
    .action(async (path: string | undefined, flags: HistoryFlags) => {
      const { since, limit } = flags;
      let root_dir = '';
      const ask = async (client: Client): Promise<Versions | Changes> => {
        root_dir = await projectRoot(client, flags.project, path);
        const versions = async (file: string): Promise<Versions> =>
          await client.call('list_file_versions', { root_dir, path: file, since, limit });
        return await askForPlace<Versions | Changes>(
          root_dir,
          path,
          async ({ path: file, path_prefix }) => {
            if (file !== undefined) return await versions(file);
            const answer = await client.call('list_changes', { root_dir, path_prefix, since, limit });
            // An empty folder may be in the place of what was a file.
            if (path_prefix === undefined || answer.changes.length > 0) return answer;
            return await versions(path_prefix.slice(0, -1)).catch((error: unknown) => {
              if (isNotFound(error)) return answer;
              throw error;
            });
          },
          (answer) => 'changes' in answer && answer.changes.length === 0,
        );
      };
      await withClient(flags, ask, (answer) => {
        if ('versions' in answer) printVersions(answer);
        else printChanges(root_dir, answer, since !== undefined);
        if (answer.next_cursor !== null) print`... and earlier ones; --limit shows more`;
      });
    });
  program
    .command('show')
    .description('Print a file as the index has it, now or as it was')
    .argument('<path[@when]>', 'when: a version of "codekeep history", a time, 10m, a checkpoint')
    .option(...projectOption)
    .action(async (named: string, flags: CommonFlags & { project?: string }) => {
      await withClient(flags, (client) => fileNamed(client, named, flags.project), printFile);
    });
}

function printChanges(root: string, { changes, recorded_since }: Changes, isNarrowed: boolean): void {
  if (changes.length === 0) {
    if (isNarrowed || recorded_since === null) print`nothing changed`;
    else print`nothing changed since ${localTime(recorded_since)}, when it was first looked at`;
  }
  printTable(
    changes.map(({ at, kind, cause, size, previous_size, path, from_path }) => [
      localTime(at),
      kind,
      whyText[cause],
      growthText((size ?? 0) - (previous_size ?? 0)),
      from_path === null
        ? shownPath(root, path)
        : `${shownPath(root, from_path)} -> ${shownPath(root, path)}`,
    ]),
  );
}

/** A version that ended with nothing in its place tells of that, too. */
function printVersions({ versions }: Versions): void {
  const rows = versions.flatMap((version, place) => {
    const { seen_at, gone_at, gone_to, gone_cause, change, cause, version_id } = version;
    const size = sizeOf(version);
    const before = sizeBefore(change, versions[place + 1]);
    const row = [
      localTime(seen_at),
      change === 'found' ? 'there' : (change ?? ''),
      whyText[cause],
      before === undefined ? '' : growthText(size - before),
      version_id,
    ];
    if (gone_at === null || gone_to === null || gone_cause === null) return [row];
    return [[localTime(gone_at), gone_to, whyText[gone_cause], growthText(-size), ''], row];
  });
  if (rows.length === 0) print`nothing changed`;
  printTable(rows);
}

/** What a folder takes is the file system's. */
function sizeOf({ kind, size }: Version): number {
  return kind === 'folder' ? 0 : size;
}

/** Undefined where nobody has said. */
function sizeBefore(change: Version['change'], older: Version | undefined): number | undefined {
  const before = older === undefined ? undefined : sizeOf(older);
  if (change === 'changed') return before;
  // It may have got the name of one that was there.
  if (change === 'renamed' && older?.gone_to === null) return before;
  return change === null ? undefined : 0;
}

async function fileNamed(
  client: Client,
  named: string,
  project: string | undefined,
): Promise<Result<'get_file'>> {
  const root_dir = await projectRoot(client, project, named);
  const ask = async (path: string, which: Which): Promise<Result<'get_file'>> =>
    await client.call('get_file', { root_dir, path: pathInProject(root_dir, path), ...which });
  return await askForVersion(named, async () => await ask(named, {}), ask);
}

function printFile({ path, content, encoding }: Result<'get_file'>): void {
  const isText = encoding === 'utf8';
  if (!isForPeople()) printExact(Buffer.from(content, isText ? 'utf8' : 'base64'));
  else if (isText) printText(content.replace(/\r?\n$/u, ''));
  else
    throw new CommandError(
      `${path} is binary.`,
      'Send it into a file or a pipe: a terminal would carry out what is in it.',
      exitStatus.usage,
    );
}
