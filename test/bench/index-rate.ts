import { cpSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '#src/base/waiting.js';
import { Runtime } from '#src/syntax/grammar.js';
import { languageOf } from '#src/syntax/language.js';
import { parseMemoryMaxBytes } from '#src/syntax/parser.js';
import { decodeSource } from '#src/syntax/source.js';
import { type Figure, inMs, percentile, type Service } from './service.js';

const packages = ['zod', 'fast-check', 'commander', 'winston'];

/** A real source tree of packages that are there after the installation. */
export function copySources(target: string): void {
  const installed = fileURLToPath(new URL('../../node_modules', import.meta.url));
  for (const name of packages) cpSync(join(installed, name), join(target, name), { recursive: true });
}

export interface SourceFile {
  path: string;
  bytes: Buffer;
}

function readSources(folder: string): SourceFile[] {
  const entries = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) =>
    join(folder, name),
  );
  return entries
    .filter((path) => statSync(path).isFile())
    .map((path) => ({ path, bytes: readFileSync(path) }));
}

/** The floor: parse what is given on one core, nothing else; gives milliseconds, without those of reading. */
export async function parseOnly(files: Iterable<SourceFile>): Promise<number> {
  const runtime = await Runtime.load(parseMemoryMaxBytes);
  const { parser } = runtime;
  let elapsedMs = 0;
  for (const { path, bytes } of files) {
    const language = languageOf(path);
    if (language === null) continue;
    const startedAt = performance.now();
    parser.setLanguage(await runtime.grammar(language));
    parser.parse(decodeSource(bytes).text)?.delete();
    elapsedMs += performance.now() - startedAt;
  }
  parser.delete();
  return elapsedMs;
}

/** Indexes a tree while health is asked for all the time. */
export async function measureIndexing(service: Service, root: string): Promise<Figure[]> {
  const files = readSources(root);
  const megabytes = files.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1e6;
  await parseOnly(files);
  const floorMs = await parseOnly(files);
  await service.client.call('stop_worker', { worker_type: 'vectorization' });
  // Without a pause it would take a core from what is measured.
  const health = measureHealth(service, 0, 5);
  const result = await service.client.call('update_indexes', { root_dir: root });
  const busy = await health.stop();
  if (!('files_added' in result)) throw new Error('update_indexes gave a job');
  await service.client.call('start_worker', { worker_type: 'vectorization' });
  const kinds = new Set(files.map(({ path }) => extname(path))).size;
  return [
    { name: 'indexed', value: `${result.files_added} files of ${kinds} kinds, ${megabytes.toFixed(1)} MB` },
    { name: 'index rate', value: `${((megabytes / result.duration_ms) * 1e3).toFixed(2)} MB/s` },
    { name: 'parse-only loop', value: `${((megabytes / floorMs) * 1e3).toFixed(2)} MB/s` },
    { name: 'indexing / parse-only', value: `${(result.duration_ms / floorMs).toFixed(2)} x` },
    { name: 'health while indexing, p50', value: inMs(percentile(busy, 0.5)) },
    { name: 'health while indexing, p99', value: inMs(percentile(busy, 0.99)) },
  ];
}

/** Asks for health one after the other until it is stopped, and at least `atLeast` times, with pauses of `everyMs`. */
export function measureHealth(
  service: Service,
  atLeast: number,
  everyMs = 0,
): { stop: () => Promise<number[]> } {
  const times: number[] = [];
  const stopping = new AbortController();
  const run = (async () => {
    while (!stopping.signal.aborted || times.length < atLeast) {
      const startedAt = performance.now();
      await service.client.call('health');
      times.push(performance.now() - startedAt);
      if (everyMs > 0) await sleep(everyMs);
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await run;
      return times;
    },
  };
}
