/** What is not kept of the past goes, on a real index; what a project was at a moment that is kept stays, byte by byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { deleteCheckpoint, insertCheckpoint } from '#src/store/checkpoints.js';
import { hasContent, renderContent } from '#src/store/contents.js';
import { forgetFolder, markDeleted } from '#src/store/file-states.js';
import {
  forgetContents,
  type ForgetLimits,
  forgetStates,
  type ForgetTally,
  planForget,
  rehearseForget,
} from '#src/store/forgetting.js';
import { stateAt, statesOf } from '#src/store/history.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { beginRun, endRun } from '#src/store/journal.js';
import { packPast } from '#src/store/packing.js';
import { checkStructure } from '#src/store/maintenance.js';
import { deleteProject, knownSince, projectById, setVerified } from '#src/store/projects.js';
import { policyOf, type RetentionPolicy } from '#src/store/retention.js';
import { countDamaged, noteDamaged } from '#src/store/scrub.js';
import { addContent, addFile, addProject, countRows, openIndex } from './index-fixture.js';

const second = 1_000;
const hour = 3_600 * second;
const day = 24 * hour;
const begin = Date.parse('2026-01-01T00:00:00Z');
const policy = policyOf({
  history_keep_all: 172_800,
  history_keep_hourly: 1_209_600,
  history_keep_daily: 7_776_000,
});
/** Of a year; a few thousand take minutes. */
const savesOfAWeek = process.env['CODEKEEP_FAULTS'] === 'all' ? 3_000 : 500;
const never = new AbortController().signal;

function save(index: IndexDatabase, project: string, path: string, text: string, at: number): number {
  const stamp = { ctimeNs: `${at - 20}000000`, sha256: addContent(index, text, 'any'), size: text.length };
  return addFile(index, project, path, stamp, at);
}

function recorded(index: IndexDatabase): string {
  const id = addProject(index);
  setVerified(index, id, 0, begin);
  return id;
}

async function plan(index: IndexDatabase, id: string, limits: Partial<ForgetLimits>) {
  const project = projectById(index, id) ?? assert.fail('no project');
  return await planForget(index, project, { policy, maxBytes: Infinity, now: begin, ...limits }, never);
}

async function forgetAll(
  index: IndexDatabase,
  id: string,
  limits: Partial<ForgetLimits>,
): Promise<ForgetTally> {
  const tally = { versions: 0, deleted: 0, contents: 0, bytes: 0 };
  await forgetStates(index, await plan(index, id, limits), tally, never);
  await forgetContents(index, (limits.now ?? begin) - 2 * day, tally, never);
  return tally;
}

function textsOf(index: IndexDatabase, project: string, path: string): (string | null)[] {
  return statesOf(index, project, path, Number.MAX_SAFE_INTEGER, 1_000).map((state) => {
    const rendering = renderContent(index, state.sha256);
    return 'bytes' in rendering ? String(rendering.bytes) : null;
  });
}

/** As they are stored, of contents that no file has. */
function pastBytes(index: IndexDatabase): number {
  const row = index
    .sql<[], { bytes: number | null }>(
      'SELECT sum(length(tree)) AS bytes FROM contents WHERE sha256 NOT IN (SELECT sha256 FROM files WHERE sha256 IS NOT NULL)',
    )
    .get();
  return row?.bytes ?? 0;
}

test('of a day that is long past one state stays, and the contents of the others leave', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  for (let number = 0; number < 10; number += 1)
    save(index, project, 'a', `text ${number}`, begin + number * hour);
  save(index, project, 'b', 'text 3', begin + hour);
  const now = begin + 30 * day;
  const said = await rehearseForget(index, [await plan(index, project, { now })], now - 2 * day, never);
  const done = await forgetAll(index, project, { now });
  assert.deepEqual(done, said);
  assert.deepEqual([done.versions, done.contents], [9, 8], 'one of the contents is of another file');
  assert.deepEqual(textsOf(index, project, 'a'), ['text 9']);
  assert.ok(hasContent(index, sha256(Buffer.from('text 3'))));
  const again = await forgetAll(index, project, { now });
  assert.deepEqual(again, { versions: 0, deleted: 0, contents: 0, bytes: 0 });
  // What there was before the end of the first day nobody can say any more.
  assert.equal(projectById(index, project)?.forgottenAt, begin + 9 * hour);
});

