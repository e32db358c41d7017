import { parseArgs } from 'node:util';
import { campaign, replayFromEnvironment } from './campaign.js';
import { tally } from './command.js';
import { mountRefusal } from './world.js';

/**
 * `npm run test:model -- --minutes N`: random commands with new seeds for so long (10 by default). Prints the number of
 * runs and steps; exit status 1 with the shortest failing commands, seed and path where a promise broke.
 */
const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } });
const endAt = performance.now() + Number(values.minutes) * 60_000;
/** Runs for which one daemon lives. */
const runsOfDaemon = 25;

const refusal = mountRefusal();
if (refusal !== null) console.log(`without mounts and full disks: ${refusal}`);
const replay = replayFromEnvironment();
do {
  const limitMs = Math.max(endAt - performance.now(), 1);
  const { failure } = await campaign({
    numRuns: runsOfDaemon,

    shrinks: true,
    limitMs,
    ...replay,
  });
  console.log(`${tally.runs} runs, ${tally.steps} steps`);
  if (failure === null) continue;
  console.log(failure);
  process.exitCode = 1;
} while (process.exitCode === undefined && replay.seed === undefined && performance.now() < endAt);
