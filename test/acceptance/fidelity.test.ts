import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { type Daemon, type Project, type RepairReport, versionPath } from '../harness/daemon.js';
import { type FileSpec, Sandbox } from '../harness/sandbox.js';
import { filesOf, type TreeEntry } from '../harness/trees.js';

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

/** Files that lose a byte wherever text is taken for more than bytes, named by what is special about them. */
const files: Record<string, FileSpec> = {
  'crlf.py': 'def a():\r\n    return 1\r\n',
  'lone-cr.py': 'a = 1\rb = 2\r',
  'mixed-ends.ts': 'const a = 1;\r\nconst b = 2;\rconst c = 3;\n',
  'bom.ts': '\uFEFFexport const a = 1;\n',
  'bom.py': '\uFEFFa = 1\n',
  'only-bom.json': '\uFEFF',
  'bom-in-the-middle.ts': 'const a = "\uFEFF";\n',
  'utf16.ts': Buffer.from('\uFEFFconst a = 1;\n', 'utf16le'),
  'empty.py': '',
  'empty.unknown': '',
  'no-final-newline.ts': 'export const a = 1;',
  'only-newlines.py': '\n\n\n',
  'only-blanks.ts': ' \t \n  ',
  'invalid-utf8.py': Buffer.concat([
    Buffer.from('s = "'),
    Buffer.from([0xff, 0xfe, 0xc3, 0x28]),
    Buffer.from('"\n'),
  ]),
  'overlong.js': Buffer.from([0x61, 0x3d, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0x0a]),
  'latin1.c': Buffer.from('/* caf\u00e9 */ int a;\n', 'latin1'),
  'every-byte.bin': everyByte,
  'every-byte.py': everyByte,
  'nul.py': 'a = "\0"\n\0\n',
  'nul-only.txt': '\0\0\0',
  'form-feed.py': 'a = 1\n\f\nb = 2\v\n',
  'separators.js': 'const a = "\u2028\u2029\u0085";\n',
  'astral.py': '# 🙂 \u{10FFFF} e\u0301 \uFFFD\ns = "𝒳"\n',
  'broken.py': 'def (:\n  class\n\treturn )]}\n',
  'broken.ts': 'export class { function ( => {{{ "unclosed\n',
  'broken.go': 'package\nfunc ( { := }\n',
  'broken.rs': 'fn (((\n  let = ;; }\n',
  'broken.java': 'public class { void ( }\n',
  'broken.json': '{"a": [1, 2,, }',
  'broken.css': 'a { color: ; } }} @media {\n',
  'broken.sh': 'if [ ; then fi <<EOF\n',
  'broken.c': '#if\nint main( { /* never closed\n',
  'broken.php': '<?php function ( { ?> <b> <?php',
  'broken.rb': 'def \n end end "#{\n',
  'broken.cs': 'class { int get => \n',
  'heredoc.sh': "cat <<'EOF'\n\ttext\nEOF\n",
  'long-line.js': `const a = [${'1,'.repeat(50_000)}];\n`,
  'long-line.txt': 'x'.repeat(100_000),
  'deep.json': '['.repeat(5_000) + ']'.repeat(5_000),
  'deep-parens.py': `a = ${'('.repeat(900)}1${')'.repeat(900)}\n`,
  'no-extension': 'text\n',
  script: '#!/usr/bin/env python3\nprint(1)\n',
  'executable.sh': { content: '#!/bin/sh\necho\n', mode: 0o755 },
  'private.py': { content: 'a = 1\n', mode: 0o600 },
  'read-only.py': { content: 'b = 1\n', mode: 0o444 },
  'set-id.sh': { content: '#!/bin/sh\n', mode: 0o6755 },
  'closed.py': { content: 'c = 1\n', mode: 0o000 },
  [`${'d/'.repeat(100)}deep.py`]: 'a = 1\n',
  'a name with spaces.py': 'a = 1\n',
  'quote\'s "and" more.py': 'a = 1\n',
  'new\nline.py': 'a = 1\n',
  'tab\tand\\backslash.py': 'a = 1\n',
  'ünï/cödé-名前-🙂.py': 'a = 1\n',
  'e\u0301.py': 'decomposed = 1\n',
  'é.py': 'composed = 1\n',
  'glob*[a]?{b}.py': 'a = 1\n',
  '-leading-dash.py': 'a = 1\n',
  '$HOME`x`.py': 'a = 1\n',
  '%2e%2e.py': 'a = 1\n',
  '...': 'dots\n',
  'trailing. ': 'a = 1\n',
  ['__proto__']: 'a\n',
  '.hidden/.dot.py': 'a = 1\n',
  ['n'.repeat(250) + '.py']: 'a = 1\n',
};

