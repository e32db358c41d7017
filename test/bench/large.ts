/**
 * `npm run bench:large -- --tree DIR`: the figures of test/README.md for a large project, made of a copy of DIR, or of
 * small files that are made (`--files N`). Takes minutes, and as much disk as the tree twice. With `--keep FOLDER` tree
 * and index stay there, and the next run in that folder measures all but the first index.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sleep } from '#src/base/waiting.js';
import { languageOf } from '#src/syntax/language.js';
import { residentMb } from '../harness/processes.js';
import { measureHealth, parseOnly, type SourceFile } from './index-rate.js';
import { type Figure, inMb, inMs, percentile, Service } from './service.js';

const { values: options } = parseArgs({
  options: { tree: { type: 'string' }, files: { type: 'string' }, keep: { type: 'string' } },
});
const searches = 100;
/** Asking without a pause would take a core from what is measured. */
const healthEveryMs = 20;
/** Of twenty, the 95th percentile is the slowest one: the first after a start. */
const saves = 100;
/** As max_file_bytes: larger files are not parsed. */
const fileBytesMax = 2 * 1024 * 1024;
const folder = options.keep ?? mkdtempSync(join(tmpdir(), 'codekeep-large-'));
const root = join(folder, 'tree');
const isKept = existsSync(root);

function print(figures: readonly Figure[]): void {
  for (const { name, value } of figures) process.stdout.write(`  ${name.padEnd(52)} ${value}\n`);
}

function makeTree(): void {
  const { tree, files } = options;
  if (tree !== undefined) cpSync(tree, root, { recursive: true, verbatimSymlinks: true });
  for (let made = 0; made < Number(files ?? 0); made += 1) {
    const inside = join(root, `part${Math.floor(made / 10_000)}`, `folder${Math.floor(made / 100)}`);
    if (made % 100 === 0) mkdirSync(inside, { recursive: true });
    writeFileSync(join(inside, `file${made}.ts`), `export const value${made} = ${made};\n`);
  }
  rmSync(join(root, '.git'), { recursive: true, force: true });
  git('init', '-q');
  // Packing in the background would take a core from what is measured.
  git('config', 'gc.auto', '0');
  git('add', '-A');
  git('-c', 'user.name=bench', '-c', 'user.email=bench', 'commit', '-q', '-m', 'all');
}

function git(...args: string[]): void {
  execFileSync('git', ['-C', root, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}

function* sourcePaths(): Generator<string> {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !path.includes('/.git/') && statSync(path).size <= fileBytesMax) yield path;
  }
}

function* sources(): Generator<SourceFile> {
  for (const path of sourcePaths()) yield { path, bytes: readFileSync(path) };
}

