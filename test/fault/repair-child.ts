/** `repair-child.js INDEX`: recovers and repairs the only project of an index, as the repair task does; 1 when an action failed. */
import { randomUUID } from 'node:crypto';
import { recoverRuns } from '#src/reconcile/repair/recover.js';
import { executeRepair, planRepair } from '#src/reconcile/repair/repair-project.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { listProjects } from '#src/store/projects.js';

const index = IndexDatabase.open(process.argv[2] ?? '');
const [project] = listProjects(index);
if (project === undefined) throw new Error('the index has no project');
const options = {
  index,
  runId: randomUUID(),
  origin: 'command',
  force: false,
  deletedSince: null,
  now: Date.now,
  signal: new AbortController().signal,
  progress: () => undefined,
} as const;
await recoverRuns(options);
const outcome = await executeRepair(options, await planRepair(options, project));
index.close();
process.exitCode = outcome.errors.length === 0 ? 0 : 1;
