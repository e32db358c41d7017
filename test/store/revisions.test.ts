/** What a path was is kept whenever it becomes something else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256 } from '#src/base/hash.js';
import { hasContent } from '#src/store/contents.js';
import { insertCheckpoint, momentNow } from '#src/store/checkpoints.js';
import {
  clearDeleted,
  forgetEmptyFolders,
  markDeleted,
  markIgnored,
  restampFile,
  upsertFile,
} from '#src/store/file-states.js';
import { fileByPath } from '#src/store/files.js';
import {
  changes,
  pathsChangedSince,
  type PathState,
  stateAt,
  statesOf,
  versionId,
  versionNamed,
} from '#src/store/history.js';
import type { IndexDatabase } from '#src/store/index-database.js';
import { deleteProject } from '#src/store/projects.js';
import { defaultPace, isPassing, type PassingFacts } from '#src/store/revisions.js';
import { addContent, addFile, addProject, countRows, openIndex } from './index-fixture.js';

const all = Number.MAX_SAFE_INTEGER;
const everything = { since: -1, until: all, prefix: '', after: null };
const minute = 60_000;
const ours = { dev: '1', uid: 0, gid: 0 } as const;

test('what changes after a checkpoint is none of it, also where the clock was set back', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  const id = save(index, project, 'a', 'one', 10 * minute);
  save(index, project, 'b', 'one', 10 * minute);
  save(index, project, 'a', 'two', 30 * minute);
  // It is five minutes earlier now than it was.
  const at = momentNow(index, project, 25 * minute);
  insertCheckpoint(index, project, { checkpointId: 'c0000000a', label: null, at });
  save(index, project, 'a', 'three', 26 * minute);
  save(index, project, 'b', 'two', 26 * minute);
  save(index, project, 'new', 'one', 27 * minute);
  markDeleted(index, id, 'seen', 28 * minute);
  const then = ['a', 'b', 'new'].map((path) => stateAt(index, project, path, at)?.sha256);
  const hashOf = (text: string): string => addContent(index, text);
  assert.deepEqual(then, [hashOf('two'), hashOf('one'), undefined]);
  assert.deepEqual(pathsChangedSince(index, project, at), ['a', 'b', 'new']);
});

/** A file of that text becomes what is at the path; gives its row's id. */
function save(index: IndexDatabase, project: string, path: string, text: string, at: number): number {
  return addFile(index, project, path, { sha256: addContent(index, text), size: text.length }, at);
}

function told(states: readonly PathState[]): string[] {
  return states.map(({ state, cause, seenAt, goneAt }) => `${state} by ${cause} ${seenAt}-${goneAt ?? ''}`);
}

test('every state of a path is kept, with how it came, from when and until when', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  const id = save(index, project, 'a', 'one', 10 * minute);
  save(index, project, 'a', 'two', 20 * minute);
  markDeleted(index, id, 'seen', 30 * minute);
  clearDeleted(index, id, 'restore', 40 * minute);
  const row = fileByPath(index, project, 'a');
  assert.ok(row !== undefined);
  restampFile(index, id, { ...row, ...ours, mode: 0o755 }, 50 * minute);
  markIgnored(index, id, 60 * minute);
  assert.deepEqual(
    told(statesOf(index, project, 'a', all, 100)),
    [
      'ignored by rules 60-',
      'file by edit 50-60',
      'file by restore 40-50',
      'deleted by seen 30-40',
      'file by edit 20-30',
      'file by edit 10-20',
    ].map((line) => line.replaceAll(/\d+/gu, (minutes) => String(Number(minutes) * minute))),
  );
  const modes = statesOf(index, project, 'a', all, 3).map(({ mode }) => mode);
  assert.deepEqual(modes, [0o755, 0o755, 0o644]);
});

test('a path at a time is the last state that it was in at or before it', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  const ids = fc.constantFrom('a', 'b', 'c');
  const act = fc.oneof(
    fc.record({ path: ids, text: fc.constantFrom('', 'x', 'y', 'z'), mode: fc.constantFrom(0o644, 0o755) }),
    fc.record({ path: ids, deletes: fc.constant(true) }),
  );
  let clock = 1_000_000;
  fc.assert(
    fc.property(fc.array(act, { maxLength: 25 }), (acts) => {
      // What there is at each moment, by hand.
      const moments: [at: number, tree: Record<string, string>][] = [];
      const tree: Record<string, string> = {};
      for (const path of ['a', 'b', 'c']) {
        const state = stateAt(index, project, path, clock);
        if (state !== undefined && state.state === 'file') tree[path] = `${state.sha256} ${state.mode}`;
      }
      for (const one of acts) {
        clock += 2_000;
        const row = fileByPath(index, project, one.path);
        if ('text' in one) {
          const hash = addContent(index, one.text);
          addFile(index, project, one.path, { sha256: hash, size: one.text.length, mode: one.mode }, clock);
          tree[one.path] = `${hash} ${one.mode}`;
        } else if (row !== undefined) {
          markDeleted(index, row.id, 'seen', clock);
          delete tree[one.path];
        }
        moments.push([clock + 1_000, { ...tree }]);
      }
      for (const [at, then] of moments) {
        const found: Record<string, string> = {};
        for (const path of ['a', 'b', 'c']) {
          const state = stateAt(index, project, path, at);
          if (state?.state === 'file') found[path] = `${state.sha256} ${state.mode}`;
        }
        assert.deepEqual(found, then);
      }
    }),
    { numRuns: 30 },
  );
});

