import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import type { Input, MethodName, Result } from '#src/contract/index.js';
import type { WorkerType } from '#src/contract/fields.js';
import { type Client, CodekeepError, connect, RpcError } from '#src/rpc/client/client.js';
import { sha256 } from './trees.js';
import { waitFor, within } from './waiting.js';

export interface DaemonOptions {
  stateDir?: string;
  config?: Record<string, unknown>;
  /** Further flags of `codekeep serve`. */
  args?: readonly string[];
  /** The `cli.js` of another copy of the package. */
  program?: string;
  /** A program with its flags that runs it, such as setpriv. */
  under?: readonly string[];
}

export interface ChildExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export type RepairReport = Extract<Result<'repair_database'>, { project_id: string }>;
export type Project = Result<'add_project'>;

/** No single call of a test may take longer (ms). */
const callMs = 60_000;

/** A supervisor that a test started as a process of its own, and a client of its socket. */
export class Daemon {
  readonly child: ChildProcess;
  readonly stateDir: string;
  readonly socket: string;
  readonly exited: Promise<ChildExit>;
  stdout = '';
  stderr = '';
  expectedStderr = '';
  /** Set where the test makes workers crash or rows fail: their log may say so. */
  mayLogErrors = false;
  #client: Client | null = null;
  /** A watcher is about to start with it. */
  #isWatchDue: boolean;

  constructor(child: ChildProcess, stateDir: string, isWatchDue: boolean) {
    this.#isWatchDue = isWatchDue;
    this.child = child;
    this.stateDir = stateDir;
    this.socket = join(stateDir, 'codekeep.sock');
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exited = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  }

  /** Waits for its first line and connects. */
  async open(): Promise<void> {
    await waitFor('"listening on"', () => {
      if (this.child.exitCode !== null)
        assert.fail(`serve ended with ${this.child.exitCode}: ${this.stderr}`);
      return this.stdout.includes('listening on ');
    });
    this.#client = await connect({ socket: this.socket });
  }

  get pid(): number {
    return this.child.pid ?? assert.fail('the supervisor was not started');
  }

  get client(): Client {
    return this.#client ?? assert.fail('the daemon is not connected');
  }

  async call<N extends MethodName>(name: N, params?: Input<N>): Promise<Result<N>> {
    return await this.client.call(name, params, { timeoutMs: callMs });
  }

  /** The code of the error that a call has to end with; its hint is checked on the way. */
  async refusal<N extends MethodName>(name: N, params?: Input<N>): Promise<CodekeepError> {
    const error = await this.failure(name, params);
    assert.ok(error instanceof CodekeepError, String(error));
    assert.ok(error.hint.length > 0, 'an error says what to do about it');
    return error;
  }

  async failure(name: string, params?: unknown): Promise<CodekeepError | RpcError> {
    const result = await this.client
      .callAny(name, params, { timeoutMs: callMs })
      .catch((error: unknown) => error);
    if (result instanceof CodekeepError || result instanceof RpcError) return result;
    return assert.fail(
      `${name} was not refused: ${result instanceof Error ? result.message : JSON.stringify(result)}`,
    );
  }

