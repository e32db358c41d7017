import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { sleep } from '#src/base/waiting.js';
import type { WorkerType } from '#src/contract/fields.js';
import { type Figure, inMs, percentile, type Service } from './service.js';

const rounds = 20;
/** The largest file that is kept with its content by default. */
const largeBytes = 2 * 1024 * 1024 - 1_000;

/** The worst that can be under way: files as large as are kept, of grammars whose trees are large. */
function largeSources(): Map<string, string> {
  const { resolve } = createRequire(import.meta.url);
  const script = readFileSync(join(dirname(resolve('zod/package.json')), 'v4/core/schemas.js'), 'utf8');
  const data = JSON.stringify(JSON.parse(readFileSync(resolve('typescript/package.json'), 'utf8')), null, 1);
  const shell = 'if [ -f x ]; then\n  for i in a b c; do echo "$i ${x:-y}" | sed s/a/b/; done\nfi\n';
  const times = (text: string): string => text.repeat(Math.floor(largeBytes / Buffer.byteLength(text)));
  return new Map([
    ['large.js', times(script)],
    ['large.json', `[${times(`${data},`)}0]`],
    ['large.sh', times(shell)],
  ]);
}

/** How long a worker takes to stop at an arbitrary moment of its hardest work. */
export async function measureStop(service: Service, root: string): Promise<Figure[]> {
  const sources = largeSources();
  const change = (round: number): void => {
    for (const [name, text] of sources) writeFileSync(join(root, name), `${text}${' '.repeat(round)}\n`);
  };
  change(0);
  await service.client.call('update_indexes', { root_dir: root });
  const times = { file_watcher: [] as number[], vectorization: [] as number[] };
  for (let round = 1; round <= rounds; round += 1) {
    change(round);
    // Spread over the time that the work takes, so that every step of it is met.
    await sleep(200 + (round * 1_700) / rounds);
    await Promise.all(
      (Object.keys(times) as (keyof typeof times)[]).map(
        async (worker_type: WorkerType & keyof typeof times) => {
          const { killed } = await service.client.call('stop_worker', { worker_type });
          if (killed[0]?.graceful !== true) throw new Error(`${worker_type} did not end in order`);
          times[worker_type].push(killed[0].duration_ms);
          await service.client.call('start_worker', { worker_type });
        },
      ),
    );
  }
  return Object.entries(times).flatMap(([name, all]) => [
    { name: `stop of ${name} at work, p50`, value: inMs(percentile(all, 0.5)) },
    { name: `stop of ${name} at work, worst of ${all.length}`, value: inMs(Math.max(...all)) },
  ]);
}
