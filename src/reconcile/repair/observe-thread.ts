import { parentPort, workerData } from 'node:worker_threads';
import { IndexDatabase } from '../../store/index-database.js';
import { observeRange } from './observe.js';
import type { ObserveMessage, ObserveTask } from './observe-project.js';

/** A thread that looks at one range of rows and sends what it found; see observe-project.ts. */
const { databasePath, project, range } = workerData as ObserveTask;
const send = (message: ObserveMessage): void => parentPort?.postMessage(message);
const index = IndexDatabase.openReadOnly(databasePath);
try {
  const neverAborts = new AbortController().signal;
  const observation = await observeRange(index, project, range, (done) => send({ done }), neverAborts);
  send({ observation });
} finally {
  index.close();
}