test('what is read again without having changed is no new state', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  const id = save(index, project, 'a', 'one', minute);
  for (let round = 2; round < 5; round += 1) {
    save(index, project, 'a', 'one', round * minute);
    const row = fileByPath(index, project, 'a');
    assert.ok(row !== undefined);
    restampFile(index, id, { ...row, ...ours, mtimeNs: String(round) }, round * minute);
  }
  assert.deepEqual(told(statesOf(index, project, 'a', all, 10)), [`file by edit ${minute}-`]);
});

test('of saves within a second the last one is kept, and the content of the others leaves', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  save(index, project, 'a', 'before', minute);
  const passing = ['1', '2', '3'].map((text) => addContent(index, text));
  for (const [number, text] of ['1', '2', '3', 'last'].entries())
    save(index, project, 'a', text, 100_000 + number * 300);
  save(index, project, 'a', 'later', 200_000);
  const states = statesOf(index, project, 'a', all, 10);
  // What was there in between is not claimed to have been the state before.
  assert.deepEqual(told(states), [
    'file by edit 200000-',
    'file by edit 100900-200000',
    'file by edit 60000-100000',
  ]);
  assert.deepEqual(
    passing.map((hash) => hasContent(index, hash)),
    [false, false, false],
  );
  assert.equal(countRows(index, 'contents'), 3);
});

test('a content that passes and that another file or another time has stays', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  save(index, project, 'other', 'shared', minute);
  save(index, project, 'a', 'earlier', minute);
  for (const [number, text] of ['between', 'shared', 'earlier', 'last'].entries())
    save(index, project, 'a', text, 100_000 + number * 100);
  for (const text of ['shared', 'earlier', 'last'])
    assert.ok(hasContent(index, sha256(Buffer.from(text))), text);
  assert.equal(countRows(index, 'contents'), 3);
});

test('nothing that is not a save passes: a deletion, a restore, a rename, a checkpoint keep what was before', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  const id = save(index, project, 'a', 'one', 100_000);
  markDeleted(index, id, 'seen', 100_010);
  clearDeleted(index, id, 'rewind', 100_020);
  save(index, project, 'a', 'two', 100_030);
  insertCheckpoint(index, project, { checkpointId: 'c1', label: null, at: 100_040 });
  save(index, project, 'a', 'three', 100_050);
  const kept = statesOf(index, project, 'a', all, 10).map((one) => [one.state, one.sha256]);
  assert.deepEqual(kept, [
    ['file', addContent(index, 'three')],
    ['file', addContent(index, 'two')],
    ['file', addContent(index, 'one')],
    ['deleted', null],
    ['file', addContent(index, 'one')],
  ]);
});

test('a file that is written all the time is kept once a minute from some point on, one that is not, always', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  const hours = 3;
  index.db.transaction(() => {
    for (let second = 0; second < hours * 3_600; second += 2)
      save(index, project, 'log', `log ${second}`, 1_000_000 + second * 1_000);
    for (let second = 0; second < hours * 3_600; second += 65)
      save(index, project, 'source', `source ${second}`, 1_000_000 + second * 1_000);
  })();
  const log = statesOf(index, project, 'log', all, 100_000);
  assert.ok(
    log.length >= hours * 60 && log.length <= 120 + hours * 60 + 5,
    `${log.length} states of the log`,
  );
  assert.equal(statesOf(index, project, 'source', all, 100_000).length, Math.ceil((hours * 3_600) / 65));
  // Each content is of a state that is kept.
  assert.equal(countRows(index, 'contents'), countRows(index, 'revisions') + 2);
});

