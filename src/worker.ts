import { isWorkerKind, type WorkerKind } from './base/ipc.js';
import { type WorkerBody, WorkerHost } from './workers/host.js';

/**
 * A worker process: `worker.js KIND --instance=TOKEN`, forked by the supervisor. The token tells a later
 * supervisor, and nobody else, whose child this was.
 */
const programs: Record<WorkerKind, () => Promise<(host: WorkerHost) => Promise<WorkerBody>>> = {
  index_service: async () => (await import('./workers/index-service/index-service.js')).openIndexService,
  file_watcher: async () => (await import('./workers/file-watcher/file-watcher.js')).openFileWatcher,
  vectorization: async () => (await import('./workers/vectorization/vectorization.js')).openVectorization,
  repair: async () => (await import('./workers/repair/repair.js')).openRepair,
};

const kind = process.argv[2] ?? '';
if (!isWorkerKind(kind) || process.send === undefined) {
  process.stderr.write('This program is started by "codekeep serve" and is of no use by itself.\n');
  process.exit(2);
}
await WorkerHost.main(programs[kind]);
