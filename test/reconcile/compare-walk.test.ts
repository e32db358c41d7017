import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { compareBytes } from '#src/base/byte-order.js';
import { relativePathProblem } from '#src/base/paths.js';
import { type Comparison, compareInOrder, type Differing } from '#src/reconcile/compare-walk.js';
import { tooLarge } from '#src/reconcile/index-file.js';
import type { WalkedFile } from '#src/reconcile/walk.js';
import { type ComparedRow, comparedRows } from '#src/store/compared-rows.js';
import type { FileUpsert } from '#src/store/file-states.js';
import type { IndexDatabase } from '#src/store/index-database.js';
import { extractorOf } from '#src/syntax/extractor.js';
import { addFile, addProject, openIndex } from '../store/index-fixture.js';

const walked = (path: string, given: Partial<WalkedFile> = {}): WalkedFile => ({
  path,
  kind: 'file',
  tracked: 0,
  device: 'ext4 2 x',
  print: '1 1000 1001 5 420',
  ...given,
});
/** A row of what `walked` gives, as it was indexed long after. */
const indexed: Partial<FileUpsert> = {
  size: 1,
  mtimeNs: '1000',
  ctimeNs: '1001',
  ino: '5',
  mode: 0o644,
  deviceId: 3,
  sha256: 'h',
  extractor: extractorOf(null),
};
const standards = {
  deviceIds: new Map([['ext4 2 x', 3]]),
  maxFileBytes: 10,
  isContent: ({ ignored }: { ignored: 0 | 1 }): boolean => ignored === 0,
  indexAfter: null,
  indexMax: Infinity,
};
const choice = { doubtMs: 50, tooLarge, folder: '', isShallow: false };

async function* batched<T>(batches: readonly T[]): AsyncGenerator<T, void, undefined> {
  yield* batches;
}

/** Compares with rows of a real index. */
class Compared {
  readonly #index: IndexDatabase;
  readonly #projectId: string;

  constructor(t: TestContext) {
    this.#index = openIndex(t);
    this.#projectId = addProject(this.#index);
  }

