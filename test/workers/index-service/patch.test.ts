import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { type Patch, patchOf, type Side } from '#src/workers/index-service/patch.js';
import { newFolder } from '../../harness/folder.js';

const folder = newFolder();
after(() => rmSync(folder, { recursive: true }));

function place(root: string, side: Side | null): void {
  if (side === null) return;
  const path = join(root, side.path);
  mkdirSync(dirname(path), { recursive: true });
  if (side.kind === 'symlink') symlinkSync(side.bytes, path);
  else {
    writeFileSync(path, side.bytes);
    chmodSync(path, side.mode);
  }
}

function found(root: string, path: string): Pick<Side, 'kind' | 'bytes'> & { isExecutable: boolean } {
  const stat = lstatSync(join(root, path));
  if (stat.isSymbolicLink())
    return {
      kind: 'symlink',
      bytes: readlinkSync(join(root, path), { encoding: 'buffer' }),
      isExecutable: false,
    };
  return {
    kind: 'file',
    bytes: readFileSync(join(root, path)),
    isExecutable: (stat.mode & 0o100) !== 0,
  };
}

const programs = { git: ['git', 'apply', '--whitespace=nowarn'], patch: ['patch', '-p1', '--silent'] };

/** Applies the patch to a folder that has the earlier state, and looks whether it has the later one then. */
function assertApplies(
  [command = '', ...args]: readonly string[],
  before: Side | null,
  later: Side | null,
  { text }: Patch,
): void {
  const root = join(folder, 'project');
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  place(root, before);
  const { status, stderr, stdout } = spawnSync(command, args, { cwd: root, input: text, encoding: 'utf8' });
  assert.equal(status, 0, `${stderr}${stdout}\n${text}`);
  if (later === null) assert.equal(existsSync(join(root, before?.path ?? '')), false);
  else {
    const { kind, bytes, mode } = later;
    const isExecutable = kind === 'file' && (mode & 0o100) !== 0;
    assert.deepEqual(found(root, later.path), { kind, bytes, isExecutable }, text);
  }
  if (before !== null && before.path !== later?.path)
    assert.equal(existsSync(join(root, before.path)), false);
}

/** Few different lines, so that many of both are alike; also what no text of Unix has. */
const line = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    'b',
    '-- a',
    '++ b',
    '@@ -1 +1 @@',
    '\\ No newline',
    ' ',
    '\t',
    'é𝄞',
    '\u2028',
    '\f',
  ),
  fc.string({ unit: 'binary' }).filter((text) => !/[\n\0]/u.test(text) && text.isWellFormed()),
);
const ending = fc.constantFrom('\n', '\n', '\n', '\r\n', '\r');
const content = fc
  .array(fc.tuple(line, ending), { maxLength: 30 })
  .chain((lines) =>
    fc
      .boolean()
      .map((isEnded) =>
        lines.map(([text, end], at) => (at < lines.length - 1 || isEnded ? text + end : text)),
      ),
  )
  .map((lines) => Buffer.from(lines.join('')));
const name = fc.constantFrom('a.py', 'lib/with space.py', 'dir with space/x', 'é/ü.txt', 'a "quoted\\" \t\n');
const side = fc.record({
  path: name,
  kind: fc.constant('file' as const),
  mode: fc.constantFrom(0o644, 0o755, 0o600),
  bytes: content,
});

test('git apply makes of the earlier state exactly the later one', async () => {
  const sides = fc.tuple(fc.option(side, { freq: 8 }), fc.option(side, { freq: 8 }), fc.boolean());
  await fc.assert(
    fc.asyncProperty(sides, async ([before, to, isRenamed]) => {
      const later = to === null || before === null || isRenamed ? to : { ...to, path: before.path };
      fc.pre(!isDeepStrictEqual(before, later));
      const patch = await patchOf(before, later);
      assert.ok(patch !== null);
      assertApplies(programs.git, before, later, patch);
    }),
    { numRuns: 150 },
  );
});

const file = (path: string, text: string, mode = 0o644): Side => ({
  path,
  kind: 'file',
  mode,
  bytes: Buffer.from(text),
});
const numbered = (count: number, word: string): string =>
  Array.from({ length: count }, (_none, at) => `${word} ${at}\n`).join('');

const examples: Record<string, [before: Side | null, later: Side | null]> = {
  'an edit of a name with spaces': [file('a b/c d.py', 'a\nb\n'), file('a b/c d.py', 'a\nc\n')],
  'no line break at the end any more': [file('a', 'a\r\nb\r\n'), file('a', 'a\r\nb')],
  'a line break at the end': [file('a', 'a'), file('a', 'a\n')],
  'what was empty': [file('a', ''), file('a', 'a\n')],
  'what is empty now': [file('a', 'a\n'), file('a', '')],
  'an executable one that comes': [null, file('bin/a', '#!/bin/sh\n', 0o755)],
  'one that goes': [file('a', 'a\nb'), null],
  'more lines than the least difference is looked for in': [
    file('a', `begin\n${numbered(1_500, 'old')}end\n`),
    file('a', `begin\n${numbered(1_600, 'new')}end\n`),
  ],
  'as many, and nothing is alike': [
    file('a', numbered(1_500, 'old').trimEnd()),
    file('a', numbered(1_500, 'new')),
  ],
};

for (const [title, [before, later]] of Object.entries(examples))
  test(`git apply and patch -p1 both apply it: ${title}`, async () => {
    const patch = await patchOf(before, later);
    assert.ok(patch !== null);
    for (const command of Object.values(programs)) assertApplies(command, before, later, patch);
  });

const link: Side = { path: 'a', kind: 'symlink', mode: 0o777, bytes: Buffer.from('target/é') };

test('git applies what becomes executable, empty, renamed or a symlink', async () => {
  for (const [before, later] of [
    [file('a', 'a\n'), file('a', 'a\n', 0o755)],
    [null, file('a', '')],
    [file('a', '', 0o755), null],
    [file('a', 'a\nb\n'), file('lib/b', 'a\nc\n', 0o755)],
    [file('a', 'a\n'), link],
    [link, file('a', 'a\n')],
    [link, { ...link, bytes: Buffer.from('other') }],
  ] as const) {
    const patch = await patchOf(before, later);
    assert.ok(patch !== null);
    assertApplies(programs.git, before, later, patch);
  }
});

test('it is headed as git heads it, with what changed and how much', async () => {
  const before = file('lib/a.py', 'a\nb\nc\nd\ne\n', 0o644);
  assert.deepEqual(await patchOf(before, file('lib/a.py', 'a\nb\nc\nd\nx', 0o755)), {
    text: `diff --git a/lib/a.py b/lib/a.py
old mode 100644
new mode 100755
--- a/lib/a.py
+++ b/lib/a.py
@@ -2,4 +2,4 @@
 b
 c
 d
-e
+x
\\ No newline at end of file
`,
    addedLines: 1,
    removedLines: 1,
  });
  const gone = await patchOf(before, null);
  assert.match(
    gone?.text ?? '',
    /^deleted file mode 100644\n--- a\/lib\/a\.py\n\+\+\+ \/dev\/null\n@@ -1,5 \+0,0 @@$/mu,
  );
  const changed = await patchOf(before, { ...before, mode: 0o600 });
  assert.match(changed?.text ?? '', /^old mode 100644\nnew mode 100600$/mu);
});

test('what is no text has no patch', async () => {
  const latin1 = { ...file('a', ''), bytes: Buffer.from('é', 'latin1') };
  assert.equal(await patchOf(file('a', 'a'), latin1), null);
  assert.equal(await patchOf(file('a', 'a\0b'), null), null);
});
