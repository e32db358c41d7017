import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { structuredPatch } from 'diff';
import { statesBeforeChange } from '#src/store/history.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { type Figure, inMb, inMs, median, type Service } from './service.js';

const savesMax = 10_000;
const repository = fileURLToPath(new URL('../..', import.meta.url));

function git(...args: string[]): Buffer {
  return execFileSync('git', ['-C', repository, ...args], { maxBuffer: 1024 ** 3 });
}

/** Of each source of this program what it was after each commit, the oldest first; none where its history is not here. */
function committed(): Map<string, string[]> {
  const blobs = new Map<string, string[]>();
  const log = git(
    'log',
    '--reverse',
    '--format=',
    '--raw',
    '--no-renames',
    '--abbrev=40',
    '--',
    'src',
    'test',
  );
  for (const [, blob = '', path = ''] of log.toString().matchAll(/^:\d+ \d+ \S+ (\S+) [AM]\t(.*\.ts)$/gmu))
    blobs.set(path, [...(blobs.get(path) ?? []), blob]);
  return new Map(
    [...blobs].map(([path, names]) => [path, names.map((name) => git('cat-file', 'blob', name).toString())]),
  );
}

/** From one commit to the next, as if each place that a commit changes were saved by itself. */
function savesBetween(before: string, after: string): string[] {
  const { hunks } = structuredPatch('', '', before, after, '', '', { context: 0 });
  const texts: string[] = [];
  let lines = before.split('\n');
  let moved = 0;
  for (const { oldStart, oldLines, newLines, lines: changes } of hunks.slice(0, -1)) {
    const added = changes.filter((line) => line.startsWith('+')).map((line) => line.slice(1));
    lines = lines.toSpliced(oldStart - (oldLines === 0 ? 0 : 1) + moved, oldLines, ...added);
    moved += newLines - oldLines;
    texts.push(lines.join('\n'));
  }
  return [...texts, after];
}

/** The first text of each file, and each of its saves; of the files that were saved most, so many as there are to be saves. */
function daysSaves(): Map<string, string[]> {
  const all = [...committed()].map(([path, [first = '', ...versions]]): [string, string[]] => {
    const saves = versions.flatMap((version, at) =>
      savesBetween(at === 0 ? first : (versions[at - 1] ?? ''), version),
    );
    return [path, [first, ...saves]];
  });
  all.sort(([, one], [, other]) => other.length - one.length);
  let left = savesMax;
  return new Map(
    all
      .map(([path, texts]): [string, string[]] => {
        const taken = texts.slice(0, left + 1);
        left -= taken.length - 1;
        return [path, taken];
      })
      .filter(([, texts]) => texts.length > 1),
  );
}

/** What the index has in use, without pages that are free. */
function usedBytes(path: string): number {
  const index = IndexDatabase.openReadOnly(path);
  try {
    const of = (name: string): number => Number(index.db.pragma(name, { simple: true }));
    return (of('page_count') - of('freelist_count')) * of('page_size');
  } finally {
    index.close();
  }
}

/** 10,000 saves of real sources, as their history has them, all of which the index keeps. */
export async function measureDay(service: Service, root: string): Promise<Figure[]> {
  const files = daysSaves();
  if (files.size === 0) return [{ name: 'not measured', value: 'there is no history of this program here' }];
  let saves = 0;
  let written = 0;
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  for (const [path, [first = '']] of files) write(path, first);
  const { project_id } = await service.client.call('add_project', { root_dir: root });
  await service.client.call('update_indexes', { project_id });
  const path = join(service.folder, 'index.db');
  const before = usedBytes(path);
  for (let round = 1, isOver = false; !isOver; round += 1) {
    isOver = true;
    for (const [name, texts] of files) {
      const text = texts[round];
      if (text === undefined) continue;
      isOver = false;
      write(name, text);
      saves += 1;
      written += text.length;
    }
    await service.client.call('wait_until_fresh', { project_id, timeout: 600 });
  }
  const whole = usedBytes(path) - before;
  const packingAt = performance.now();
  await service.client.call('forget', { project_id });
  const packedMs = performance.now() - packingAt;
  const index = IndexDatabase.openReadOnly(path);
  const states = index.sql<[], number>('SELECT count(*) FROM revisions').pluck().get() ?? 0;
  index.close();
  const grown = (usedBytes(path) - before) / 1e6;
  return [
    {
      name: 'saves; states kept',
      value: `${saves.toLocaleString('en')} of ${files.size} files; ${states.toLocaleString('en')}`,
    },
    { name: 'what was saved', value: inMb(written / 1e6) },
    { name: 'what the index grew by, packed; before', value: `${grown.toFixed(1)} MB; ${inMb(whole / 1e6)}` },
    { name: 'packing a state', value: inMs(packedMs / states) },
  ];
}

const timedPaths = 100_000;

/** What each of 100,000 paths was at a time, all of which became something else since. */
export function measureStates(folder: string): Figure[] {
  const path = join(folder, 'index.db');
  const index = IndexDatabase.open(path);
  const files = `WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < ${timedPaths - 1})`;
  const name = "printf('src/folder%d/file%d.ts', n % 997, n)";
  const hash = "printf('%064x', n)";
  index.db.exec(`
    INSERT INTO projects (id, root_dir, version_dir, name, root_dev, root_ino, added_at) VALUES ('p', '/p', '/v', 'p', '0', '0', 0);
    ${files} INSERT INTO files (project_id, path, size, mtime_ns, ctime_ns, ino, mode, sha256, updated_at, seen_at, came_by)
      SELECT 'p', ${name}, 1, 0, 0, n, 420, ${hash}, 3, 3, 'edit' FROM number;
    ${files} INSERT INTO revisions (project_id, path, state, seen_at, gone_at, came_by, size, mode, mtime_ns, sha256)
      SELECT 'p', ${name}, 'file', 1, 3, 'found', 1, 420, 0, ${hash} FROM number;`);
  const times = Array.from({ length: 5 }, () => {
    const startedAt = performance.now();
    const states = statesBeforeChange(index, 'p', 2);
    if (states.size !== timedPaths) throw new Error(`${states.size} states`);
    return performance.now() - startedAt;
  });
  const readings = Array.from({ length: 5 }, () => {
    const startedAt = performance.now();
    index.db.prepare('SELECT * FROM revisions').all();
    return performance.now() - startedAt;
  });
  index.close();
  rmSync(path);
  return [
    { name: 'state at a time of 100,000 changed paths', value: inMs(median(times)) },
    { name: 'reading as many rows, nothing else', value: inMs(median(readings)) },
  ];
}
