import type { Params, Result } from '../../contract/index.js';
import { logTypes } from '../../contract/logs.js';
import type { LogFiles } from '../logs/log-files.js';
import { compilePattern, viewLogs } from '../logs/log-view.js';

type LogMethodName = 'list_worker_logs' | 'view_worker_logs' | 'rotate_worker_logs';
type LogMethods = { [N in LogMethodName]: (params: Params<N>) => Promise<Result<N>> };

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
    async view_worker_logs({ worker_type, from_time, to_time, log_levels, search_pattern, tail, limit }) {
      const view = await viewLogs(await logs.list(worker_type), {
        from: timeOf(from_time),
        to: timeOf(to_time),
        levels: log_levels,
        pattern: compilePattern(search_pattern),
        limit: Math.min(tail ?? limit, limit),
      });
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

function timeOf(iso: string | undefined): number | undefined {
  return iso === undefined ? undefined : Date.parse(iso);
}
