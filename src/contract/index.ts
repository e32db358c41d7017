import * as code from './code.js';
import * as database from './database.js';
import * as files from './files.js';
import * as history from './history.js';
import * as logs from './logs.js';
import type { InputOf, MethodDefinition, ParamsOf, ResultOf } from './method.js';
import * as projects from './projects.js';
import * as system from './system.js';
import * as workers from './workers.js';

/** Every method of the service by its wire name. */
export const contract = {
  health: system.health,
  'rpc.discover': system.discover,
  shutdown: system.shutdown,
  subscribe: system.subscribe,
  unsubscribe: system.unsubscribe,
  list_jobs: system.listJobs,
  get_job: system.getJob,
  cancel_job: system.cancelJob,
  add_project: projects.addProject,
  list_projects: projects.listProjects,
  remove_project: projects.removeProject,
  move_project: projects.moveProject,
  update_indexes: projects.updateIndexes,
  get_project_status: projects.getProjectStatus,
  wait_until_fresh: projects.waitUntilFresh,
  accept_deletions: projects.acceptDeletions,
  list_unprotected: projects.listUnprotected,
  list_files: files.listFiles,
  get_file: files.getFile,
  delete_file: files.deleteFile,
  list_deleted_files: files.listDeletedFiles,
  restore_deleted_files: files.restoreDeletedFiles,
  restore_file_version: files.restoreFileVersion,
  cleanup_deleted_files: files.cleanupDeletedFiles,
  list_file_versions: history.listFileVersions,
  list_changes: history.listChanges,
  diff: history.diff,
  create_checkpoint: history.createCheckpoint,
  list_checkpoints: history.listCheckpoints,
  remove_checkpoint: history.removeCheckpoint,
  rewind: history.rewind,
  forget: history.forget,
  purge: history.purge,
  list_code_entities: code.listCodeEntities,
  get_ast: code.getAst,
  search: code.search,
  repair_database: database.repairDatabase,
  list_repairs: database.listRepairs,
  get_repair: database.getRepair,
  check_database: database.checkDatabase,
  undo_repair: database.undoRepair,
  backup_database: database.backupDatabase,
  restore_backup: database.restoreBackup,
  rebuild_database: database.rebuildDatabase,
  get_database_status: database.getDatabaseStatus,
  start_worker: workers.startWorker,
  stop_worker: workers.stopWorker,
  get_worker_status: workers.getWorkerStatus,
  start_repair_worker: workers.startRepairWorker,
  stop_repair_worker: workers.stopRepairWorker,
  repair_worker_status: workers.repairWorkerStatus,
  list_worker_logs: logs.listWorkerLogs,
  view_worker_logs: logs.viewWorkerLogs,
  rotate_worker_logs: logs.rotateWorkerLogs,
} as const satisfies Record<string, MethodDefinition>;

export type Contract = typeof contract;
export type MethodName = keyof Contract;
export type Params<N extends MethodName> = ParamsOf<Contract[N]>;
export type Input<N extends MethodName> = InputOf<Contract[N]>;
export type Result<N extends MethodName> = ResultOf<Contract[N]>;

/** Names of the methods that index_service answers. */
export type IndexMethod = {
  [N in MethodName]: Contract[N]['owner'] extends 'index' ? N : never;
}[MethodName];

/** What the supervisor itself asks the index is no method, and only reads. */
export function writes(name: string): boolean {
  const methods: Readonly<Record<string, MethodDefinition>> = contract;
  return methods[name]?.writes === true;
}
