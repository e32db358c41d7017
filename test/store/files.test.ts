import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clearDeleted, forgetFolder, markDeleted, markIgnored, restampFile } from '#src/store/file-states.js';
import {
  activeFilesBelow,
  countFiles,
  type FileKind,
  type FilePage,
  fileByPath,
  pageOfFiles,
  requireFile,
  setMoved,
} from '#src/store/files.js';
import { deleteProject } from '#src/store/projects.js';
import { addFile, addProject, openIndex } from './index-fixture.js';

const oddNames = [
  '%',
  '_',
  'a%b',
  'a_b',
  "a'b",
  'a"b',
  '[a]',
  '*',
  '?',
  'ä',
  'A',
  'a',
  'a b',
  'é',
  '\u{1F600}',
  '\uFF01',
];
const odd = [...oddNames, ...oddNames.map((name) => `${name}/x`), 'a-b', 'a.b', 'a0', 'a/b/c', 'ab/c'];

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const page = (given: Partial<FilePage>): FilePage => ({
  filter: 'all',
  prefix: '',
  after: '',
  limit: 1_000,
  ...given,
});

test('pages follow each other in the order of bytes, and hold every path once', (t) => {
  const index = openIndex(t);
  const id = addProject(index);
  for (const path of odd) addFile(index, id, path);
  for (const path of ['a', 'other']) addFile(index, addProject(index), path);
  for (const limit of [1, 2, 3, 7, 100]) {
    const paths: string[] = [];
    for (let after = ''; ;) {
      const rows = pageOfFiles(index, id, page({ after, limit }));
      paths.push(...rows.map((row) => row.path));
      if (rows.length < limit) break;
      after = rows.at(-1)?.path ?? '';
    }
    assert.deepEqual(paths, [...new Set(odd)].sort(byBytes), `limit ${limit}`);
  }
});

test('a prefix is text and no pattern, with any cursor', (t) => {
  const index = openIndex(t);
  const id = addProject(index);
  for (const path of odd) addFile(index, id, path);
  const given = fc.constantFrom('', ...odd, 'b', 'a/', '\u{1F600}/');
  fc.assert(
    fc.property(given, given, fc.integer({ min: 1, max: 8 }), (prefix, after, limit) => {
      const expected = [...new Set(odd)]
        .filter((path) => path.startsWith(prefix) && (after === '' || byBytes(path, after) > 0))
        .sort(byBytes)
        .slice(0, limit);
      const rows = pageOfFiles(index, id, page({ prefix, after, limit }));
      assert.deepEqual(
        rows.map((row) => row.path),
        expected,
      );
    }),
    { numRuns: 1_000 },
  );
});

test('pages and counts tell deleted rows from others', (t) => {
  const index = openIndex(t);
  const id = addProject(index);
  const ids = ['a', 'b', 'c'].map((path) => addFile(index, id, path, { sha256: path === 'a' ? null : 'h' }));
  markDeleted(index, ids[1] ?? 0, 'unseen', 5);
  const paths = (filter: FilePage['filter']): string[] =>
    pageOfFiles(index, id, page({ filter })).map((row) => row.path);
  assert.deepEqual([paths('all'), paths('active'), paths('deleted')], [['a', 'b', 'c'], ['a', 'c'], ['b']]);
  assert.deepEqual(countFiles(index, id), {
    total: 3,
    active: 2,
    deleted: 1,
    ignored: 0,
    notRestorable: 1,
    withoutCopy: 0,
    linked: 0,
    chunks: 0,
  });
  assert.equal(fileByPath(index, id, 'b')?.deletedAt, 5);
  clearDeleted(index, ids[1] ?? 0, 'restore', 6);
  assert.equal(fileByPath(index, id, 'b')?.deletedAt, null);
});

