import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { childrenOf, residentMb } from '../harness/processes.js';
import { type Figure, inMb, inMs, inTurn, median, type Service } from './service.js';

const folders = 1_000;
const filesPerFolder = 100;
const restoredFiles = 1_400;

/** 100,000 small files in 1,000 folders. */
export function makeLargeTree(root: string): void {
  let number = 0;
  for (let folder = 0; folder < folders; folder += 1) {
    const path = join(root, `d${Math.floor(folder / 50)}`, `f${folder}`);
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < filesPerFolder; file += 1, number += 1) {
      writeFileSync(join(path, `m${file}.py`), `def f${number}():\n    return ${number}\n`);
    }
  }
}

function git(root: string, ...args: string[]): void {
  execFileSync(
    'git',
    ['-C', root, '-c', 'user.email=bench@localhost', '-c', 'user.name=bench', '-c', 'gc.auto=0', ...args],
    {
      stdio: 'ignore',
      maxBuffer: 1 << 28,
    },
  );
}

async function stopWorkers(service: Service): Promise<void> {
  await service.client.call('stop_worker', { worker_type: 'file_watcher' });
  await service.client.call('stop_worker', { worker_type: 'vectorization' });
}

/** repair_database, dry, over 100,000 unchanged files against git status on the same tree. */
export async function measureDryRun(service: Service, root: string): Promise<Figure[]> {
  makeLargeTree(root);
  await stopWorkers(service);
  const indexed = await service.client.call('update_indexes', { root_dir: root });
  if (!('files_added' in indexed)) throw new Error('update_indexes gave a job');
  git(root, 'init', '-q');
  git(root, 'add', '-A');
  git(root, 'commit', '-qm', 'all');
  const dryRun = async (): Promise<void> => {
    const report = await service.client.call('repair_database', { root_dir: root, dry_run: true });
    if (!('totals' in report) || report.totals['ok'] !== indexed.files_added)
      throw new Error('not all files are ok');
  };
  const status = (): void => git(root, 'status', '--porcelain');
  await inTurn(1, dryRun, status);
  const times = await inTurn(7, dryRun, status);
  const [ours, theirs] = [median(times.first), median(times.second)];
  return [
    { name: 'indexing 100,000 files', value: `${(indexed.duration_ms / 1e3).toFixed(0)} s` },
    { name: 'dry run over 100,000 unchanged files', value: inMs(ours) },
    { name: 'git status on the same tree', value: inMs(theirs) },
    { name: 'dry run / git status', value: `${(ours / theirs).toFixed(2)} x` },
    await measureMemory(service, root, indexed.files_added),
  ];
}

/** What the repair's process holds at most, where it has something to do for every row. */
async function measureMemory(service: Service, root: string, rows: number): Promise<Figure> {
  const db = new Database(join(service.folder, 'index.db'));
  db.exec("UPDATE files SET deleted = 1, deleted_at = 1, cause = 'unseen'");
  db.close();
  let peakMb = 0;
  const timer = setInterval(() => {
    for (const { pid, commandLine } of childrenOf(service.pid))
      if (commandLine.includes('repair')) peakMb = Math.max(peakMb, residentMb(pid) || 0);
  }, 20);
  const report = await service.client.call('repair_database', { root_dir: root });
  clearInterval(timer);
  if (!('totals' in report) || report.totals['clear_deleted'] !== rows) throw new Error('not all was mended');
  return { name: `memory of a repair of ${rows} rows`, value: inMb(peakMb) };
}

/** The floor of a restore: temp file, write, fsync, link to its name, unlink the temp, one after the other. */
export async function placeBare(folder: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of files) {
    const temporary = join(folder, `${name}.tmp`);
    const file = await open(temporary, 'wx');
    await file.writeFile(bytes);
    await file.sync();
    await file.close();
    linkSync(temporary, join(folder, name));
    unlinkSync(temporary);
  }
}

/** A repair that restores 1,400 files into versions and the project, against the bare loop over as many files. */
export async function measureRestore(service: Service, root: string): Promise<Figure[]> {
  const files = new Map<string, Buffer>();
  for (let number = 0; number < restoredFiles; number += 1) {
    files.set(`f${number}.txt`, Buffer.from(randomBytes(1_500).toString('base64')));
  }
  const sources = join(root, 'src');
  mkdirSync(sources, { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(sources, name), bytes);
  const { project_id, version_dir } = await service.client.call('add_project', { root_dir: root });
  await stopWorkers(service);
  await service.client.call('update_indexes', { project_id });
  const lose = (): void => {
    for (const name of readdirSync(sources)) unlinkSync(join(sources, name));
    rmSync(join(version_dir, project_id), { recursive: true, force: true });
  };
  const repairs: number[] = [];
  const undos: number[] = [];
  const restore = async (): Promise<void> => {
    lose();
    const startedAt = performance.now();
    const report = await service.client.call('repair_database', { project_id });
    repairs.push(performance.now() - startedAt);
    if (!('totals' in report) || report.totals['restore_from_cst'] !== restoredFiles) {
      throw new Error(`not all files were restored: ${JSON.stringify(report)}`);
    }
    const begun = performance.now();
    const undone = await service.client.call('undo_repair', { run_id: report.run_id });
    undos.push(performance.now() - begun);
    if (!('totals' in undone) || undone.totals.undone !== restoredFiles)
      throw new Error('not all was undone');
    // What an undo took away is deleted on request: it is to be lost once more.
    await service.client.call('restore_deleted_files', { project_id, path_prefix: 'src' });
  };
  let round = 0;
  // Each file goes to two places, so the floor writes twice as many.
  const bare = async (): Promise<void> => {
    round += 1;
    await placeBare(join(root, '..', `bare-${round}-a`), files);
    await placeBare(join(root, '..', `bare-${round}-b`), files);
  };
  const times = await inTurn(3, restore, bare);
  const [ours, floor] = [median(repairs), median(times.second)];
  return [
    { name: 'restore of 1,400 files into versions and project', value: inMs(ours) },
    { name: 'bare loop over the same 2,800 placements', value: inMs(floor) },
    { name: 'restore / bare loop', value: `${(ours / floor).toFixed(2)} x` },
    { name: 'undo of it / repair', value: `${inMs(median(undos))}, ${(median(undos) / ours).toFixed(2)} x` },
  ];
}