function timeOf(work: () => void): number {
  const startedAt = performance.now();
  work();
  return performance.now() - startedAt;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

function bytesIn(path: string): number {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return entries.reduce((sum, entry) => {
    const isData =
      entry.isFile() && /\.db(?:-wal)?$/u.test(entry.name) && !entry.parentPath.includes('backups');
    return sum + (isData ? statSync(join(entry.parentPath, entry.name)).size : 0);
  }, 0);
}

async function memoryOf(service: Service): Promise<Figure[]> {
  const status = await service.client.call('get_worker_status');
  if (!('workers' in status)) return [];
  const figures = status.workers.flatMap(({ worker_type, processes }) =>
    processes.map(({ pid }) => ({ name: `memory of ${worker_type}`, value: inMb(residentMb(pid)) })),
  );
  return [{ name: 'memory of the supervisor', value: inMb(residentMb(service.pid)) }, ...figures];
}

async function untilFresh(service: Service): Promise<void> {
  for (;;) {
    const { freshness, files } = await service.client.call('get_project_status', { root_dir: root });
    if (freshness === 'fresh' && files.pending === 0) return;
    await sleep(5);
  }
}

async function untilVectorized(service: Service): Promise<void> {
  for (;;) {
    const { chunks } = await service.client.call('get_project_status', { root_dir: root });
    if (chunks.total === chunks.vectorized) return;
    await sleep(500);
  }
}

/** Words of names in the tree, as people put them. */
async function queriesFor(service: Service): Promise<string[]> {
  const { entities } = await service.client.call('list_code_entities', {
    root_dir: root,
    kind: 'function',
    limit: 10_000,
  });
  const names = entities.length > 0 ? entities.map(({ name }) => name) : ['value', 'export const value7'];
  return Array.from({ length: searches }, (_, at) => {
    const name = names[Math.floor((at * names.length) / searches)] ?? '';
    return `how does it ${name.replaceAll(/[_\W]+/gu, ' ')} when the lock is held`;
  });
}

async function measureSearch(service: Service, queries: readonly string[]): Promise<number[]> {
  const times: number[] = [];
  for (const query of queries)
    times.push(await timed(() => service.client.call('search', { query, root_dir: root })));
  return times;
}

/** One that nothing else has any part of. */
function newWord(): string {
  const letter = (): string => String.fromCharCode(97 + Math.floor(Math.random() * 26));
  return Array.from({ length: 16 }, letter).join('');
}

/** From the write to the first answer that has it; asked for all the time. One file after the other, from all of the tree. */
async function measureSaves(service: Service): Promise<number[]> {
  const paths = [...sourcePaths()].filter((path) => languageOf(path) !== null);
  const times: number[] = [];
  for (let save = 0; save < saves; save += 1) {
    const word = newWord();
    appendFileSync(paths[Math.floor((save * paths.length) / saves)] ?? '', `\n// ${word}\n`);
    times.push(
      await timed(async () => {
        for (;;) {
          const found = await service.client.call('search', {
            query: word,
            root_dir: root,
            mode: 'fulltext',
          });
          if (found.results.some(({ snippet }) => snippet.includes(word))) return;
        }
      }),
    );
    await untilFresh(service);
  }
  return times;
}

async function measureFirst(service: Service): Promise<Figure[]> {
  const sourceBytes = [...sourceSizes()].reduce((sum, size) => sum + size, 0);
  const floorMs = await parseOnly(sources());
  const health = measureHealth(service, 0, healthEveryMs);
  const result = await service.client.call('update_indexes', { root_dir: root });
  const busy = await health.stop();
  if (!('files_added' in result)) throw new Error('update_indexes gave a job');
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const indexed = [
    { name: 'files; source', value: `${result.files_added}; ${inMb(sourceBytes / 1e6)}` },
    { name: 'first index', value: seconds(result.duration_ms) },
    { name: 'parsing alone, on one core', value: seconds(floorMs) },
    { name: 'first index / parsing alone', value: `${(result.duration_ms / floorMs).toFixed(2)} x` },
    { name: 'health meanwhile, p99', value: inMs(percentile(busy, 0.99)) },
  ];
  const vectorsMs = await timed(() => untilVectorized(service));
  const bytes = bytesIn(service.folder);
  return [
    ...indexed,
    { name: 'all vectors after', value: seconds(vectorsMs) },
    { name: 'index / source', value: `${inMb(bytes / 1e6)}, ${(bytes / sourceBytes).toFixed(2)} x` },
  ];
}

function* sourceSizes(): Generator<number> {
  for (const path of sourcePaths()) yield statSync(path).size;
}

async function measureAnswers(service: Service): Promise<Figure[]> {
  const statuses: number[] = [];
  for (let at = 0; at < 100; at += 1)
    statuses.push(await timed(() => service.client.call('get_project_status', { root_dir: root })));
  const queries = await queriesFor(service);
  const times = await measureSearch(service, queries);
  return [
    {
      name: 'get_project_status, p50, p99',
      value: `${inMs(percentile(statuses, 0.5))}, ${inMs(percentile(statuses, 0.99))}`,
    },
    {
      name: 'hybrid search, p50, p95',
      value: `${inMs(percentile(times, 0.5))}, ${inMs(percentile(times, 0.95))}`,
    },
    ...(await memoryOf(service)),
  ];
}

async function measureRestart(service: Service): Promise<Figure[]> {
  const queries = await queriesFor(service);
  const times: number[] = [];
  const firsts: number[] = [];
  const gits: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    gits.push(timeOf(() => git('status', '--porcelain')));
    const startedAt = await service.restart();
    await untilFresh(service);
    times.push(performance.now() - startedAt);
    firsts.push(...(await measureSearch(service, queries.slice(round, round + 1))));
  }
  const [fresh, status] = [percentile(times, 0.5), percentile(gits, 0.5)];
  return [
    {
      name: 'start to fresh; git status',
      value: `${inMs(fresh)}; ${inMs(status)}: ${(fresh / status).toFixed(1)} x`,
    },
    { name: 'first search after a start', value: inMs(percentile(firsts, 0.5)) },
    ...(await memoryOf(service)),
  ];
}

/** 5,000 files differ between two branches. */
async function measureSwitch(service: Service): Promise<Figure[]> {
  git('add', '-A');
  git('-c', 'user.name=bench', '-c', 'user.email=bench', 'commit', '-q', '-m', 'saves');
  git('checkout', '-q', '-B', 'other');
  let changed = 0;
  for (const path of sourcePaths()) {
    appendFileSync(path, '\n');
    if ((changed += 1) === 5_000) break;
  }
  git('-c', 'user.name=bench', '-c', 'user.email=bench', 'commit', '-qam', 'other');
  await untilFresh(service);
  const figures: Figure[] = [];
  for (const [round, branch] of ['master', 'other', 'master'].entries()) {
    const gitMs = timeOf(() => git('checkout', '-q', branch));
    // wait_until_fresh would compare the whole tree.
    const result = await timed(() => untilFresh(service));
    const name = `switch of ${changed} files, ${round === 0 ? 'back' : round === 1 ? 'there again' : 'and back again'}`;
    figures.push({
      name,
      value: `${inMs(result)} after git's ${inMs(gitMs)}: ${((result + gitMs) / gitMs).toFixed(1)} x`,
    });
  }
  return figures;
}

try {
  if (!isKept) makeTree();
  const state = join(folder, 'state');
  mkdirSync(state, { recursive: true });
  const service = await Service.start(state);
  try {
    if (!isKept) print(await measureFirst(service));
    else await untilFresh(service);
    print(await measureAnswers(service));
    print(await measureRestart(service));
    const times = await measureSaves(service);
    print([
      {
        name: 'save to searchable, p50, p95; the first after a start',
        value: `${inMs(percentile(times, 0.5))}, ${inMs(percentile(times, 0.95))}; ${inMs(times[0] ?? Number.NaN)}`,
      },
    ]);
    print(await measureSwitch(service));
    print(await memoryOf(service));
  } finally {
    await service.end();
  }
} finally {
  if (options.keep === undefined) rmSync(folder, { recursive: true });
}
