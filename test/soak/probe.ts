/**
 * Loaded into the supervisor before its own program (node --import): at SIGUSR2 it writes down what the process
 * holds, which nobody can count from outside.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

process.on('SIGUSR2', () => {
  const path = process.env['CODEKEEP_SOAK_PROBE'] ?? '';
  collect();
  const resources: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  const listeners = process
    .eventNames()
    .reduce((sum, name) => sum + process.listenerCount(name as string), 0);
  writeFileSync(
    `${path}.new`,
    JSON.stringify({ resources, listeners, heap: process.memoryUsage().heapUsed }),
  );
  renameSync(`${path}.new`, path);
});
