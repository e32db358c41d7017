import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { residentMb } from '../harness/processes.js';
import { measureDatabase } from './database.js';
import { measureDay, measureStates } from './day.js';
import { measureHistory } from './history.js';
import { copySources, measureHealth, measureIndexing } from './index-rate.js';
import { measureLimits } from './limits.js';
import { measurePeer } from './peer.js';
import { measureDryRun, measureRestore } from './repair.js';
import { type Figure, inMb, inMs, median, percentile, Service } from './service.js';
import { measureStop } from './stop.js';

/**
 * `npm run bench`: the figures of test/README.md. Each is set against a floor or a peer in the same run, because
 * the ratio is what holds on another machine. CODEKEEP_BENCH=start,peer,stop and the like chooses parts.
 */
const chosen = (
  process.env['CODEKEEP_BENCH'] ?? 'start,memory,peer,limits,index,stop,database,restore,history,day,dry_run'
).split(',');
const requests = 10_000;
const folder = mkdtempSync(join(tmpdir(), 'codekeep-bench-data-'));

function print(title: string, figures: readonly Figure[]): void {
  process.stdout.write(`\n${title}\n`);
  for (const { name, value } of figures) process.stdout.write(`  ${name.padEnd(52)} ${value}\n`);
}

function newFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

async function withService(
  measure: (service: Service) => Promise<Figure[]>,
  config: Readonly<Record<string, unknown>> = {},
): Promise<Figure[]> {
  const service = await Service.start(undefined, config);
  try {
    return await measure(service);
  } finally {
    await service.stop();
  }
}

async function measureStart(): Promise<Figure[]> {
  const times: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < 7; round += 1) {
    const startedAt = performance.now();
    execFileSync(process.execPath, ['-e', '0']);
    bare.push(performance.now() - startedAt);
    const service = await Service.start();
    times.push(service.firstAnswerMs);
    await service.stop();
  }
  return [
    { name: 'serve to first answer', value: inMs(median(times)) },
    { name: 'node alone, doing nothing', value: inMs(median(bare)) },
  ];
}

/** What the supervisor holds once it has answered for a while, and nothing else was asked of it. */
async function measureMemory(service: Service): Promise<Figure[]> {
  await measureHealth(service, requests).stop();
  return [
    {
      name: `memory of the supervisor after ${requests.toLocaleString('en')} requests`,
      value: inMb(residentMb(service.pid)),
    },
  ];
}

async function measureIdle(service: Service): Promise<Figure[]> {
  const idle = await measureHealth(service, 2_000).stop();
  const memory: Figure[] = [{ name: 'memory of the supervisor', value: inMb(residentMb(service.pid)) }];
  const status = await service.client.call('get_worker_status');
  if ('workers' in status) {
    for (const { worker_type, processes } of status.workers) {
      for (const { pid } of processes)
        memory.push({ name: `memory of ${worker_type}`, value: inMb(residentMb(pid)) });
    }
  }
  return [
    { name: 'health idle, p50', value: inMs(percentile(idle, 0.5)) },
    { name: 'health idle, p99', value: inMs(percentile(idle, 0.99)) },
    ...memory,
  ];
}

try {
  process.stdout.write(`node ${process.version}, ${availableParallelism()} cores\n`);
  if (chosen.includes('start')) print('start', await measureStart());
  if (chosen.includes('memory')) print('memory', await withService(measureMemory));
  if (chosen.includes('index')) {
    const root = newFolder('sources');
    copySources(root);
    const figures = await withService(async (service) => [
      ...(await measureIndexing(service, root)),
      ...(await measureIdle(service)),
    ]);
    print('indexing a real tree', figures);
  }
  if (chosen.includes('database'))
    print('the index', await withService((service) => measureDatabase(service, newFolder('database'))));
  if (chosen.includes('restore')) {
    print('restore', await withService((service) => measureRestore(service, newFolder('restore'))));
  }
  if (chosen.includes('history'))
    print('history', await withService((service) => measureHistory(service, newFolder('history'))));
  if (chosen.includes('day')) {
    const everySave = { revision_burst: 0, revision_interval: 0 };
    print('a day of saves', await withService((service) => measureDay(service, newFolder('day')), everySave));
    print('the past of many paths', measureStates(newFolder('states')));
  }
  if (chosen.includes('stop')) {
    print('stop', await withService((service) => measureStop(service, newFolder('stop'))));
  }
  if (chosen.includes('peer')) print('beside supervisord', await measurePeer());
  if (chosen.includes('limits')) print('limits', await withService(measureLimits));
  if (chosen.includes('dry_run')) {
    print('dry run', await withService((service) => measureDryRun(service, newFolder('large'))));
  }
} finally {
  rmSync(folder, { recursive: true });
}
