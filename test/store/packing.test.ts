/** What files were takes as much as what differs, and is given byte by byte all the same, whatever is lost around it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { sha256 } from '#src/base/hash.js';
import {
  hasContent,
  hasWhole,
  problemOfContent,
  renderContent,
  sourceOf,
  unparsedContent,
} from '#src/store/contents.js';
import { forgetContents, type ForgetTally } from '#src/store/forgetting.js';
import type { IndexDatabase } from '#src/store/index-database.js';
import { packPast } from '#src/store/packing.js';
import { setVerified } from '#src/store/projects.js';
import { dropUnused } from '#src/store/revisions.js';
import { AttachedBackup } from '#src/store/salvage/attached-backup.js';
import { temporaryFolder } from '../harness/folder.js';
import { addContent, addFile, addProject, damageContent, openIndex } from './index-fixture.js';

const never = new AbortController().signal;
/** Which no compression makes smaller. */
const body = Array.from({ length: 60 }, (_, line) => sha256(Buffer.from(String(line))));

/** The body with some of its lines replaced. */
function textWith(changes: Readonly<Record<number, string>>): string {
  return `${body.map((line, at) => changes[at] ?? line).join('\n')}\n`;
}

function recorded(index: IndexDatabase): string {
  index.pace = { burstMs: 0, busyMs: 0 };
  const id = addProject(index);
  setVerified(index, id, 0, 1);
  return id;
}

/** Gives the hash. */
function save(index: IndexDatabase, project: string, path: string, text: string, at: number): string {
  const hash = addContent(index, text, 'any');
  addFile(index, project, path, { sha256: hash, size: text.length }, at);
  return hash;
}

function baseOf(index: IndexDatabase, hash: string): string | null {
  const row = index
    .sql<[string], { base: string | null }>('SELECT base FROM contents WHERE sha256 = ?')
    .get(hash);
  return row === undefined ? assert.fail('no content') : row.base;
}

function storedBytes(index: IndexDatabase): number {
  return index.sql<[], number>('SELECT sum(length(tree)) FROM contents').pluck().get() ?? 0;
}

test('whatever was saved, and whenever it was packed, every state is given as it was, from one other content at most', async (t) => {
  const save1 = fc.record({
    path: fc.constantFrom('a', 'b'),
    text: fc.oneof(
      fc
        .dictionary(fc.integer({ min: 0, max: 59 }).map(String), fc.string({ maxLength: 40 }), {
          maxKeys: 60,
        })
        .map(textWith),
      fc.constantFrom('', 'short', textWith({})),
    ),
    isPacked: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(save1, { maxLength: 30 }), async (saves) => {
      const index = openIndex(t);
      const project = recorded(index);
      const place = { lastId: 0 };
      const texts = new Map<string, string>();
      for (const [at, { path, text, isPacked }] of saves.entries()) {
        texts.set(save(index, project, path, text, 1_000 + at), text);
        if (isPacked) await packPast(index, place, never);
      }
      await packPast(index, { lastId: 0 }, never);
      for (const [hash, text] of texts) {
        const rendering = renderContent(index, hash);
        assert.ok('bytes' in rendering && rendering.bytes.equals(Buffer.from(text)));
        assert.ok(sourceOf(index, hash)?.equals(rendering.bytes));
        const base = baseOf(index, hash);
        assert.ok(base === null || hasWhole(index, base));
      }
      assert.equal(await packPast(index, { lastId: 0 }, never), 0, 'a second time there is nothing to do');
      index.close();
    }),
    { numRuns: 60 },
  );
});

test('a hundred saves that differ by a line each take little more than two contents', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  const changes: Record<number, string> = {};
  save(index, project, 'a', textWith(changes), 1_000);
  const one = storedBytes(index);
  for (let number = 0; number < 100; number += 1) {
    changes[number % 5] = `line ${number}`;
    save(index, project, 'a', textWith(changes), 2_000 + number);
  }
  assert.ok(storedBytes(index) > 90 * one);
  assert.equal(await packPast(index, { lastId: 0 }, never), 100);
  assert.ok(storedBytes(index) < 10 * one, `${storedBytes(index)} bytes where one takes ${one}`);
});

test('what a file has again, or never had another content, is left whole', async (t) => {
  const index = openIndex(t);
  const project = recorded(index);
  const [first, second] = [textWith({}), textWith({ 1: 'changed' })];
  const hash = save(index, project, 'a', first, 1_000);
  save(index, project, 'a', second, 2_000);
  save(index, project, 'b', first, 3_000);
  await packPast(index, { lastId: 0 }, never);
  assert.deepEqual([hasWhole(index, hash), hasWhole(index, sha256(Buffer.from(second)))], [true, true]);
});

/** Two states of one file, of which the second is stored as the difference to the first. */
async function packedPair(index: IndexDatabase): Promise<{ project: string; base: string; packed: string }> {
  const project = recorded(index);
  const base = save(index, project, 'a', textWith({}), 1_000);
  const packed = save(index, project, 'a', textWith({ 1: 'changed' }), 2_000);
  save(index, project, 'a', 'now', 3_000);
  await packPast(index, { lastId: 0 }, never);
  assert.deepEqual([baseOf(index, base), baseOf(index, packed)], [null, base]);
  return { project, base, packed };
}

test('what others are a difference to stays as long as they do, and goes with the last', async (t) => {
  const index = openIndex(t);
  const { base, packed } = await packedPair(index);
  const letGo = (hash: string): void => {
    index.sql('DELETE FROM revisions WHERE sha256 = ?').run(hash);
    index.db.transaction(() => dropUnused(index, hash))();
  };
  letGo(base);
  assert.equal(problemOfContent(index, packed), null);
  const tally: ForgetTally = { versions: 0, deleted: 0, contents: 0, bytes: 0 };
  await forgetContents(index, Number.MAX_SAFE_INTEGER, tally, never);
  assert.equal(tally.contents, 0);
  letGo(packed);
  assert.deepEqual([hasContent(index, base), hasContent(index, packed)], [false, false]);
});

test('where what it is a difference to is damaged or gone, that is said, and it is not given', async (t) => {
  const index = openIndex(t);
  const { base, packed } = await packedPair(index);
  damageContent(index, base, 500);
  assert.match(
    problemOfContent(index, packed) ?? '',
    /its stored difference, or what that is to, is damaged/u,
  );
  // Another content of that length, which is sound by itself.
  const other = unparsedContent(Buffer.from(textWith({ 2: 'x'.repeat(64) })), base);
  index.sql('UPDATE contents SET tree = ? WHERE sha256 = ?').run(other.tree, base);
  assert.match(problemOfContent(index, packed) ?? '', /gives other bytes|or what that is to, is damaged/u);
  assert.equal(sourceOf(index, packed), null);
  index.sql('DELETE FROM contents WHERE sha256 = ?').run(base);
  assert.match(problemOfContent(index, packed) ?? '', /kept as a difference to is not in the index/u);
  assert.equal(sourceOf(index, packed), null);
});

test('a backup gives what it has as a difference whole', async (t) => {
  const index = openIndex(t);
  const { base, packed } = await packedPair(index);
  const backup = join(temporaryFolder(t), 'backup.db');
  index.sql('VACUUM INTO ?').run(backup);
  index.sql('DELETE FROM contents WHERE sha256 IN (?, ?)').run(base, packed);
  AttachedBackup.use(index, backup, (from) => from.addContent(packed, 1));
  assert.deepEqual([baseOf(index, packed), hasContent(index, base)], [null, false]);
  assert.equal(String(sourceOf(index, packed)), textWith({ 1: 'changed' }));
});