test('what ended before anything is kept goes, and is not said to be known any more', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  save(index, project, 'a', 'first', begin + hour);
  save(index, project, 'a', 'second', begin + 5 * day);
  save(index, project, 'b', 'unchanged', begin + hour);
  await forgetAll(index, project, { now: begin + 200 * day });
  assert.deepEqual(textsOf(index, project, 'a'), ['second']);
  const known = projectById(index, project);
  assert.equal(known === undefined ? null : knownSince(known), begin + 5 * day);
  assert.equal(stateAt(index, project, 'b', begin + 2 * hour)?.state, 'file');
});

test('a checkpoint keeps exactly what was there, until it is removed', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  const id = save(index, project, 'a', 'one', begin + hour);
  save(index, project, 'a', 'two', begin + hour + 60 * second);
  const at = begin + hour + 90 * second;
  insertCheckpoint(index, project, { checkpointId: 'c1', label: null, at });
  save(index, project, 'a', 'three', begin + hour + 120 * second);
  markDeleted(index, id, 'seen', begin + 2 * hour);
  const now = begin + 300 * day;
  await forgetAll(index, project, { now, maxBytes: 0 });
  assert.equal(stateAt(index, project, 'a', at)?.sha256, sha256(Buffer.from('two')));
  assert.deepEqual(textsOf(index, project, 'a'), [null, 'two']);
  deleteCheckpoint(index, project, 'c1');
  await forgetAll(index, project, { now });
  assert.deepEqual(textsOf(index, project, 'a'), [null]);
});

test('a path that was deleted and came back is not said to have been there in between', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  const id = save(index, project, 'a', 'before', begin + hour);
  markDeleted(index, id, 'seen', begin + day + hour);
  save(index, project, 'a', 'after', begin + 3 * day);
  await forgetAll(index, project, { now: begin + 40 * day });
  const states = [0.5, 2, 3.5].map((days) => stateAt(index, project, 'a', begin + days * day)?.state);
  assert.deepEqual(states, ['file', 'deleted', 'file']);
});

test('a folder that something came into does not become one again, and goes with the last that is known of it', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  const stamp = { kind: 'folder', ctimeNs: `${begin + hour}000000` } as const;
  const id = addFile(index, project, 'a', stamp, begin + hour);
  insertCheckpoint(index, project, { checkpointId: 'c1', label: null, at: begin + 2 * hour });
  forgetFolder(index, id, begin + 4 * hour);
  await forgetAll(index, project, { now: begin + 300 * day });
  assert.equal(stateAt(index, project, 'a', begin + 250 * day), undefined);
  assert.equal(stateAt(index, project, 'a', begin + 2 * hour)?.state, 'folder');
  deleteCheckpoint(index, project, 'c1');
  await forgetAll(index, project, { now: begin + 300 * day });
  assert.deepEqual([countRows(index, 'revisions'), countRows(index, 'contents')], [0, 0]);
});

test('beyond the cap the oldest states go first, and none of what files are now', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  // They take the same room each.
  const text = (number: number): string => String(number).padStart(4, '0').repeat(300);
  for (let number = 0; number < 20; number += 1)
    save(index, project, 'a', text(number), begin + number * 60 * second);
  const one = pastBytes(index) / 19;
  const now = begin + hour;
  const done = await forgetAll(index, project, { now, maxBytes: 5.5 * one });
  assert.deepEqual([done.versions, done.contents], [14, 14]);
  assert.ok(pastBytes(index) <= 5.5 * one);
  assert.deepEqual(textsOf(index, project, 'a'), [19, 18, 17, 16, 15, 14].map(text));
  assert.equal(projectById(index, project)?.forgottenAt, begin + 14 * 60 * second);
  await forgetAll(index, project, { now, maxBytes: 0 });
  assert.deepEqual(textsOf(index, project, 'a'), [text(19)]);
});

test('a content that two projects had leaves with the last of them; one of no project after two days', async (t) => {
  const index = openIndex(t);
  const [project, other] = [recorded(index), recorded(index)];
  for (const id of [project, other]) {
    save(index, id, 'a', 'shared', begin + hour);
    save(index, id, 'a', `now of ${id}`, begin + 2 * hour);
  }
  const now = begin + 30 * day;
  const hash = sha256(Buffer.from('shared'));
  await forgetAll(index, project, { now });
  assert.ok(hasContent(index, hash));
  await forgetAll(index, other, { now });
  assert.ok(!hasContent(index, hash));
  deleteProject(index, other);
  const orphan = sha256(Buffer.from(`now of ${other}`));
  index.sql('UPDATE contents SET added_at = ?').run(now - day);
  await forgetAll(index, project, { now });
  assert.ok(hasContent(index, orphan), 'it may be wanted yet');
  await forgetAll(index, project, { now: now + 2 * day });
  assert.deepEqual([hasContent(index, orphan), countRows(index, 'contents')], [false, 1]);
});

