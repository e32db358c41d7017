import type { Command } from 'commander';
import type { Result } from '../contract/index.js';
import type { Client } from '../rpc/client/client.js';
import { type CommonFlags, withClient } from './client-command.js';
import { print, printTable } from './output.js';
import { inCommands } from './own-words.js';

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('Show the daemon, its workers and projects')
    .action(async (flags: CommonFlags) => {
      await withClient(flags, readStatus, printStatus);
    });
}

interface StatusReport {
  health: Result<'health'>;
  database: Result<'get_database_status'>;
  projects: Result<'get_project_status'>[];
}

async function readStatus(client: Client): Promise<StatusReport> {
  const health = await client.call('health');
  const { projects: known } = await client.call('list_projects');
  const [database, ...projects] = await Promise.all([
    client.call('get_database_status'),
    ...known.map(({ project_id }) => client.call('get_project_status', { project_id })),
  ]);
  return { health, database, projects };
}

function printStatus({ health, database, projects }: StatusReport): void {
  const { version, status, pid, uptime_seconds, workers, problems } = health;
  print`codekeep ${version} is ${status} (pid ${pid}, up ${Math.round(uptime_seconds)} s)`;
  printTable(Object.entries(workers).map(([type, state]) => [`  ${type}`, state]));
  for (const { source, reason, hint } of problems)
    print`problem: ${source}: ${reason.replace(/\.$/u, '')}. ${inCommands(hint)}`;
  const { db_path, file_size_mb, contents, integrity } = database;
  print`index: ${db_path}, ${file_size_mb} MB, ${contents} contents, check: ${integrity}`;
  for (const { root_dir, freshness, reason, files, chunks, notices } of projects) {
    print`${root_dir}: ${freshness}${reason === null ? '' : ` (${reason})`}`;
    const { active, deleted, ignored, pending, skipped, not_restorable } = files;
    print`  ${active} files, ${deleted} deleted, ${ignored} ignored by now, ${pending} pending, ${skipped} skipped, ${not_restorable} not restorable`;
    print`  ${chunks.vectorized} of ${chunks.total} chunks have vectors`;
    for (const notice of notices) print`  ${notice}`;
  }
}
