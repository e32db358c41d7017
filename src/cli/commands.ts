import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { Result } from '../contract/index.js';
import type { Client } from '../rpc/client/client.js';
import { type Common, type CommonFlags, parseJson, parseNumber, withClient } from './client-command.js';
import { addDoctor } from './doctor.js';
import { addFileCommands } from './file-commands.js';
import { addServiceCommands } from './install.js';
import { print, printJson, table } from './output.js';
import { callWithProgress } from './progress.js';
import { printReport } from './repair.js';
import { addLogs, addWorkerCommands } from './worker-commands.js';

/** Adds every command that is a client of the socket. */
export function addClientCommands(program: Command, common: Common): void {
  addCall(program, common);
  addProjectCommands(program, common);
  addRepair(program, common);
  addFileCommands(program, common);
  addSearch(program, common);
  addWorkerCommands(program, common);
  addLogs(program, common);
  addServiceCommands(program);
  addDoctor(program, common);
}

function addCall(program: Command, common: Common): void {
  common(program.command('call').description('Call any method; prints its result as JSON'))
    .argument('<method>', 'for instance health; rpc.discover lists them all')
    .argument('[params]', 'a JSON object or array', parseJson)
    .action(async (method: string, params: unknown, flags: CommonFlags) => {
      await withClient({ ...flags, json: true }, (client) => client.callAny(method, params), printJson);
    });
}

function addProjectCommands(program: Command, common: Common): void {
  common(program.command('status').description('Show the daemon, its workers and projects')).action(
    async (flags: CommonFlags) => {
      await withClient(flags, readStatus, printStatus);
    },
  );
  common(program.command('add').description('Register a folder as a project'))
    .argument('[dir]', "the project's root folder", '.')
    .option('--version-dir <dir>', 'where deleted files go (data/versions below the project by default)')
    .option('--name <name>')
    .action(async (dir: string, flags: CommonFlags & { versionDir?: string; name?: string }) => {
      const params = { root_dir: resolve(dir), version_dir: flags.versionDir, name: flags.name };
      await withClient(
        flags,
        (client) => client.call('add_project', params),
        (added) =>
          print(`${added.created ? 'added' : 'known already'}: ${added.root_dir} (${added.project_id})`),
      );
    });
  common(program.command('update').description('Compare a project with its index now'))
    .argument('[dir]', "the project's root folder", '.')
    .action(async (dir: string, flags: CommonFlags) => {
      await withClient(
        flags,
        (client) => callWithProgress(client, 'update_indexes', { root_dir: resolve(dir) }),
        ({ files_added, files_changed, files_deleted, files_unchanged, files_skipped, duration_ms }) =>
          print(
            `${files_added} added, ${files_changed} changed, ${files_deleted} deleted, ${files_unchanged} unchanged, ${files_skipped} skipped in ${duration_ms} ms`,
          ),
      );
    });
}

interface StatusReport {
  health: Result<'health'>;
  database: Result<'get_database_status'>;
  projects: Result<'get_project_status'>[];
}

async function readStatus(client: Client): Promise<StatusReport> {
  const health = await client.call('health');
  const { projects } = await client.call('list_projects');
  const statuses = projects.map(({ project_id }) => client.call('get_project_status', { project_id }));
  return {
    health,
    database: await client.call('get_database_status'),
    projects: await Promise.all(statuses),
  };
}

function printStatus({ health, database, projects }: StatusReport): void {
  print(
    `codekeep ${health.version} is ${health.status} (pid ${health.pid}, up ${Math.round(health.uptime_seconds)} s)`,
  );
  print(table(Object.entries(health.workers).map(([type, state]) => [`  ${type}`, state])));
  for (const { source, reason, hint } of health.problems) print(`problem: ${source}: ${reason}. ${hint}`);
  print(
    `index: ${database.db_path}, ${database.file_size_mb} MB, ${database.contents} contents, check: ${database.integrity}`,
  );
  for (const { root_dir, freshness, reason, files, chunks } of projects) {
    print(`${root_dir}: ${freshness}${reason === null ? '' : ` (${reason})`}`);
    print(
      `  ${files.active} files, ${files.deleted} deleted, ${files.pending} pending, ${files.skipped} skipped, ${files.not_restorable} not restorable`,
    );
    print(`  ${chunks.vectorized} of ${chunks.total} chunks have vectors`);
  }
}

interface RepairFlags extends CommonFlags {
  dryRun?: boolean;
  force?: boolean;
  resume: boolean;
  versionDir?: string;
}

function addRepair(program: Command, common: Common): void {
  common(
    program
      .command('repair')
      .description('Stop the workers and mend index and project; all projects without DIR'),
  )
    .argument('[dir]', "the project's root folder")
    .option('--dry-run', 'only say what would be done')
    .option('--force', 'go on although the root folder is not the one that was registered')
    .option('--no-resume', 'leave the workers stopped afterwards')
    .option('--version-dir <dir>', "look for versions here instead of the project's own folder")
    .action(async (dir: string | undefined, flags: RepairFlags) => {
      const params = {
        root_dir: dir === undefined ? undefined : resolve(dir),
        version_dir: flags.versionDir,
        dry_run: flags.dryRun ?? false,
        force: flags.force ?? false,
        resume_workers: flags.resume,
      };
      await withClient(flags, (client) => callWithProgress(client, 'repair_database', params), printReport);
    });
}

interface SearchFlags extends CommonFlags {
  project?: string;
  mode: Mode;
  limit: number;
  kind?: string;
  language?: string;
}
type Mode = 'hybrid' | 'fulltext' | 'semantic';

function addSearch(program: Command, common: Common): void {
  common(program.command('search').description('Find code by words and by meaning'))
    .argument('<query...>')
    .option('--project <dir>', 'only this project')
    .addOption(new Option('--mode <mode>').choices(['hybrid', 'fulltext', 'semantic']).default('hybrid'))
    .option('--limit <n>', 'at most so many results', parseNumber, 10)
    .option('--kind <kind>', 'entity kind, such as function or class')
    .option('--language <language>')
    .action(async (query: string[], flags: SearchFlags) => {
      const { mode, limit, kind, language, project } = flags;
      const root_dir = project === undefined ? undefined : resolve(project);
      const params = { query: query.join(' '), root_dir, mode, limit, kind, language };
      await withClient(flags, (client) => client.call('search', params), printHits);
    });
}

function printHits({ results, freshness, vectorized }: Result<'search'>): void {
  for (const { path, start_line, end_line, entity, snippet } of results) {
    print(`${path}:${start_line}-${end_line}${entity === null ? '' : `  ${entity}`}`);
    print(
      snippet
        .split('\n')
        .map((line) => `    ${line}`)
        .join('\n'),
    );
  }
  if (results.length === 0) print('nothing found');
  if (freshness !== 'fresh') print(`(the index is ${freshness}; "codekeep status" says why)`);
  if (vectorized.vectorized < vectorized.total)
    print(`(${vectorized.vectorized} of ${vectorized.total} chunks have vectors so far)`);
}