test('what is counted as rows come, change and go is what counting them gives', (t) => {
  const index = openIndex(t);
  const ids = [addProject(index), addProject(index)];
  const path = fc.constantFrom('a', 'b', 'c', 'd');
  const row = fc.record({
    sha256: fc.constantFrom(null, 'h', 'lost'),
    nlink: fc.constantFrom(1, 2),
    kind: fc.constantFrom<FileKind>('file', 'symlink', 'folder'),
    chunks: fc.nat(5),
  });
  const change = fc.oneof(
    fc.record({ do: fc.constant('write' as const), path, row }),
    fc.record({ do: fc.constantFrom('delete', 'due', 'return', 'ignore', 'move', 'forget'), path }),
  );
  index.sql("INSERT INTO damaged_contents VALUES ('lost', '', 1)").run();
  const counted = (id: string): unknown =>
    index
      .sql(
        `SELECT count(*) AS total, count(*) FILTER (WHERE deleted = 0 AND ignored = 0) AS active,
           count(*) FILTER (WHERE deleted = 1) AS deleted, count(*) FILTER (WHERE ignored = 1) AS ignored,
           count(*) FILTER (WHERE deleted = 1 AND copy_problem IS NOT NULL) AS withoutCopy,
           count(*) FILTER (WHERE nlink > 1 AND deleted = 0 AND ignored = 0 AND kind = 'file') AS linked,
           coalesce(sum(chunks) FILTER (WHERE deleted = 0 AND ignored = 0), 0) AS chunks,
           count(*) FILTER (WHERE NOT (sha256 IS NOT NULL AND sha256 <> 'lost' OR moved_sha256 IS NOT NULL
             OR kind = 'folder')) AS notRestorable FROM files WHERE project_id = ?`,
      )
      .get(id);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...ids), change), { maxLength: 30 }), (changes) => {
      for (const [id, one] of changes) {
        const known = fileByPath(index, id, one.path)?.id ?? 0;
        if ('row' in one) addFile(index, id, one.path, one.row);
        else if (one.do === 'delete') markDeleted(index, known, 'seen', 1);
        else if (one.do === 'due') markDeleted(index, known, 'seen', 1, 'no room');
        else if (one.do === 'return') clearDeleted(index, known, 'restore', 1);
        else if (one.do === 'ignore') markIgnored(index, known, 1);
        else if (one.do === 'move') setMoved(index, known, 'elsewhere');
        else forgetFolder(index, known, 1);
      }
      for (const id of ids) assert.deepEqual({ ...countFiles(index, id) }, counted(id));
    }),
  );
  deleteProject(index, ids[0] ?? '');
  assert.equal(countFiles(index, ids[0] ?? '').total, 0);
});

test('what is below a folder does not only begin like it', (t) => {
  const index = openIndex(t);
  const id = addProject(index);
  for (const path of odd) addFile(index, id, path);
  const below = (folder: string): string[] =>
    activeFilesBelow(index, id, folder)
      .map((row) => row.path)
      .sort(byBytes);
  assert.deepEqual(below('a'), ['a/b/c', 'a/x']);
  assert.deepEqual(below('%'), ['%/x']);
  assert.deepEqual(below('\u{1F600}'), ['\u{1F600}/x']);
});

test('64-bit numbers come back as they were given', (t) => {
  const index = openIndex(t);
  const id = addProject(index);
  const stamp = {
    size: 7,
    mtimeNs: '1893456000123456789',
    ctimeNs: '1893456000123456788',
    ino: '9223372036854775807',
    nlink: 2,
    mode: 0o4755,
    uid: 4_294_967_294,
    gid: 1,
    deviceId: 3,
  };
  const fileId = addFile(index, id, 'a', stamp);
  const row = requireFile(index, id, 'a');
  assert.deepEqual({ ...row, ...stamp }, row);
  restampFile(index, fileId, { ...stamp, xattrs: null, dev: '1', mtimeNs: '-1', ctimeNs: '-2' }, 1);
  const { mtimeNs, ctimeNs } = requireFile(index, id, 'a');
  assert.deepEqual([mtimeNs, ctimeNs], ['-1', '-2']);
});

test('a file that the index does not know is said to be so', (t) => {
  const index = openIndex(t);
  assert.throws(() => requireFile(index, addProject(index), 'a'), { code: 'FILE_NOT_FOUND' });
});
