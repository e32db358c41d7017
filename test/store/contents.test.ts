import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { healContent, problemOfContent, putContent, renderContent } from '#src/store/contents.js';
import { markDeleted } from '#src/store/file-states.js';
import { beginRun, recordIntent } from '#src/store/journal.js';
import { checkContents, checkStructure } from '#src/store/maintenance.js';
import { deleteProject } from '#src/store/projects.js';
import { createParser } from '#src/syntax/parser.js';
import { decodeSource } from '#src/syntax/source.js';
import { encodeTree } from '#src/syntax/tree-codec.js';
import { addContent, addFile, addProject, countRows, damageContent, openIndex } from './index-fixture.js';

const contents = [
  '',
  'plain text\n',
  'def f():\r\n  return 1\n',
  Buffer.from([0, 1, 255, 254]),
  '\uFEFFä\u{1F600}',
];

test('a content is given out as it was stored', (t) => {
  const index = openIndex(t);
  for (const content of contents) {
    const rendering = renderContent(index, addContent(index, content));
    assert.ok('bytes' in rendering && rendering.bytes.equals(Buffer.from(content)));
    assert.equal(problemOfContent(index, rendering.sha256), null);
  }
});

test('a missing content is a result and not an exception', (t) => {
  const index = openIndex(t);
  for (const hash of [null, sha256(Buffer.from('never seen'))])
    assert.ok('problem' in renderContent(index, hash));
});

test('with any one bit flipped a content is rendered rightly or not at all', async (t) => {
  const index = openIndex(t);
  const parser = createParser();
  t.after(() => parser.close());
  const bytes = Buffer.from('class A:\n    def m(self, x):\n        return x + 1  # ä\n'.repeat(4));
  const tree = encodeTree(await parser.parse(decodeSource(bytes), 'python'));
  const hash = sha256(bytes);
  putContent(index, { sha256: hash, size: bytes.length, tree, extractor: null }, 1);
  let refused = 0;
  for (let bit = 0; bit < tree.length * 8; bit += 3) {
    damageContent(index, hash, bit);
    const rendering = renderContent(index, hash);
    // The proof without a tree says the same.
    assert.equal(problemOfContent(index, hash) === null, 'bytes' in rendering, `bit ${bit}`);
    if ('problem' in rendering) refused += 1;
    else assert.ok(rendering.bytes.equals(bytes), `bit ${bit}`);
    damageContent(index, hash, bit);
  }
  assert.ok(refused > (tree.length * 8 * 0.9) / 3, `only ${refused} were seen`);
});

test('a tree of another content is refused', (t) => {
  const index = openIndex(t);
  const [first, second] = [addContent(index, 'first'), addContent(index, 'second')];
  index
    .sql('UPDATE contents SET tree = (SELECT tree FROM contents WHERE sha256 = ?) WHERE sha256 = ?')
    .run(second, first);
  assert.ok('problem' in renderContent(index, first));
});

test('the deep check names exactly the damaged contents', async (t) => {
  const index = openIndex(t);
  const hashes = Array.from({ length: 45 }, (_, number) => addContent(index, `content ${number}`));
  assert.deepEqual(await checkContents(index), { problems: [], damaged: [], checked: 45 });
  const [first = '', , third = ''] = hashes;
  damageContent(index, first, 100);
  damageContent(index, third, 100);
  const { problems, checked } = await checkContents(index);
  assert.equal(checked, 45);
  assert.deepEqual(
    new Set(problems.map((problem) => /content (\w+):/u.exec(problem)?.[1])),
    new Set([first, third]),
  );
  assert.deepEqual(checkStructure(index), [], "SQLite's own check does not see it");
});

test('a deep check ends when it is aborted', async (t) => {
  const index = openIndex(t);
  addContent(index, 'x');
  await assert.rejects(checkContents(index, AbortSignal.abort(new Error('stopped'))), /stopped/);
});

test('a content is never replaced, except to heal it', (t) => {
  const index = openIndex(t);
  const hash = addContent(index, 'true');
  const other = { sha256: hash, size: 1, extractor: null, tree: Buffer.from('other') };
  putContent(index, other, 2);
  assert.ok('bytes' in renderContent(index, hash));
  damageContent(index, hash, 90);
  assert.ok('problem' in renderContent(index, hash));
  const row = openIndex(t);
  addContent(row, 'true');
  const good = row.sql<[], { tree: Buffer }>('SELECT tree FROM contents').get();
  healContent(index, { sha256: hash, size: 4, tree: good?.tree ?? Buffer.alloc(0), extractor: null }, 3);
  assert.ok('bytes' in renderContent(index, hash));
});

test('removing a project or a row keeps contents and journal', (t) => {
  const index = openIndex(t);
  const id = addProject(index);
  const hash = addContent(index, 'kept');
  markDeleted(index, addFile(index, id, 'a', { sha256: hash }), 'unseen', 1);
  const fileId = addFile(index, id, 'b', { sha256: hash });
  const run = { runId: 'r', projectId: id };
  beginRun(index, { ...run, origin: 'command', rootDir: '/r', versionDir: '/v' }, 1);
  recordIntent(index, run, {
    id: fileId,
    path: 'b',
    verdict: 'set_deleted',
    targets: [],
    cause: 'repair',
    sha256: hash,
  });
  deleteProject(index, id);
  const left = (tables: string[]): number[] => tables.map((table) => countRows(index, table));
  assert.deepEqual(left(['projects', 'files', 'file_counts']), [0, 0, 0]);
  assert.deepEqual(left(['contents', 'repair_runs', 'repair_actions']), [1, 1, 1]);
  assert.ok('bytes' in renderContent(index, hash));
});
