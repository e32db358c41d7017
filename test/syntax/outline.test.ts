import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outline, outlineDepthMax, outlineNodesMax, outlineTextLengthMax } from '#src/syntax/outline.js';
import type { AstNode } from '#src/syntax/outline.js';
import { oddContents, treeOf } from './fixtures.js';

function countOf(root: AstNode): number {
  let count = 0;
  const left = [root];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    count++;
    left.push(...(node.children ?? []));
  }
  return count;
}

test('named nodes with their lines, fields and texts, without trivia and punctuation', async () => {
  assert.deepEqual(outline(await treeOf('# c\nf(1)\n', 'python'), 10), {
    kind: 'module',
    start_line: 1,
    end_line: 2,
    children: [
      { kind: 'comment', start_line: 1, end_line: 1, text: '# c' },
      {
        kind: 'expression_statement',
        start_line: 2,
        end_line: 2,
        children: [
          {
            kind: 'call',
            start_line: 2,
            end_line: 2,
            children: [
              { kind: 'identifier', start_line: 2, end_line: 2, field: 'function', text: 'f' },
              {
                kind: 'argument_list',
                start_line: 2,
                end_line: 2,
                field: 'arguments',
                children: [{ kind: 'integer', start_line: 2, end_line: 2, text: '1' }],
              },
            ],
          },
        ],
      },
    ],
  });
});

test('below the asked depth nodes are left out and marked', async () => {
  const tree = await treeOf('f(1)\n', 'python');
  assert.deepEqual(outline(tree, 0), { kind: 'module', start_line: 1, end_line: 1, truncated: true });
  assert.deepEqual(outline(tree, 1).children, [
    { kind: 'expression_statement', start_line: 1, end_line: 1, truncated: true },
  ]);
});

test('a file without a grammar is one node with the beginning of its text', async () => {
  const root = outline(await treeOf('x'.repeat(1_000), null), 5);
  assert.deepEqual(root, {
    kind: 'text',
    start_line: 1,
    end_line: 1,
    text: 'x'.repeat(outlineTextLengthMax),
  });
});

test('the number of nodes is bounded, and where it was cut is marked', async () => {
  const root = outline(await treeOf('a\n'.repeat(outlineNodesMax), 'python'), 5);
  assert.equal(countOf(root), outlineNodesMax);
  assert.ok(JSON.stringify(root).includes('"truncated":true'));
});

test('nesting beyond the bound is cut whatever depth is asked for', async () => {
  const root = outline(await treeOf('['.repeat(20_000) + ']'.repeat(20_000), 'json'), Infinity);
  let depth = 0;
  for (let node = root; node.children?.[0] !== undefined; node = node.children[0]) depth++;
  assert.equal(depth, outlineDepthMax);
});

test('odd contents have an outline', async () => {
  for (const bytes of Object.values(oddContents)) {
    assert.ok(JSON.stringify(outline(await treeOf(bytes, 'javascript'), 50)).length > 0);
  }
});