test('whether a state passes is judged by its burst, by checkpoints, and by how many were kept', () => {
  const facts = fc.record({
    seenAt: fc.integer({ min: 0, max: 10_000 }),
    burstAt: fc.integer({ min: 0, max: 10_000 }),
    endsAt: fc.integer({ min: 10_001, max: 20_000 }),
    lastKept: fc.option(fc.integer({ min: 0, max: 10_000 })),
    busyKept: fc.option(fc.integer({ min: 0, max: 10_000 })),
    checkpointAt: fc.option(fc.integer({ min: 0, max: 20_000 })),
  });
  fc.assert(
    fc.property(facts, (given) => {
      const verdict = isPassing(given, defaultPace);
      const isMarked = given.checkpointAt !== null && given.checkpointAt >= given.seenAt;
      if (isMarked) assert.equal(verdict, false, 'a checkpoint is of it');
      else if (given.endsAt - given.burstAt < 1_000) assert.equal(verdict, 'burst');
      else if (given.busyKept === null || given.lastKept === null) assert.equal(verdict, false);
      else assert.equal(verdict, 'busy', 'all of it is within a minute');
    }),
  );
  const busy: PassingFacts = {
    seenAt: 0,
    burstAt: 0,
    endsAt: 10 * minute,
    lastKept: 9.5 * minute,
    busyKept: 0,
    checkpointAt: null,
  };
  assert.equal(isPassing(busy, defaultPace), 'busy');
  assert.equal(isPassing({ ...busy, lastKept: 8.9 * minute }, defaultPace), false);
  assert.equal(isPassing({ ...busy, endsAt: 121 * minute, lastKept: 120.5 * minute }, defaultPace), false);
});

test('changes are listed newest first, page by page, each as what somebody would call it', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  const found = { sha256: addContent(index, 'found'), size: 5 };
  addFile(index, project, 'old', { ...found }, 1_000);
  index.sql("UPDATE files SET came_by = 'found'").run();
  const old = save(index, project, 'old', 'edited', 2 * minute);
  const gone = save(index, project, 'gone', 'gone', 3 * minute);
  markDeleted(index, gone, 'git', 4 * minute);
  addFile(index, project, 'empty', { kind: 'folder', mode: 0o755 }, 5 * minute);
  const row = fileByPath(index, project, 'old');
  assert.ok(row !== undefined);
  upsertFile(index, project, { ...row, ...ours, path: 'new' }, 6 * minute, () => ({
    by: 'rename',
    fromPath: 'old',
  }));
  markDeleted(index, old, 'seen', 6 * minute + 50);
  const listed = [...changes(index, { id: project, forgottenAt: null }, everything)];
  const words = listed.map(
    ({ kind, path, state }) => `${kind} ${path} ${state.cause} ${state.seenAt / minute}`,
  );
  const expected = ['renamed new rename 6', 'deleted gone git 4', 'added gone edit 3', 'changed old edit 2'];
  assert.deepEqual(words, expected);
  for (let at = 0; at < listed.length; at += 1) {
    const last = listed[at];
    assert.ok(last !== undefined);
    const after = { at: last.state.seenAt, path: last.path };
    assert.deepEqual(
      [...changes(index, { id: project, forgottenAt: null }, { ...everything, after })],
      listed.slice(at + 1),
    );
  }
  const since = { ...everything, since: 3 * minute, until: 4 * minute };
  assert.deepEqual(
    [...changes(index, { id: project, forgottenAt: null }, since)].map(({ path, kind }) => `${kind} ${path}`),
    ['deleted gone'],
  );
  const prefix = { ...everything, prefix: 'ne' };
  assert.deepEqual(
    [...changes(index, { id: project, forgottenAt: null }, prefix)].map(({ path }) => path),
    ['new'],
  );
});

test('what rules ignored for a while did neither go nor change', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  const id = save(index, project, 'a', 'one', minute);
  markIgnored(index, id, 2 * minute);
  save(index, project, 'a', 'one', 3 * minute);
  assert.deepEqual(
    [...changes(index, { id: project, forgottenAt: null }, everything)].map(
      ({ kind, state }) => `${kind} ${state.seenAt / minute}`,
    ),
    ['added 1'],
  );
});

test('an empty folder that gets something in it was one until then, and is none any more', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  addFile(index, project, 'a/b', { kind: 'folder', mode: 0o755 }, minute);
  save(index, project, 'a/b/c', 'text', 2 * minute);
  forgetEmptyFolders(index, project, 'a/b/c', 2 * minute);
  assert.equal(stateAt(index, project, 'a/b', minute + 1)?.state, 'folder');
  assert.equal(stateAt(index, project, 'a/b', 2 * minute), undefined);
});

test('the name of a version says which file, and when it was first seen', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 0, max: 4_000_000_000_000 }), (fileId, seenAt) => {
      assert.deepEqual(versionNamed(versionId(fileId, seenAt)), { fileId, seenAt });
    }),
  );
  for (const other of ['', 'v', 'v1', 'v1-', 'c12345678', '2026-11-30T00:00:00Z', 'v1-2-3', 'V1-2'])
    assert.equal(versionNamed(other), null, other);
});

test('with a project its history goes', (t) => {
  const index = openIndex(t);
  const project = addProject(index);
  save(index, project, 'a', 'one', minute);
  save(index, project, 'a', 'two', 2 * minute);
  insertCheckpoint(index, project, { checkpointId: 'c1', label: 'x', at: minute });
  deleteProject(index, project);
  assert.equal(countRows(index, 'revisions') + countRows(index, 'checkpoints'), 0);
});
