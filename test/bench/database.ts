import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { waitFor } from '../harness/waiting.js';
import { copySources, measureHealth } from './index-rate.js';
import { type Figure, inMs, inTurn, median, percentile, type Service } from './service.js';

/** Copies of the tree, each with another first line in every file: together an index of some 100 MB. */
const copies = 5;

/** Check, backup and rebuild of an index of a real tree. */
export async function measureDatabase(service: Service, root: string): Promise<Figure[]> {
  const { client } = service;
  makeTree(root);
  const { project_id } = await client.call('add_project', { root_dir: root });
  await client.call('update_indexes', { project_id });
  const { file_size_mb, wal_size_mb } = await client.call('get_database_status');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((name) => join(root, name))
    .filter((path) => statSync(path).isFile());
  const check = async (): Promise<void> => {
    const { ok } = await client.call('check_database', { deep: true });
    if (!ok) throw new Error('the index is damaged');
  };
  const readAndHash = (): void => {
    for (const path of files) createHash('sha256').update(readFileSync(path)).digest('hex');
  };
  await inTurn(1, check, readAndHash);
  const times = await inTurn(5, check, readAndHash);
  const [deep, floor] = [median(times.first), median(times.second)];
  return [
    { name: 'index', value: `${(file_size_mb + wal_size_mb).toFixed(0)} MB, ${files.length} files` },
    { name: 'deep check', value: inMs(deep) },
    { name: 'reading and hashing the files', value: inMs(floor) },
    { name: 'deep check / reading and hashing', value: `${(deep / floor).toFixed(2)} x` },
    ...(await measureBackup(service, root, project_id)),
    ...(await measureRebuild(service)),
  ];
}

function makeTree(root: string): void {
  const sources = join(root, 'sources');
  copySources(sources);
  const names = readdirSync(sources, { recursive: true, encoding: 'utf8' });
  for (let copy = 1; copy < copies; copy += 1)
    for (const name of names) {
      const path = join(sources, name);
      const target = join(root, `copy${copy}`, name);
      if (statSync(path).isDirectory()) mkdirSync(target, { recursive: true });
      else if (/^\.[cm]?[jt]s$/u.test(extname(name))) {
        mkdirSync(join(target, '..'), { recursive: true });
        writeFileSync(target, `// ${copy}\n${readFileSync(path, 'utf8')}`);
      }
    }
}

/** Health, and how soon a save is found, while the index is backed up all the time, and before that. */
async function measureBackup(service: Service, root: string, project_id: string): Promise<Figure[]> {
  const { client } = service;
  const alone = await measureSaves(service, root, project_id, 'alone');
  const over = new AbortController();
  const backups: number[] = [];
  const backingUp = (async () => {
    while (!over.signal.aborted) {
      const startedAt = performance.now();
      const { path } = await client.call('backup_database', { path: join(root, '..', 'bench.db') });
      backups.push(performance.now() - startedAt);
      rmSync(path);
    }
  })();
  const health = measureHealth(service, 500);
  const found = await measureSaves(service, root, project_id, 'beside');
  const times = await health.stop();
  over.abort();
  await backingUp;
  return [
    { name: 'backup, checked', value: inMs(median(backups)) },
    {
      name: 'health while backing up, p50, p99',
      value: `${inMs(percentile(times, 0.5))}, ${inMs(percentile(times, 0.99))}`,
    },
    {
      name: 'a save is found, p50, worst of 7',
      value: `${inMs(median(alone))}, ${inMs(Math.max(...alone))}`,
    },
    {
      name: 'while backing up',
      value: `${inMs(median(found))}, ${inMs(Math.max(...found))}`,
    },
  ];
}

/** How long until seven saves, one after the other, are found (ms). */
async function measureSaves(
  service: Service,
  root: string,
  project_id: string,
  name: string,
): Promise<number[]> {
  const found: number[] = [];
  for (let save = 0; save < 7; save += 1) {
    const word = `benchword${name}${save}x${process.pid}`;
    writeFileSync(join(root, `${name}${save}.py`), `def ${word}():\n    return ${save}\n`);
    const startedAt = performance.now();
    await waitFor(
      'the save is found',
      async () => {
        const { results } = await service.client.call('search', {
          query: word,
          project_id,
          mode: 'fulltext',
        });
        return results.length > 0;
      },
      60_000,
    );
    found.push(performance.now() - startedAt);
  }
  return found;
}

async function measureRebuild(service: Service): Promise<Figure[]> {
  const startedAt = performance.now();
  const rebuilt = await service.client.call('rebuild_database', { dry_run: true });
  const dryMs = performance.now() - startedAt;
  const begun = performance.now();
  const done = await service.client.call('rebuild_database');
  const wholeMs = performance.now() - begun;
  if (!('lost' in rebuilt) || !('lost' in done) || done.lost_count > 0) throw new Error('something is lost');
  return [
    { name: 'rebuild: what can be read, proven', value: inMs(dryMs) },
    { name: 'rebuild, with what is derived', value: inMs(wholeMs) },
  ];
}
