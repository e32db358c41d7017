import { residentMb } from '../harness/processes.js';
import { waitFor } from '../harness/waiting.js';
import { type Figure, inMb, inMs, median, percentile, Service } from './service.js';
import { isInstalled, Supervisord } from './supervisord.js';

const rounds = 5;
const asks = 1_000;
const pipelined = 2_000;
/** codekeep's three workers and index_service. */
const processes = 4;

interface Measured {
  start: number;
  asks: number[];
  perSecond: number;
  stop: number;
  megabytes: number;
}

async function measureOurs(): Promise<Measured> {
  const service = await Service.start();
  const { client } = service;
  await client.call('start_worker', { worker_type: 'repair' });
  await waitFor('all workers', async () =>
    Object.values((await client.call('health')).workers).every((state) => state === 'ready'),
  );
  const times = await timeEach(() => client.call('health'));
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: pipelined }, () => client.callAny('health')));
  const perSecond = pipelined / ((performance.now() - startedAt) / 1_000);
  const megabytes = residentMb(service.pid);
  const stoppedAt = performance.now();
  await service.stop();
  return {
    start: service.firstAnswerMs,
    asks: times,
    perSecond,
    stop: performance.now() - stoppedAt,
    megabytes,
  };
}

async function measureTheirs(): Promise<Measured> {
  const peer = await Supervisord.start(processes);
  const times = await timeEach(() => peer.ask());
  const perSecond = await peer.pipelined(pipelined);
  const megabytes = residentMb(peer.pid);
  return { start: peer.firstAnswerMs, asks: times, perSecond, stop: await peer.stop(), megabytes };
}

async function timeEach(ask: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let count = 0; count < asks; count += 1) {
    const startedAt = performance.now();
    await ask();
    times.push(performance.now() - startedAt);
  }
  return times;
}

function figuresOf(name: string, measured: readonly Measured[]): Figure[] {
  const all = measured.flatMap((one) => one.asks);
  const middle = (pick: (one: Measured) => number): number => median(measured.map(pick));
  return [
    { name: `${name}: start to first answer`, value: inMs(middle(({ start }) => start)) },
    { name: `${name}: request round trip, p50`, value: inMs(percentile(all, 0.5)) },
    { name: `${name}: request round trip, p99`, value: inMs(percentile(all, 0.99)) },
    {
      name: `${name}: pipelined requests per second`,
      value: middle(({ perSecond }) => perSecond).toFixed(0),
    },
    { name: `${name}: stop with ${processes} processes`, value: inMs(middle(({ stop }) => stop)) },
    {
      name: `${name}: memory of the supervisor`,
      value: inMb(middle(({ megabytes }) => megabytes)),
    },
  ];
}

/** codekeep and supervisord in turn, so that both see the same machine. */
export async function measurePeer(): Promise<Figure[]> {
  const hasPeer = isInstalled();
  const [ours, theirs]: [Measured[], Measured[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await measureOurs());
    if (hasPeer) theirs.push(await measureTheirs());
  }
  const peer = hasPeer ? figuresOf('supervisord', theirs) : [{ name: 'supervisord', value: 'not installed' }];
  return [...figuresOf('codekeep', ours), ...peer];
}
