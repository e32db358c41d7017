import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { pathInProject } from '#src/cli/paths.js';
import { jsonText, manyLines, oneLine, tableLines } from '#src/cli/text.js';

/** ESC, BEL, CSI as one character (C1), a right-to-left override, an isolate, line breaks of three kinds. */
const evil = 'a\u001b]0;b\u0007\u009b31m\u202e\u2066c\td\r\ne\u2028f';

const terminal = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u;

test('in one line nothing is left that a terminal would carry out, and it can still be told', () => {
  assert.equal(oneLine(evil), 'a\\x1b]0;b\\x07\\x9b31m\\u202e\\u2066c\\td\\r\\ne\\u2028f');
  assert.equal(oneLine('naïve 文件 🙂.py'), 'naïve 文件 🙂.py');
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !terminal.test(oneLine(text))));
});

test('text of several lines keeps its line breaks and tabs', () => {
  assert.equal(manyLines('if x:\n\treturn 1\r\n'), 'if x:\n\treturn 1\n');
  assert.equal(
    manyLines('a\rb\u001b[2Jc'),
    'a\\rb\\x1b[2Jc',
    'a lone carriage return would hide what is before it',
  );
});

test('a row of a table is one line, whatever is in its cells, and its columns are aligned', () => {
  assert.deepEqual(
    tableLines([
      ['a\nb', 'x'],
      ['c', 2],
      ['only', ''],
    ]),
    ['a\\nb  x', 'c     2', 'only'],
  );
});

test('JSON means the same, without characters that a terminal would carry out', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (value, text) => {
      const json = jsonText([value, text, evil], 2);
      assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify([value, text, evil])));
      assert.doesNotMatch(json.replaceAll('\n', ''), terminal);
    }),
  );
});

test('a path as it was shown, or relative to the project, is one in the project', () => {
  const root = join(process.cwd(), 'app');
  assert.equal(pathInProject(root, 'app/lib/a.py'), 'lib/a.py');
  assert.equal(pathInProject(root, join(root, 'lib/a.py')), 'lib/a.py');
  assert.equal(pathInProject(root, 'lib/a.py'), 'lib/a.py');
  assert.throws(() => pathInProject(root, '../a.py'), { message: /^\.\.\/a\.py is not in / });
});
