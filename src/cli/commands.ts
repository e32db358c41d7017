import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type LocationFlags, locate } from '../base/locations.js';
import { type MethodName, type Result } from '../contract/index.js';
import { workerType as workerTypeField, type WorkerType } from '../contract/fields.js';
import { type Client, connect } from '../rpc/client.js';
import { print, printJson, table } from './output.js';
import { printReport, repairWithProgress } from './repair.js';

export interface CommonFlags extends LocationFlags {
  json?: boolean;
}

/** Connects, calls, prints (as JSON if asked to), and hangs up. */
async function withClient<T>(
  flags: CommonFlags,
  ask: (client: Client) => Promise<T>,
  show: (result: T) => void,
): Promise<void> {
  const client = await connect({ socket: locate(flags, process.env).socket });
  try {
    const result = await ask(client);
    if (flags.json === true) printJson(result);
    else show(result);
  } finally {
    client.close();
  }
}

/** Adds every command that is a client of the socket. */
export function addClientCommands(program: Command, common: (command: Command) => Command): void {
  addCall(program, common);
  addProjectCommands(program, common);
  addRepair(program, common);
  addFileCommands(program, common);
  addSearch(program, common);
  addWorkerCommands(program, common);
  addLogs(program, common);
}

type Common = (command: Command) => Command;

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
        (client) => client.call('update_indexes', { root_dir: resolve(dir) }),
        (result) => {
          if ('job_id' in result) return print(result.job_id);
          const { files_added, files_changed, files_deleted, files_unchanged, files_skipped, duration_ms } =
            result;
          return print(
            `${files_added} added, ${files_changed} changed, ${files_deleted} deleted, ${files_unchanged} unchanged, ${files_skipped} skipped in ${duration_ms} ms`,
          );
        },
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
      await withClient(flags, (client) => repairWithProgress(client, params), printReport);
    });
}

function addFileCommands(program: Command, common: Common): void {
  common(program.command('deleted').description('List files marked deleted'))
    .argument('[dir]', "the project's root folder", '.')
    .option('--prefix <path>', 'only paths that start with this')
    .action(async (dir: string, flags: CommonFlags & { prefix?: string }) => {
      const params = { root_dir: resolve(dir), path_prefix: flags.prefix, limit: 1000 };
      await withClient(
        flags,
        (client) => client.call('list_deleted_files', params),
        ({ files, next_cursor }) => {
          if (files.length === 0) print('no file is marked deleted');
          else
            print(
              table(
                files.map((file) => [
                  file.deleted_at ?? '',
                  file.restorable ? '' : 'not restorable',
                  file.path,
                ]),
              ),
            );
          if (next_cursor !== null) print('... and more; narrow it with --prefix');
        },
      );
    });
  common(program.command('restore').description('Bring deleted files back, all of them or none'))
    .argument('[paths...]', 'relative to the project')
    .option('--project <dir>', "the project's root folder", '.')
    .option('--prefix <path>', 'every deleted path that starts with this')
    .option('--dry-run', 'only say what would be done')
    .action(
      async (
        paths: string[],
        flags: CommonFlags & { project: string; prefix?: string; dryRun?: boolean },
      ) => {
        const params = {
          root_dir: resolve(flags.project),
          paths: paths.length === 0 ? undefined : paths,
          path_prefix: flags.prefix,
          dry_run: flags.dryRun ?? false,
        };
        await withClient(
          flags,
          (client) => client.call('restore_deleted_files', params),
          ({ restored, dry_run }) =>
            print(
              [
                ...restored.map(({ path }) => path),
                `${restored.length} ${dry_run ? 'to be restored' : 'restored'}`,
              ].join('\n'),
            ),
        );
      },
    );
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

function addWorkerCommands(program: Command, common: Common): void {
  const worker = program.command('worker').description('Start, stop and look at workers');
  common(worker.command('start').argument('<type>', 'file_watcher, vectorization or repair', parseWorkerType))
    .option('--batch-size <n>', 'repair: rows looked at in one step', parseNumber)
    .option('--poll-interval <seconds>', 'repair: pause between two rounds', parseNumber)
    .action(async (type: WorkerType, flags: CommonFlags & { batchSize?: number; pollInterval?: number }) => {
      const params = { worker_type: type, batch_size: flags.batchSize, poll_interval: flags.pollInterval };
      await withClient(
        flags,
        (client) => client.call('start_worker', params),
        ({ message }) => print(message),
      );
    });
  common(worker.command('stop').argument('<type>', 'file_watcher, vectorization or repair', parseWorkerType))
    .option('--timeout <seconds>', 'between SIGTERM and SIGKILL', parseNumber, 10)
    .option('--force', 'SIGKILL at once')
    .action(async (type: WorkerType, flags: CommonFlags & { timeout: number; force?: boolean }) => {
      const params = { worker_type: type, timeout: flags.timeout, force: flags.force ?? false };
      await withClient(
        flags,
        (client) => client.call('stop_worker', params),
        ({ message }) => print(message),
      );
    });
  common(worker.command('status').argument('[type]', 'all without it', parseWorkerType)).action(
    async (type: WorkerType | undefined, flags: CommonFlags) => {
      await withClient(
        flags,
        (client) => client.call('get_worker_status', type === undefined ? {} : { worker_type: type }),
        (result) => printWorkers('workers' in result ? result.workers : [result]),
      );
    },
  );
}

type WorkerRows = Extract<Result<'get_worker_status'>, { workers: unknown }>['workers'];

function printWorkers(workers: WorkerRows): void {
  const rows = workers.map(({ worker_type, state, processes, restarts, current_operation, progress }) => {
    const [first] = processes;
    const usage =
      first === undefined ? '' : `pid ${first.pid}, ${first.cpu_percent} % CPU, ${first.memory_mb} MB`;
    const doing =
      current_operation === null ? '' : `${current_operation} ${progress?.done ?? 0}/${progress?.total ?? 0}`;
    return [worker_type, state, usage, restarts === 0 ? '' : `${restarts} restarts`, doing];
  });
  print(table(rows));
}

function addLogs(program: Command, common: Common): void {
  const types = [...workerTypeField.options, 'index_service', 'supervisor'] as const;
  common(program.command('logs').description("Show a worker's log"))
    .addArgument(program.createArgument('<type>', types.join(', ')).choices(types))
    .option('--tail <n>', 'the last so many entries', parseNumber, 50)
    .option('--level <levels...>', 'error, warn, info or debug')
    .option('--grep <pattern>', 'regular expression')
    .action(async (type: string, flags: CommonFlags & { tail: number; level?: string[]; grep?: string }) => {
      const params = {
        worker_type: type,
        tail: flags.tail,
        log_levels: flags.level,
        search_pattern: flags.grep,
      };
      const method: MethodName = 'view_worker_logs';
      await withClient(
        flags,
        async (client) => (await client.callAny(method, params)) as Result<'view_worker_logs'>,
        ({ entries }) =>
          entries.forEach(({ timestamp, level, message }) => print(`${timestamp} ${level} ${message}`)),
      );
    });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('It is not JSON.');
  }
}

function parseNumber(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !Number.isFinite(number)) throw new InvalidArgumentError('It is not a number.');
  return number;
}

function parseWorkerType(text: string): WorkerType {
  const parsed = workerTypeField.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(`Give one of ${workerTypeField.options.join(', ')}.`);
  return parsed.data;
}
