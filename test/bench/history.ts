import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listProjects } from '#src/store/projects.js';
import { pageOfFiles } from '#src/store/files.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { dropUnused, endState, stateAtPath } from '#src/store/revisions.js';
import { placeBare } from './repair.js';
import { type Figure, inMs, inTurn, median, type Service } from './service.js';

const rewoundFiles = 1_400;
const rounds = 3;

function contents(): Map<string, Buffer> {
  const names = Array.from({ length: rewoundFiles }, (_, number) => `f${number}.txt`);
  return new Map(names.map((name) => [name, Buffer.from(randomBytes(1_500).toString('base64'))]));
}

/** A rewind of 1,400 changed files against the bare loop over as many files; and what the history costs a save. */
export async function measureHistory(service: Service, root: string): Promise<Figure[]> {
  const sources = join(root, 'src');
  mkdirSync(sources, { recursive: true });
  const write = (files: ReadonlyMap<string, Buffer>): void => {
    for (const [name, bytes] of files) writeFileSync(join(sources, name), bytes);
  };
  const first = contents();
  write(first);
  const { project_id } = await service.client.call('add_project', { root_dir: root });
  await service.client.call('update_indexes', { project_id });
  const { checkpoint_id } = await service.client.call('create_checkpoint', { project_id });
  const rewinds: number[] = [];
  const plans: number[] = [];
  const undos: number[] = [];
  const saves: number[] = [];
  const rewind = async (): Promise<void> => {
    write(contents());
    const saved = performance.now();
    await service.client.call('wait_until_fresh', { project_id, timeout: 600 });
    saves.push((performance.now() - saved) / rewoundFiles);
    const planned = performance.now();
    await service.client.call('rewind', { project_id, to: checkpoint_id, dry_run: true });
    plans.push(performance.now() - planned);
    const begun = performance.now();
    const done = await service.client.call('rewind', { project_id, to: checkpoint_id });
    rewinds.push(performance.now() - begun);
    if (!('totals' in done) || done.totals['reverted'] !== rewoundFiles)
      throw new Error(`not all files were rewound: ${JSON.stringify(done)}`);
    await service.client.call('wait_until_fresh', { project_id, timeout: 600 });
    const undoing = performance.now();
    await service.client.call('undo_repair', { run_id: done.run_id });
    undos.push(performance.now() - undoing);
  };
  let round = 0;
  const bare = async (): Promise<void> => await placeBare(join(root, '..', `bare-rewind-${round++}`), first);
  const times = await inTurn(rounds, rewind, bare);
  const [ours, floor] = [median(rewinds), median(times.second)];
  const perSave = historyMs(join(service.folder, 'index.db'));
  return [
    { name: 'rewind of 1,400 changed files', value: inMs(ours) },
    { name: 'bare loop over the same 1,400 placements', value: inMs(floor) },
    { name: 'rewind / bare loop', value: `${(ours / floor).toFixed(2)} x` },
    { name: 'its dry run; its undo', value: `${inMs(median(plans))}; ${inMs(median(undos))}` },
    {
      name: 'history of a save / the save, many at once',
      value: `${(perSave * 1e3).toFixed(0)} µs, ${((perSave / median(saves)) * 100).toFixed(1)} %`,
    },
  ];
}

/** What it takes to keep the state that a save ends, in milliseconds a save; nothing is written. */
function historyMs(path: string): number {
  const index = IndexDatabase.open(path);
  const [project] = listProjects(index);
  if (project === undefined) throw new Error('the index has no project');
  const rows = pageOfFiles(index, project.id, {
    filter: 'active',
    prefix: '',
    after: '',
    limit: rewoundFiles,
  });
  const startedAt = performance.now();
  index.db.exec('BEGIN IMMEDIATE');
  for (const { path: name } of rows) {
    const before = stateAtPath(index, project.id, name);
    if (before !== undefined) dropUnused(index, endState(index, before, 'edit', Date.now()).dropped);
  }
  const tookMs = performance.now() - startedAt;
  index.db.exec('ROLLBACK');
  index.close();
  return tookMs / rows.length;
}