  /** SIGTERM, and how it ended; null when it had ended before. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ChildExit | null> {
    this.#client?.close();
    if (this.child.exitCode !== null || this.child.signalCode !== null) return null;
    this.child.kill(signal);
    return await within(`the supervisor ends after ${signal}`, this.exited, 20_000);
  }

  /** Registers a folder and waits until it is indexed whole; by the watcher, where one starts with the daemon. */
  async addProject(root: string, options: Omit<Input<'add_project'>, 'root_dir'> = {}): Promise<Project> {
    // What goes before it has compared the project goes unseen.
    if (this.#isWatchDue)
      await waitFor(
        'the watcher is ready',
        async () => (await this.call('health')).workers['file_watcher'] === 'ready',
      );
    this.#isWatchDue = false;
    const project = await this.call('add_project', { root_dir: root, ...options });
    await this.call('update_indexes', { project_id: project.project_id });
    return project;
  }

  /** Resolves when a repair, a rewind or an undo has written its first files. */
  async untilItApplies(limitMs?: number): Promise<void> {
    await waitFor(
      'the first files',
      async () => {
        const { repair } = await this.call('health');
        return repair?.phase === 'apply' && repair.done > 0;
      },
      limitMs,
    );
  }

  async repair(params: Input<'repair_database'>): Promise<RepairReport> {
    const report = await this.call('repair_database', params);
    assert.ok('project_id' in report, 'the report of one project');
    return report;
  }

  async stopWorkers(...types: WorkerType[]): Promise<void> {
    if (types.includes('file_watcher')) this.#isWatchDue = false;
    for (const worker_type of types) {
      const { success } = await this.call('stop_worker', { worker_type });
      assert.equal(success, true);
    }
  }

  /** The pid of a running worker, or null. */
  async workerPid(worker_type: WorkerType): Promise<number | null> {
    const status = await this.call('get_worker_status', { worker_type });
    return 'processes' in status ? (status.processes[0]?.pid ?? null) : null;
  }

  /** Active (or deleted) paths, page by page. */
  async paths(project_id: string, deleted = false, limit = 1000): Promise<string[]> {
    return (await this.files(project_id, deleted, limit)).map(({ path }) => path);
  }

  async files(project_id: string, deleted = false, limit = 1000): Promise<Result<'list_files'>['files']> {
    const files: Result<'list_files'>['files'] = [];
    let cursor: string | undefined;
    do {
      const page = await this.call('list_files', {
        project_id,
        deleted,
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      assert.ok(page.files.length <= limit);
      files.push(...page.files);
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
    return files;
  }

  /** A second connection to the index, for what only a hand in the database can do. */
  sql<T>(work: (db: Database.Database) => T): T {
    const db = new Database(join(this.stateDir, 'index.db'), { timeout: 5_000 });
    try {
      return work(db);
    } finally {
      db.close();
    }
  }

  /**
   * One hash for each table of the index, whatever the order of its rows; without what the daemon's own check notes, which
   * comes when it comes.
   */
  dump(): Record<string, string> {
    return this.sql((db) => {
      const tables = db
        .prepare<[], { name: string }>(
          "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('maintenance', 'commits')",
        )
        .all();
      const hashes = tables.map(({ name }) => {
        const rows = db.prepare(`SELECT * FROM "${name}"`).raw().safeIntegers().all() as unknown[][];
        return [name, sha256(rows.map(rowText).sort().join('\n'))];
      });
      return Object.fromEntries(hashes) as Record<string, string>;
    });
  }
}

function rowText(row: readonly unknown[]): string {
  return row.map((value) => (Buffer.isBuffer(value) ? sha256(value) : String(value))).join('\t');
}

/** Where a project keeps the version of a path. */
export function versionPath(project: Pick<Project, 'version_dir' | 'project_id'>, path = ''): string {
  return join(project.version_dir, project.project_id, path);
}

/** Moves a file by hand to where versions keep it. */
export async function moveIntoVersions(project: Project, path: string): Promise<void> {
  const target = versionPath(project, path);
  await mkdir(dirname(target), { recursive: true });
  await rename(join(project.root_dir, path), target);
}

/**
 * Adds rows of files that are nowhere on disk, each with the content of a file that is indexed: what a repair
 * has to write again, and what no watcher hears of.
 * @returns path by path, the indexed file that has its content
 */
export function addLostRows(daemon: Daemon, { project_id }: Project, count: number): Map<string, string> {
  return daemon.sql((db) => {
    const rows = db
      .prepare<[string], { id: number; path: string }>(
        'SELECT id, path FROM files WHERE project_id = ? ORDER BY path',
      )
      .all(project_id);
    const insert = db.prepare(
      `INSERT INTO files (project_id, path, size, mtime_ns, ino, mode, language, sha256, updated_at)
       SELECT project_id, ?, size, mtime_ns, ino, mode, language, sha256, updated_at FROM files WHERE id = ?`,
    );
    const lost = new Map<string, string>();
    db.transaction(() => {
      for (let number = 0; number < count; number += 1) {
        const source = rows[number % rows.length];
        if (source === undefined) throw new Error('the project has no files');
        const path = `lost/${number % 20}/${number}-${source.path.replaceAll('/', '-')}`;
        insert.run(path, source.id);
        lost.set(path, source.path);
      }
    })();
    return lost;
  });
}
