/** What a person types for what the wire calls so, where a method has a command of its own. */
const commands: Readonly<Record<string, string>> = {
  accept_deletions: 'accept',
  add_project: 'add',
  check_database: 'check',
  cleanup_deleted_files: 'deleted --remove',
  create_checkpoint: 'checkpoint',
  get_project_status: 'status',
  list_changes: 'history',
  list_checkpoints: 'checkpoint --list',
  list_deleted_files: 'deleted',
  list_file_versions: 'history',
  list_jobs: 'jobs',
  list_files: 'call list_files',
  list_projects: 'status',
  list_repairs: 'call list_repairs',
  move_project: 'move',
  rebuild_database: 'rebuild',
  repair_database: 'repair',
  restore_backup: 'restore-backup',
  restore_deleted_files: 'restore',
  start_worker: 'worker start',
  undo_repair: 'undo',
  update_indexes: 'update',
  view_worker_logs: 'logs',
};

/** With the worker that it is about, where a hint names it. */
const methods = new RegExp(
  `\\b(?<method>${Object.keys(commands).join('|')})\\b(?<type> (?:supervisor|index_service|file_watcher|vectorization|repair)\\b)?`,
  'gu',
);

/** Methods whose commands have their names, which are words of hints, too. */
const alike: ReadonlySet<string> = new Set(['diff', 'forget', 'purge', 'rewind', 'search']);

/** What a person types after `codekeep` for a method. */
export function commandFor(method: string): string {
  return commands[method] ?? (alike.has(method) ? method : `call ${method}`);
}

/** A hint of the supervisor in words of the command line. For hints only: names that came from disk stay exact. */
export function inCommands(hint: string): string {
  return hint.replaceAll(
    methods,
    (_found, method: string, type = '') => `"codekeep ${commands[method] ?? method}${type}"`,
  );
}
