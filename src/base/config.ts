import { readFileSync, statSync } from 'node:fs';
import { totalmem } from 'node:os';
import * as z from 'zod';
import { CodekeepError, errnoOf, messageOf } from './errors.js';

/** A worker at its hardest work stays below so much; a lower limit would only end it again and again. */
const workerMemoryMinBytes = 256 * 1024 ** 2;

/**
 * Large enough for the vectors of 100,000 chunks; on a small machine a quarter of its memory, so that the machine
 * is not out of memory before a worker is out of its limit.
 */
const workerMemoryMaxBytes = Math.max(
  workerMemoryMinBytes,
  Math.min(2 * 1024 ** 3, Math.floor(totalmem() / 4)),
);

const workerTypes = ['file_watcher', 'vectorization', 'repair'] as const;

/** The configuration file: JSON, every key optional, unknown keys refused so that a typing error is seen. */
export const configSchema = z.strictObject({
  autostart: z
    .array(z.enum(workerTypes))
    .default(['file_watcher', 'vectorization'])
    .describe('Workers that start with the daemon'),
  worker_stop_timeout: z
    .number()
    .positive()
    .max(600)
    .default(10)
    .describe('Seconds between SIGTERM and SIGKILL when workers are stopped'),
  worker_start_timeout: z
    .number()
    .positive()
    .max(600)
    .default(30)
    .describe('Seconds in which a worker must be ready'),
  worker_hang_timeout: z
    .number()
    .min(1)
    .max(3_600)
    .default(30)
    .describe(
      'Seconds without a sign of life after which a worker is replaced, unless it declared a longer step',
    ),
  worker_retry_interval: z
    .number()
    .positive()
    .max(86_400)
    .default(300)
    .describe('Seconds until a worker that crashed again and again is tried once more'),
  worker_memory_max_bytes: z
    .int()
    .min(workerMemoryMinBytes)
    .default(workerMemoryMaxBytes)
    .describe('A worker that uses more memory is replaced; 2 GiB, or a quarter of a smaller machine'),
  max_file_bytes: z
    .int()
    .positive()
    .max(64 * 1024 * 1024)
    .default(2 * 1024 * 1024)
    .describe('Larger files are tracked without content, so they cannot be restored'),
  reconcile_interval: z
    .number()
    .positive()
    .default(300)
    .describe('Seconds between two reconciles of a project that nothing asked for'),
  backup_interval: z
    .number()
    .min(0)
    .max(2_592_000)
    .default(86_400)
    .describe(
      'Seconds between two backups of the index that nobody asked for, of which seven are kept; 0: none',
    ),
  check_interval: z
    .number()
    .min(0)
    .max(2_592_000)
    .default(86_400)
    .describe('Seconds between two checks of the index for damage that nobody asked for; 0: none'),
  scrub_period: z
    .number()
    .min(0)
    .max(31_536_000)
    .default(2_592_000)
    .describe('Seconds in which the repair worker proves every stored content by its hash; 0: never'),
  revision_burst: z
    .number()
    .min(0)
    .max(3_600)
    .default(1)
    .describe('Seconds: of saves of a file that follow each other within so long, the last one is kept'),
  revision_interval: z
    .number()
    .min(0)
    .max(86_400)
    .default(60)
    .describe('Seconds: a file that is written all the time, such as a log, is kept once in so long'),
  history_keep_all: z
    .number()
    .positive()
    .max(315_360_000)
    .default(172_800)
    .describe('Seconds for which every state of a file is kept'),
  history_keep_hourly: z
    .number()
    .min(0)
    .max(315_360_000)
    .default(1_209_600)
    .describe('Seconds for which the last state of each hour (UTC) is kept'),
  history_keep_daily: z
    .number()
    .min(0)
    .max(315_360_000)
    .default(7_776_000)
    .describe('Seconds for which the last state of each day (UTC) is kept'),
  history_max_bytes: z
    .int()
    .min(0)
    .optional()
    .describe(
      'What contents take in the index that no file of a project has any more; 1 GiB by default, or a tenth of what is free on its disk',
    ),
  log_level: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  socket_group: z
    .string()
    .min(1)
    .optional()
    .describe(
      'A group whose members may use the socket, too: it becomes 0660, its folder 0750 if codekeep makes it',
    ),
  socket_check_interval: z
    .number()
    .positive()
    .max(3_600)
    .default(2)
    .describe("Seconds between looks whether the socket's name is still there; a lost one is made again"),
  max_message_bytes: z
    .int()
    // What is smaller keeps the program's own commands out.
    .min(64 * 1024)
    .default(1024 * 1024)
    .describe('Largest JSON-RPC message that is accepted'),
});

export type Config = z.infer<typeof configSchema>;

/**
 * Reads and checks the configuration file; a missing one is the defaults.
 * @param isNamed by a user, who means that it is there
 * @throws CodekeepError INVALID_PARAMS that names each wrong key
 */
export function readConfig(path: string, isNamed = false): Config {
  let text: string;
  try {
    // What is no file may never end.
    if (!statSync(path).isFile()) throw new Error('it is no file');
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' && !isNamed) return configSchema.parse({});
    throw new CodekeepError(
      'INVALID_PARAMS',
      `Cannot read ${path}: ${messageOf(error)}`,
      isNamed ? 'Name a file that is there and readable.' : 'Make the file readable or remove it.',
    );
  }
  return parseConfig(text, path);
}

export function parseConfig(text: string, path: string): Config {
  let json: unknown;
  try {
    // Editors of other systems begin a file with a byte order mark.
    json = JSON.parse(text.replace(/^\uFEFF/u, ''));
  } catch (error) {
    throw new CodekeepError(
      'INVALID_PARAMS',
      `${path} is not JSON: ${messageOf(error)}`,
      'Mend the file; every key is optional.',
    );
  }
  const parsed = configSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(top)'}: ${issue.message}`);
  throw new CodekeepError('INVALID_PARAMS', `${path}: ${problems.join('; ')}`, 'Mend the keys named here.', {
    issues: problems,
  });
}
