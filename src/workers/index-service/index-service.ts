import type { ProjectFreshness } from '../../base/ipc.js';
import type { IndexMethod } from '../../contract/index.js';
import { IndexDatabase } from '../../store/index-database.js';
import { unfinishedRuns } from '../../store/journal.js';
import { createParser } from '../../syntax/parser.js';
import type { RequestCall, WorkerBody, WorkerHost } from '../host.js';
import { codeMethods } from './code-methods.js';
import { databaseMethods } from './database-methods.js';
import { fileMethods } from './files-methods.js';
import { projectMethods } from './projects-methods.js';
import type { IndexCall, IndexContext, IndexMethods } from './types.js';
import { planDatabase, type RepairRequest } from '../repair/task.js';
import { indexPath } from '../state-paths.js';

/** What the supervisor sends with each request. */
export interface IndexRequest {
  params: unknown;
  freshness: Record<string, ProjectFreshness>;
}

const unwatched = { freshness: 'unknown', pending: 0, reason: 'file_watcher is not running' } as const;

/** Answers every request that reads the index, and the small writes, so that the supervisor never blocks. */
export function openIndexService(host: WorkerHost): Promise<WorkerBody> {
  const index = IndexDatabase.open(indexPath(host.start.stateDir));
  const parser = createParser();
  const context: IndexContext = { index, host };
  const methods: IndexMethods = {
    ...projectMethods(context),
    ...fileMethods(context, parser),
    ...codeMethods(context),
    ...databaseMethods(context),
  };
  return Promise.resolve({
    info: { unfinished_repairs: unfinishedRuns(index).length },
    async onRequest(method: string, request: unknown, requestCall: RequestCall) {
      const { params, freshness } = request as IndexRequest;
      // The dry run of repair_database only reads, and this process is there already.
      if (method === 'plan_repair')
        return await planDatabase(index.path, params as RepairRequest, requestCall);
      const { signal } = requestCall;
      const call: IndexCall = { signal, freshnessOf: (projectId) => freshness[projectId] ?? unwatched };
      if (!Object.hasOwn(methods, method)) throw new Error(`unknown request ${method}`);
      // The supervisor has validated params against the same declaration that types the method.
      const handler = methods[method as IndexMethod] as (params: unknown, call: IndexCall) => unknown;
      return await handler(params, call);
    },
    async run() {
      await new Promise<void>((resolve) =>
        host.signal.addEventListener('abort', () => resolve(), { once: true }),
      );
    },
    close() {
      parser.close();
      index.close();
    },
  });
}