  row(path: string, given: Partial<FileUpsert> = {}, at = 1_000_000): number {
    return addFile(this.#index, this.#projectId, path, { ...indexed, ...given }, at);
  }

  set(path: string, assignment: string): void {
    this.#index.sql(`UPDATE files SET ${assignment} WHERE path = ?`).run(path);
  }

  clear(): void {
    this.#index.sql('DELETE FROM files').run();
  }

  async rowsIn(folder: string): Promise<string[]> {
    const pages: ComparedRow[][] = [];
    const chosen = { ...choice, folder, isShallow: true };
    for await (const page of comparedRows(this.#index, this.#projectId, chosen)) pages.push(page);
    return pages.flat().map(({ path }) => path);
  }

  async with(...files: WalkedFile[]): Promise<Comparison> {
    return await compareInOrder(
      batched([files]),
      comparedRows(this.#index, this.#projectId, choice),
      standards,
    );
  }

  async toIndex(...files: WalkedFile[]): Promise<string[]> {
    return (await this.with(...files)).toIndex.map(({ path }) => path);
  }
}

test('a file is indexed when it is new, was deleted, or any part of its stamp differs', async (t) => {
  const compared = new Compared(t);
  assert.deepEqual(await compared.toIndex(walked('a')), ['a']);
  const differing: Partial<FileUpsert>[] = [
    { size: 2 }, { mtimeNs: '1001' }, { ctimeNs: '1002' }, { ino: '6' }, { mode: 0o755 }, { kind: 'symlink' },
    { deviceId: 4 }, { deviceId: null }, { extractor: 'older' }, { extractor: null },
    { language: 'python' }, { sha256: null, skipReason: tooLarge },
  ]; // prettier-ignore
  for (const given of differing) {
    compared.row('a', given);
    assert.deepEqual(await compared.toIndex(walked('a')), ['a'], JSON.stringify(given));
  }
  compared.row('a');
  const same = { toIndex: [], differing: 0, missing: [], retracked: [], unchanged: 1, activeRows: 1 };
  assert.deepEqual(await compared.with(walked('a')), same);
  compared.row('a', { language: 'python', extractor: extractorOf('python') });
  assert.deepEqual(await compared.with(walked('a')), same);
  for (const mark of ['deleted', 'ignored']) {
    compared.row('a');
    compared.set('a', `${mark} = 1`);
    assert.deepEqual(await compared.toIndex(walked('a')), ['a'], mark);
  }
});

test('a file that is still too large is left alone, and what git tracks by now is no reason to read a file', async (t) => {
  const compared = new Compared(t);
  compared.row('a', { sha256: null, skipReason: tooLarge, size: 11 });
  assert.deepEqual(await compared.toIndex(walked('a', { print: '11 1000 1001 5 420' })), []);
  const id = compared.row('a');
  const { toIndex, retracked } = await compared.with(walked('a', { tracked: 1 }));
  assert.deepEqual([toIndex, retracked], [[], [{ id, path: 'a', tracked: 1 }]]);
});

test('a file that was written just before it was indexed is looked at again', async (t) => {
  const compared = new Compared(t);
  const ctimeNs = String(1_000_000n * 1_000_000n);
  const at = async (updatedAt: number): Promise<string[]> => {
    compared.row('a', { ctimeNs }, updatedAt);
    return await compared.toIndex(walked('a', { print: `1 1000 ${ctimeNs} 5 420` }));
  };
  assert.deepEqual(await at(1_000_000), ['a']);
  assert.deepEqual(await at(1_000_049), ['a']);
  assert.deepEqual(await at(1_000_051), []);
});

test('only rows without the deleted mark can be missing', async (t) => {
  const compared = new Compared(t);
  for (const path of ['a', 'b', 'c']) compared.row(path);
  compared.set('b', 'deleted = 1');
  assert.deepEqual(
    (await compared.with(walked('c'))).missing.map(({ path }) => path),
    ['a'],
  );
});

test('every walked file is either unchanged or to be indexed, every row is found or missing', async (t) => {
  const compared = new Compared(t);
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const names = fc.uniqueArray(name);
  await fc.assert(
    fc.asyncProperty(names, names, fc.func(fc.boolean()), async (onDisk, inIndex, isSame) => {
      compared.clear();
      for (const path of inIndex) compared.row(path, isSame(path) ? {} : { size: 9 });
      const result = await compared.with(...onDisk.toSorted().map((path) => walked(path)));
      assert.equal(result.unchanged + result.toIndex.length, onDisk.length);
      assert.deepEqual(
        result.missing.map(({ path }) => path),
        inIndex.filter((path) => !onDisk.includes(path)).sort(),
      );
    }),
  );
});

/** Paths that meet where orders differ: a slash, what comes before and behind it, both ends of UTF-16. */
const oddPath = fc
  .array(fc.constantFrom('a', '-', '/', '0', '\u00e9', '\uff5e', '\u{1f600}'), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join(''));
const storedPath = oddPath.filter((path) => relativePathProblem(path) === null);
const inBytes = (one: string, other: string): number => Buffer.compare(Buffer.from(one), Buffer.from(other));

test('texts are ordered by their bytes', () => {
  fc.assert(
    fc.property(oddPath, oddPath, (one, other) => {
      assert.equal(Math.sign(compareBytes(one, other)), inBytes(one, other));
    }),
  );
});

/** What comparing the whole lists gives, said in another way. */
function comparedWhole(files: readonly WalkedFile[], rows: readonly ComparedRow[]): Comparison {
  const byPath = new Map(rows.map((row) => [row.path, row]));
  const replaced = new Set(
    files.filter(({ kind, path }) => {
      const row = byPath.get(path);
      return kind === 'folder' && row?.deleted === 0 && row.kind !== kind;
    }),
  );
  const found = new Set(files.filter((file) => !replaced.has(file)).map(({ path }) => path));
  const differing = files.filter((file) => {
    const row = byPath.get(file.path);
    if (typeof row?.folderMode === 'number') return file.kind !== 'folder' || row.folderMode !== 420;
    return !replaced.has(file) && (row?.print !== file.print || row.deleted === 1 || row.kind !== file.kind);
  });
  const same = files.filter((file) => !replaced.has(file) && !differing.includes(file));
  return {
    toIndex: differing.map(({ path, tracked }) => ({ path, tracked, mtimeMs: 1_000 / 1e6 })),
    differing: differing.length,
    missing: rows.filter(
      ({ path, deleted, folderMode }) => (deleted === 0 || folderMode !== null) && !found.has(path),
    ),
    retracked: same.flatMap(({ path, tracked }) => {
      const row = byPath.get(path);
      return row === undefined || row.tracked === tracked || row.deleted === 1
        ? []
        : [{ id: row.id, path, tracked }];
    }),
    unchanged: files.length - differing.length,
    activeRows: rows.filter(({ deleted, ignored }) => deleted === 0 && ignored === 0).length,
  };
}

function cutAt<T>(list: readonly T[], sizes: readonly number[]): T[][] {
  const cuts: T[][] = [];
  for (let start = 0, turn = 0; start < list.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    cuts.push(list.slice(start, start + size));
    start += size;
  }
  return cuts;
}

test('a comparison in order gives what comparing the whole lists gives, however they are cut', async () => {
  const bit = fc.constantFrom<0 | 1>(0, 1);
  const kind = fc.constantFrom('file', 'symlink', 'folder');
  const file = fc
    .record({ path: oddPath, kind, tracked: bit })
    .map(({ path, ...given }) => walked(path, given));
  const row = fc.record({
    id: fc.nat(), path: oddPath, kind, deleted: bit, ignored: fc.constant<0>(0), tracked: bit,
    deviceId: fc.constant(3), print: fc.constantFrom('1 1000 1001 5 420', 'another'), isDoubtful: fc.constant<0>(0),
    isStale: fc.constant<0>(0), tooLargeBytes: fc.constant(null), folderMode: fc.constantFrom(null, 420, 493),
  }).map((given) => ({
    ...given,
    folderMode: given.deleted === 1 && given.kind !== 'folder' ? given.folderMode : null,
  })); // prettier-ignore
  const unique = { selector: ({ path }: { path: string }) => path, maxLength: 30 };
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(file, unique), fc.uniqueArray(row, unique), sizes, sizes,
      async (files, rows, fileSizes, rowSizes) => {
        files.sort((one, other) => inBytes(one.path, other.path));
        rows.sort((one, other) => inBytes(one.path, other.path));
        const whole = comparedWhole(files, rows);
        const [walk, pages] = [cutAt(files, fileSizes), cutAt(rows, rowSizes)];
        assert.deepEqual(await compareInOrder(batched(walk), batched(pages), standards), whole);
        const inRounds: Differing[] = [];
        for (let left = 1; left > 0;) {
          const round = { ...standards, indexAfter: inRounds.at(-1)?.path ?? null, indexMax: fileSizes[0] ?? 1 };
          const { toIndex, differing, missing } = await compareInOrder(batched(walk), batched(pages), round);
          inRounds.push(...toIndex);
          left = differing - toIndex.length;
          assert.deepEqual(missing, whole.missing);
        }
        assert.deepEqual(inRounds, whole.toIndex, 'in rounds');
      },
    ),
    { numRuns: 500 },
  ); // prettier-ignore
});

test('rows of an index come in the order that walks have, whatever is in their paths', async (t) => {
  const compared = new Compared(t);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(oddPath, { maxLength: 20 }), async (paths) => {
      compared.clear();
      for (const path of paths) compared.row(path);
      const files = paths.toSorted(inBytes).map((path) => walked(path));
      const { differing, missing, unchanged } = await compared.with(...files);
      assert.deepEqual([differing, missing, unchanged], [0, [], paths.length]);
    }),
    { numRuns: 50 },
  );
});

