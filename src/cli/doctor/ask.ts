import { dirname } from 'node:path';
import { messageOf } from '../../base/errors.js';
import { sleep } from '../../base/waiting.js';
import type { Result } from '../../contract/index.js';
import { type Client, CodekeepError } from '../../rpc/client/client.js';
import { type Finding, fail, warn } from './finding.js';
import { judgeDatabase, judgeProject } from './judge.js';

/** What only the supervisor can say; the index is never opened beside it. */

/** A quick check of an index of some GB takes about a minute. */
const checkMaxMs = 120_000;
const answerMaxMs = 30_000;
/** So long (ms) projects may take, together, to be fresh; what is saved is followed within a second. */
const settleMaxMs = 3_000;
const lookEveryMs = 200;
/** Enough for 500,000 files; beyond it the count of folders is a lower bound. */
const pagesMax = 500;

export async function askAboutDatabase(client: Client): Promise<Finding> {
  try {
    const status = await client.call('get_database_status', {}, { timeoutMs: answerMaxMs });
    const check = await client.call('check_database', {}, { timeoutMs: checkMaxMs });
    const what = `${status.db_path}: ${status.file_size_mb} MB, ${status.projects} projects, ${status.files} files, check passed`;
    return judgeDatabase(check, what);
  } catch (error) {
    if (error instanceof CodekeepError && error.code === 'REPAIR_IN_PROGRESS')
      return warn('database', 'a repair or a rewind is running', 'Run the doctor again when it is over.');
    const hint = error instanceof CodekeepError ? error.hint : 'Look into "codekeep logs supervisor".';
    return fail('database', messageOf(error), hint);
  }
}

export async function askAboutProjects(
  client: Client,
): Promise<{ findings: Finding[]; roots: string[]; folders: number }> {
  const { projects } = await client.call('list_projects', {}, { timeoutMs: answerMaxMs });
  const findings: Finding[] = [];
  let folders = 0;
  const until = performance.now() + settleMaxMs;
  for (const { project_id, root_dir } of projects) {
    findings.push(judgeProject(root_dir, await settled(client, project_id, until)));
    folders += await countFolders(client, project_id);
  }
  return { findings, roots: projects.map(({ root_dir }) => root_dir), folders };
}

/** Changes that are being followed are no defect: it gets some time to be fresh. */
async function settled(
  client: Client,
  project_id: string,
  until: number,
): Promise<Result<'get_project_status'>> {
  for (;;) {
    const status = await client.call('get_project_status', { project_id }, { timeoutMs: answerMaxMs });
    if (status.freshness === 'fresh' || performance.now() > until) return status;
    await sleep(lookEveryMs);
  }
}

/** Folders that hold indexed files, with those above them: each has a watch. */
async function countFolders(client: Client, project_id: string): Promise<number> {
  const folders = new Set(['.']);
  let cursor: string | undefined;
  for (let page = 0; page < pagesMax; page += 1) {
    const params = { project_id, limit: 1_000, ...(cursor === undefined ? {} : { cursor }) };
    const { files, next_cursor } = await client.call('list_files', params, { timeoutMs: answerMaxMs });
    for (const { path } of files)
      for (let folder = dirname(path); !folders.has(folder); folder = dirname(folder)) folders.add(folder);
    if (next_cursor === null) break;
    cursor = next_cursor;
  }
  return folders.size;
}
