import { pointInTime } from '../../contract/fields.js';
import type { Params, Result } from '../../contract/index.js';
import { logTypes } from '../../contract/logs.js';
import type { CallContext } from '../../rpc/server/calls.js';
import type { LogFiles } from '../logs/log-files.js';
import { viewLogs } from '../logs/log-view.js';

type LogMethodName = 'list_worker_logs' | 'view_worker_logs' | 'rotate_worker_logs';
type LogMethods = {
  [N in LogMethodName]: (params: Params<N>, call: Pick<CallContext, 'signal'>) => Promise<Result<N>>;
};

export function logMethods(logs: LogFiles): LogMethods {
  return {
    async list_worker_logs({ worker_type }) {
      const files = await logs.list(worker_type);
      return {
        log_files: files.map(({ path, type, size, modified }) => ({
          path,
          worker_type: type,
          size,
          modified: new Date(modified).toISOString(),
        })),
      };
    },
    async view_worker_logs({ worker_type, tail, limit, ...filter }, { signal }) {
      const wanted = {
        from: timeOf(filter.from_time),
        to: timeOf(filter.to_time),
        levels: filter.log_levels,
        pattern: filter.search_pattern,
        limit: Math.min(tail ?? limit, limit),
      };
      const view = await viewLogs(await logs.list(worker_type), wanted, signal);
      return {
        entries: view.entries,
        total_lines: view.totalLines,
        filtered_lines: view.filteredLines,
        truncated: view.truncated,
      };
    },
    async rotate_worker_logs({ worker_type, backup_count }) {
      const types = worker_type === undefined ? logTypes : [worker_type];
      const rotated = await Promise.all(types.map((type) => logs.rotate(type, backup_count)));
      return { rotated_paths: rotated.flat() };
    },
  };
}

function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : (pointInTime(text, Date.now()) ?? undefined);
}