test('rows of what is in one folder are given with its own, and without those of its folders', async (t) => {
  const compared = new Compared(t);
  const folderOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf('/'), 0));
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(storedPath, { maxLength: 20 }), async (paths) => {
      compared.clear();
      for (const path of paths) compared.row(path);
      for (const folder of new Set([...paths, ...paths.map(folderOf), '', 'nothing'])) {
        const expected = paths.filter((path) => path === folder || folderOf(path) === folder);
        assert.deepEqual(await compared.rowsIn(folder), expected.toSorted(inBytes), `of ${folder}`);
      }
    }),
    { numRuns: 100 },
  );
});

test('more rows in a folder than are read at once are all given, each once, and those of its folders are passed over', async (t) => {
  const compared = new Compared(t);
  const names = Array.from({ length: 4_100 }, (_, number) => String(number).padStart(4, '0'));
  const paths = names.map((name) => `a/${name}`);
  for (const path of ['a', 'a-', ...paths, 'a0']) compared.row(path);
  for (const name of names) compared.row(`a/1000x/${name}`);
  for (const name of names) compared.row(`a/1000y/${name}/below`);
  for (const name of names) compared.row(`a-/${name}`);
  assert.deepEqual(await compared.rowsIn('a'), ['a', ...paths]);
  assert.deepEqual(await compared.rowsIn('a/1000y'), []);
  assert.deepEqual(await compared.rowsIn(''), ['a', 'a-', 'a0']);
});
