import { execFileSync } from 'node:child_process';
import { Load } from '../harness/load.js';
import { measureHealth } from './index-rate.js';
import { type Figure, inMs, percentile, type Service } from './service.js';

type Kind = ConstructorParameters<typeof Load>[0];

/** Name, kind and amount of what one client does while another asks for health. */
const bursts: readonly [string, Kind, number][] = [
  ['10,000 connections', 'crowd', 10_000],
  ['a message of 100 MB', 'large', 100 * 1024 * 1024],
  ['a batch of 100,000', 'batch', 100_000],
  ['10,000 requests before reading', 'pipeline', 10_000],
];
const lasting: readonly [string, Kind, number][] = [
  ['a byte a second', 'slow', 1_000],
  ['a client that never reads', 'deaf', 10_000],
  ['98 kB messages on 1 connection', 'bulk', 1],
  ['98 kB messages on 100 connections', 'bulk', 100],
  ['98 kB messages on 400 connections', 'bulk', 400],
];
/** Health is asked at least so often in each situation, so that there is a p99. */
const asksMin = 500;
const roundTrips = 5_000;
const pipelined = 20_000;

/** Health while other clients ask too much; then what one client gets that has the daemon for itself. */
export async function measureLimits(service: Service): Promise<Figure[]> {
  const figures: Figure[] = [];
  // The daemon, its load and who asks share two cores: what counts is when the answer is there, not when a core is
  // free to see it. Needs root.
  execFileSync('chrt', ['--fifo', '--reset-on-fork', '--pid', '1', String(process.pid)]);
  for (const [name, kind, amount] of bursts) {
    const times: number[] = [];
    // Again and again: only what is asked while the burst lasts counts.
    while (times.length < asksMin) times.push(...(await measureBurst(service, kind, amount)));
    figures.push(...figuresOf(name, times));
  }
  for (const [name, kind, amount] of lasting) {
    const load = new Load(kind, service.socket, amount);
    try {
      await load.isOn();
      figures.push(...figuresOf(name, await measureHealth(service, asksMin).stop()));
      await load.end();
    } finally {
      load.kill();
    }
  }
  execFileSync('chrt', ['--other', '--pid', '0', String(process.pid)]);
  return [...figures, ...(await measureRoundTrips(service)), await measurePipeline(service)];
}

async function measureBurst(service: Service, kind: Kind, amount: number): Promise<number[]> {
  const load = new Load(kind, service.socket, amount);
  const health = measureHealth(service, 1);
  try {
    await load.isOn();
    await load.end();
    return await health.stop();
  } finally {
    load.kill();
  }
}

function figuresOf(name: string, times: readonly number[]): Figure[] {
  return [
    { name: `health with ${name}, p50`, value: inMs(percentile(times, 0.5)) },
    { name: `health with ${name}, p99`, value: inMs(percentile(times, 0.99)) },
    { name: `health with ${name}, worst of ${times.length}`, value: inMs(Math.max(...times)) },
  ];
}

async function measureRoundTrips(service: Service): Promise<Figure[]> {
  const times = await measureHealth(service, roundTrips).stop();
  return [
    { name: 'request round trip, p50', value: inMs(percentile(times, 0.5)) },
    { name: 'request round trip, p99', value: inMs(percentile(times, 0.99)) },
  ];
}

async function measurePipeline(service: Service): Promise<Figure> {
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: pipelined }, () => service.client.callAny('health')));
  const perSecond = pipelined / ((performance.now() - startedAt) / 1_000);
  return { name: 'pipelined requests per second', value: perSecond.toFixed(0) };
}