test('as long as a run is unfinished nothing of its project goes', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  save(index, project, 'a', 'one', begin + hour);
  save(index, project, 'a', 'two', begin + 2 * hour);
  const run = { runId: 'r', projectId: project };
  beginRun(index, { ...run, origin: 'command', rootDir: '/', versionDir: '/' }, begin);
  const now = begin + 300 * day;
  const before = countRows(index, 'contents');
  assert.equal((await forgetAll(index, project, { now })).versions, 0);
  assert.equal(countRows(index, 'contents'), before);
  endRun(index, run, 'done', '', begin);
  assert.equal((await forgetAll(index, project, { now })).versions, 1);
});

test('a run that begins between the plan and the deed ends it', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  save(index, project, 'a', 'one', begin + hour);
  save(index, project, 'a', 'two', begin + 2 * hour);
  const planned = await plan(index, project, { now: begin + 300 * day });
  const run = { runId: 'r', projectId: project };
  beginRun(index, { ...run, origin: 'command', rootDir: '/', versionDir: '/' }, begin);
  const tally = { versions: 0, deleted: 0, contents: 0, bytes: 0 };
  await forgetStates(index, planned, tally, never);
  assert.deepEqual([planned.states.length, tally.versions, countRows(index, 'revisions')], [1, 0, 1]);
});

test('what a content that has left was damaged by is no damage of the index any more', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  save(index, project, 'a', 'one', begin + hour);
  save(index, project, 'a', 'two', begin + 2 * hour);
  const damage = { sha256: sha256(Buffer.from('one')), problem: 'a bit is flipped' };
  noteDamaged(index, damage, begin);
  assert.equal(countDamaged(index), 1);
  await forgetAll(index, project, { now: begin + 300 * day });
  assert.equal(countDamaged(index), 0);
  // Whoever met it before it left says so afterwards.
  noteDamaged(index, damage, begin);
  assert.equal(countDamaged(index), 0);
});

test('a dry run needs a connection that only reads', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  save(index, project, 'a', 'one', begin + hour);
  save(index, project, 'a', 'two', begin + 2 * hour);
  const looking = IndexDatabase.openReadOnly(index.path);
  t.after(() => looking.close());
  const now = begin + 300 * day;
  const said = await rehearseForget(looking, [await plan(looking, project, { now })], now, never);
  assert.deepEqual([said.versions, said.contents], [1, 1]);
  assert.equal(countRows(index, 'revisions'), 1);
});

/** Numbers that look like chance, and are the same each time. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Saved {
  at: number;
  /** Null: it was deleted then. */
  text: string | null;
}

/** Saves of many files for some weeks; each time a week is over the history is forgotten, and looked at. */
async function simulate(
  index: IndexDatabase,
  project: string,
  { weeks, savesAWeek, maxBytes }: { weeks: number; savesAWeek: number; maxBytes: number },
  look: (saved: ReadonlyMap<string, Saved[]>, now: number) => void,
): Promise<void> {
  const random = chance(7);
  const paths = Array.from({ length: 150 }, (_, number) => `src/file${number}`);
  const saved = new Map<string, Saved[]>(paths.map((path) => [path, []]));
  const bodies = new Map(
    paths.map((path) => [path, Array.from({ length: 8 }, () => sha256(Buffer.from(`${path} ${random()}`)))]),
  );
  const packing = { lastId: 0 };
  const week = 7 * day;
  for (let number = 0; number < weeks; number += 1) {
    const from = begin + number * week;
    const moments = Array.from({ length: savesAWeek }, () => from + Math.floor(random() * week)).sort(
      (a, b) => a - b,
    );
    await index.write(() => {
      for (const at of moments) {
        // Some files are worked on all the time, others hardly ever.
        const path = paths[Math.floor(random() ** 3 * paths.length)] ?? '';
        const states = saved.get(path) ?? [];
        const last = states.at(-1);
        if (last !== undefined && at <= last.at) continue;
        const isDeleted = random() < 0.03 && typeof last?.text === 'string';
        const body = bodies.get(path) ?? [];
        body[Math.floor(random() * body.length)] = String(random());
        const text = isDeleted ? null : `${path} at ${at}\n${body.join('\n')}\n`;
        states.push({ at, text });
        const row = index
          .sql<[string, string], { id: number }>('SELECT id FROM files WHERE project_id = ? AND path = ?')
          .get(project, path);
        if (text !== null) save(index, project, path, text, at);
        else if (row !== undefined) markDeleted(index, row.id, 'seen', at);
      }
    });
    const now = from + week;
    const said = await rehearseForget(
      index,
      [await plan(index, project, { now, maxBytes })],
      now - 2 * day,
      never,
    );
    assert.deepEqual(await forgetAll(index, project, { now, maxBytes }), said);
    assert.ok(pastBytes(index) <= maxBytes, `${pastBytes(index)} bytes after ${number + 1} weeks`);
    await packPast(index, packing, never);
    look(saved, now);
  }
}

