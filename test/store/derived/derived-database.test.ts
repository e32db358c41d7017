import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import Database from 'better-sqlite3';
import { DerivedDamageError } from '#src/store/derived/damage.js';
import { DerivedDatabase, derivedPath } from '#src/store/derived/derived-database.js';
import { DerivedDatabases, DerivedReaders } from '#src/store/derived/derived-databases.js';
import { documentOf, storeDocuments } from '#src/store/derived/documents.js';
import { fileByPath } from '#src/store/files.js';
import type { IndexDatabase } from '#src/store/index-database.js';
import { deleteProject } from '#src/store/projects.js';
import { addFile, addProject, openIndex } from '../index-fixture.js';

const { signal } = new AbortController();
const hash = 'ab'.repeat(32);

interface Setup {
  index: IndexDatabase;
  projectId: string;
  path: string;
  keep: () => DerivedDatabases;
}

function setUp(t: TestContext): Setup {
  const index = openIndex(t);
  const projectId = addProject(index);
  const keep = (): DerivedDatabases => {
    const derived = new DerivedDatabases(index);
    t.after(() => derived.retain(new Set()));
    return derived;
  };
  return { index, projectId, path: derivedPath(index.path, projectId), keep };
}

function relyOn({ index, projectId }: Setup): void {
  addFile(index, projectId, 'a.ts', { sha256: hash, extractor: 'x', language: 'typescript' });
}

const extractorOf = ({ index, projectId }: Setup): string | null | undefined =>
  fileByPath(index, projectId, 'a.ts')?.extractor;

async function store(derived: DerivedDatabase): Promise<void> {
  const made = { chunks: 0, kinds: 0, layout: Buffer.alloc(0), words: Buffer.alloc(1) };
  const document = { ...made, sha256: hash, language: 'typescript', extractor: 'x' };
  await storeDocuments(derived, [{ path: 'a.ts', document }], signal);
}

test('rows rely on the database that is there, over any number of starts', async (t) => {
  const setup = setUp(t);
  const first = setup.keep();
  await store(await first.of(setup.projectId));
  assert.equal(first.timesMade(setup.projectId), 1);
  relyOn(setup);
  await first.close();
  const second = setup.keep();
  const derived = await second.of(setup.projectId);
  assert.equal(second.timesMade(setup.projectId), 0);
  assert.equal(extractorOf(setup), 'x');
  assert.equal(derived.read(() => documentOf(derived, hash, 'typescript'))?.extractor, 'x');
  // Killed: nothing is closed in order, and the machine runs on.
  const third = setup.keep();
  await third.of(setup.projectId);
  assert.equal(extractorOf(setup), 'x');
});

test('no row relies on a database that was removed, replaced, of another version, or damaged', async (t) => {
  const wrongs: Record<string, (path: string) => void> = {
    'no database at all': (path) => writeFileSync(path, 'this is no database, whatever its name says'),
    'of another version': (path) => {
      const db = new Database(path);
      db.pragma('user_version = 999');
      db.close();
    },
    'a page of the schema is damaged': (path) => {
      const fd = openSync(path, 'r+');
      writeSync(fd, Buffer.alloc(900, 7), 0, 900, 100);
      closeSync(fd);
    },
    'of another project': (path) => {
      const other = join(dirname(path), 'other.db');
      DerivedDatabase.openOrMake(other).close();
      writeFileSync(path, readFileSync(other));
    },
  };
  for (const [what, wrong] of Object.entries(wrongs)) {
    const setup = setUp(t);
    const first = setup.keep();
    await store(await first.of(setup.projectId));
    relyOn(setup);
    await first.close();
    wrong(setup.path);
    const second = setup.keep();
    const derived = await second.of(setup.projectId);
    assert.equal(extractorOf(setup), null, what);
    assert.equal(second.timesMade(setup.projectId), 1, what);
    assert.equal(
      derived.read(() => documentOf(derived, hash, 'typescript')),
      undefined,
      what,
    );
    await store(derived);
  }
});

test('what was written in another run of the machine, and not closed in order, is not relied on', async (t) => {
  const setup = setUp(t);
  const first = setup.keep();
  const derived = await first.of(setup.projectId);
  await store(derived);
  relyOn(setup);
  await derived.write(() => derived.sql("UPDATE facts SET boot = 'an earlier one'").run());
  first.retain(new Set());
  const second = setup.keep();
  const again = await second.of(setup.projectId);
  assert.equal(extractorOf(setup), null);
  // What is there of it serves all the same.
  assert.ok(again.read(() => documentOf(again, hash, 'typescript')) !== undefined);
});

test('one that somebody removes while it is open is made again, and said to be', async (t) => {
  const setup = setUp(t);
  const derived = setup.keep();
  await store(await derived.of(setup.projectId));
  relyOn(setup);
  assert.ok(derived.isInPlace(setup.projectId));
  new DerivedReaders(setup.index.path).discard(setup.projectId);
  assert.equal(derived.isInPlace(setup.projectId), false);
  await derived.of(setup.projectId);
  assert.equal(derived.timesMade(setup.projectId), 2);
  assert.equal(extractorOf(setup), null);
});

test('damage is told from damage of the index, with the file that it is in', async (t) => {
  const setup = setUp(t);
  const derived = await setup.keep().of(setup.projectId);
  const isDamage = (error: unknown): boolean =>
    error instanceof DerivedDamageError && error.path === setup.path;
  await derived.write(() => derived.sql('DELETE FROM facts').run());
  assert.throws(() => derived.read(() => derived.facts), isDamage);
  await assert.rejects(
    derived.write(() => {
      throw Object.assign(new Database.SqliteError('it is malformed', 'SQLITE_CORRUPT'));
    }),
    isDamage,
  );
});

test('readers see what is there, and nothing where nothing is', async (t) => {
  const setup = setUp(t);
  const readers = new DerivedReaders(setup.index.path);
  t.after(() => readers.close());
  const find = (): unknown =>
    readers.look(setup.projectId, (derived) => derived.read(() => documentOf(derived, hash, 'typescript')));
  assert.equal(find(), null);
  const kept = setup.keep();
  await store(await kept.of(setup.projectId));
  assert.ok(find() !== undefined && find() !== null);
  readers.look(setup.projectId, (derived) =>
    assert.throws(() => derived.db.exec('DELETE FROM documents'), /readonly/u),
  );
  kept.discard(setup.projectId);
  assert.equal(find(), null);
});

test('a reader stays open until whoever uses it is done, whatever becomes of the file', async (t) => {
  const setup = setUp(t);
  const readers = new DerivedReaders(setup.index.path);
  t.after(() => readers.close());
  await store(await setup.keep().of(setup.projectId));
  let used: DerivedDatabase | undefined;
  await readers.use([setup.projectId, 'another'], async (open) => {
    assert.deepEqual([...open.keys()], [setup.projectId]);
    used = open.get(setup.projectId);
    readers.discard(setup.projectId);
    await Promise.resolve();
    assert.ok(used?.read(() => documentOf(used as DerivedDatabase, hash, 'typescript')) !== undefined);
  });
  assert.equal(used?.db.open, false);
});

test('what was made of a project that is removed can be removed', async (t) => {
  const setup = setUp(t);
  const kept = setup.keep();
  await kept.of(setup.projectId);
  deleteProject(setup.index, setup.projectId);
  new DerivedReaders(setup.index.path).discard(setup.projectId);
  assert.equal(existsSync(setup.path), false);
  await assert.rejects(kept.of(setup.projectId), /No project/u);
});