suite('every file is lost and restored exactly', () => {
  const sandbox = Sandbox.ofSuite();
  let daemon: Daemon;
  let project: Project;
  let original: Map<string, TreeEntry>;
  let report: RepairReport;

  before(async () => {
    const root = await sandbox.project(files);
    original = filesOf(root);
    daemon = await sandbox.startDaemon({ config: { autostart: [] } });
    project = await daemon.addProject(root);
  });

  test('all are indexed, and rendered as they are on disk', async () => {
    const { project_id } = project;
    assert.deepEqual((await daemon.paths(project_id, false, 7)).sort(), [...original.keys()].sort());
    for (const [path, { content: hash }] of original) {
      const { sha256, encoding, content, size } = await daemon.call('get_file', { project_id, path });
      assert.deepEqual([sha256, Buffer.from(content, encoding).length], [hash, size], path);
    }
  });

  test('what is not UTF-8 comes as base64, everything else as text', async () => {
    const encodingOf = async (path: string): Promise<string> =>
      (await daemon.call('get_file', { project_id: project.project_id, path })).encoding;
    for (const path of ['invalid-utf8.py', 'every-byte.bin', 'latin1.c'])
      assert.equal(await encodingOf(path), 'base64', path);
    for (const path of ['crlf.py', 'bom.ts', 'astral.py', 'empty.py'])
      assert.equal(await encodingOf(path), 'utf8', path);
  });

  test('all are lost, and planned to come back', async () => {
    for (const path of original.keys()) rmSync(join(project.root_dir, path));
    report = await daemon.repair({ project_id: project.project_id, dry_run: true });
    assert.deepEqual(
      report.files_restored_from_cst.map(({ path }) => path).sort(),
      [...original.keys()].sort(),
    );
    assert.deepEqual([report.unrestorable, report.conflicts, report.unknown], [[], [], []]);
  });

  for (const name of Object.keys(files)) {
    // Restored by the first of these tests, all at once.
    test(`${JSON.stringify(name.length > 60 ? `${name.slice(0, 40)}...` : name)} comes back`, async () => {
      if (report.dry_run) report = await daemon.repair({ project_id: project.project_id });
      assert.deepEqual(report.errors, []);
      assert.deepEqual(filesOf(project.root_dir, ['data']).get(name), original.get(name), 'in the project');
      assert.deepEqual(filesOf(versionPath(project)).get(name), original.get(name), 'in versions');
    });
  }

  test('nothing else came', () => {
    assert.deepEqual(filesOf(project.root_dir, ['data']), original);
  });

  test('a second run has no actions, and nothing looks changed to the index', async () => {
    const again = await daemon.repair({ project_id: project.project_id });
    assert.deepEqual([again.totals['ok'], again.totals['checked']], [original.size, original.size]);
    const update = await daemon.call('update_indexes', { project_id: project.project_id });
    assert.ok('files_changed' in update);
    assert.deepEqual([update.files_added, update.files_changed, update.files_deleted], [0, 0, 0]);
  });
});

test('a file that is too large is tracked, and said not to be restorable', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'small.py': 'a = 1\n', 'large.py': `# ${'x'.repeat(5_000)}\n` });
  const daemon = await sandbox.startDaemon({ config: { autostart: [], max_file_bytes: 4_096 } });
  const project = await daemon.addProject(root);
  const { files: counts } = await daemon.call('get_project_status', { root_dir: root });
  assert.deepEqual([counts.active, counts.not_restorable], [2, 1]);
  rmSync(join(root, 'large.py'));
  rmSync(join(root, 'small.py'));
  const { unrestorable, files_restored_from_cst } = await daemon.repair({ root_dir: root });
  assert.deepEqual(
    files_restored_from_cst.map(({ path }) => path),
    ['small.py'],
  );
  assert.deepEqual(
    unrestorable.map(({ path }) => path),
    ['large.py'],
  );
  assert.match(unrestorable[0]?.reason ?? '', /max_file_bytes/);
  assert.deepEqual(await daemon.paths(project.project_id), ['large.py', 'small.py'], 'its row is kept');
});