/** Moments of the policy: of the last two days and of ends of hours some by chance, and the ends of all days. */
function keptMoments(rules: RetentionPolicy, now: number, since: number): number[] {
  const random = chance(now % 1_000_000);
  const all = Array.from({ length: 200 }, () => now - Math.floor(random() * 2 * day));
  const ends = rules.slice(1).flatMap(({ everyMs, forMs }) => {
    const last = Math.floor((now + 1) / everyMs) * everyMs - 1;
    return Array.from({ length: Math.ceil(forMs / everyMs) }, (_, back) => last - back * everyMs).filter(
      (moment) => moment >= now - forMs,
    );
  });
  return [...all, ...ends].filter(
    (moment) => moment >= since && (random() < 0.2 || (moment + 1) % day === 0),
  );
}

function assertRight(
  index: IndexDatabase,
  project: string,
  saved: ReadonlyMap<string, Saved[]>,
  moments: readonly number[],
): void {
  for (const [path, states] of saved) {
    const proven = new Set<string>();
    for (const moment of moments) {
      const was = states.findLast(({ at }) => at <= moment);
      const state = stateAt(index, project, path, moment);
      const text = was?.text ?? null;
      if (text === null) {
        assert.ok(state === undefined || state.state === 'deleted', `${path} was not there`);
        continue;
      }
      assert.equal(state?.sha256, sha256(Buffer.from(text)), `${path} at ${new Date(moment).toISOString()}`);
      if (proven.has(text)) continue;
      proven.add(text);
      const rendering = renderContent(index, state?.sha256 ?? null);
      assert.ok('bytes' in rendering && String(rendering.bytes) === text, path);
    }
  }
}

test('a year of saves: what is kept stays byte by byte, and nothing else does', async (t) => {
  const index = openIndex(t);
  index.pace = { burstMs: 0, busyMs: 0 };
  const project = recorded(index);
  const weeks = 52;
  await simulate(index, project, { weeks, savesAWeek: savesOfAWeek, maxBytes: Infinity }, (saved, now) => {
    if ((now - begin) % (182 * day) !== 0) return;
    const since = Math.max(begin, projectById(index, project)?.forgottenAt ?? 0);
    assert.ok(since <= Math.max(begin, now - 89 * day));
    assertRight(index, project, saved, keptMoments(policy, now, since));
  });
  // 48 hours, 12 days of hours, 76 of days: of 150 files, of which a few are saved 100 times a day.
  const revisions = countRows(index, 'revisions');
  assert.ok(
    revisions < 14_000 && revisions < weeks * savesOfAWeek,
    `${revisions} states of ${weeks * savesOfAWeek}`,
  );
  const wanted = `SELECT sha256 FROM files UNION SELECT sha256 FROM revisions UNION SELECT base FROM contents`;
  assert.equal(
    countRows(index, `contents WHERE sha256 NOT IN (SELECT * FROM (${wanted}) WHERE sha256 IS NOT NULL)`),
    0,
  );
  const differences = countRows(index, 'contents WHERE base IS NOT NULL');
  assert.ok(differences > revisions / 4 && countRows(index, 'contents') <= revisions + 150 + differences);
  assert.deepEqual(checkStructure(index, true), []);
});

test('weeks of saves under a cap: it holds, and since then all is as the policy says', async (t) => {
  const index = openIndex(t);
  index.pace = { burstMs: 0, busyMs: 0 };
  const project = recorded(index);
  const weeks = 5;
  await simulate(index, project, { weeks, savesAWeek: 1_000, maxBytes: 100_000 }, (saved, now) => {
    if (now < begin + 3 * 7 * day) return;
    const since = projectById(index, project)?.forgottenAt ?? begin;
    assert.ok(since > begin && since < now - 2 * day, 'it is cut off, and not more than it has to be');
    assertRight(index, project, saved, keptMoments(policy, now, since));
  });
});
