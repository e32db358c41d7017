import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IndexListing, TrackedPaths } from '#src/reconcile/tracked-paths.js';

const part = fc.constantFrom('a', 'b', 'c.c', '\u00e9', '\uff5e', '\u{1f600}', 'line\nfeed', 'tab\t');
const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));

function foldersOf(tracked: string): string[] {
  const parts = tracked.split('/').slice(0, -1);
  return ['', ...parts.map((_part, depth) => parts.slice(0, depth + 1).join('/'))];
}

test('what git lists is what is tracked, in whatever pieces and order it comes', () => {
  const paths = fc.uniqueArray(path, { maxLength: 40 });
  fc.assert(
    fc.property(paths, paths, fc.integer({ min: 1, max: 70 }), (files, submodules, pieceBytes) => {
      const listing = new IndexListing();
      const entries = [
        ...files.map((file) => `100644 ${'0'.repeat(40)} 0\t${file}\0`),
        ...submodules.map((folder) => `160000 ${'0'.repeat(40)} 0\t${folder}\0`),
      ];
      const bytes = Buffer.from(entries.join(''));
      for (let start = 0; start < bytes.length; start += pieceBytes)
        listing.take(bytes.subarray(start, start + pieceBytes));
      const { tracked } = listing;
      tracked.seal();
      const folders = new Set([...submodules, ...[...files, ...submodules].flatMap(foldersOf)]);
      for (const asked of [...files, ...submodules, ...folders, 'none', 'a/none', '']) {
        assert.equal(tracked.has(asked), files.includes(asked), asked);
        assert.equal(tracked.hasBelow(asked), folders.has(asked), asked);
      }
    }),
  );
});

test('folders that are asked about in turn are all answered for', () => {
  const tracked = new TrackedPaths();
  const folders = Array.from({ length: 100 }, (_none, position) => `d${position}`);
  for (const folder of folders) tracked.add(`${folder}/of-${folder}`);
  tracked.seal();
  for (const folder of [...folders, ...folders.toReversed()]) {
    assert.ok(tracked.has(`${folder}/of-${folder}`));
    assert.ok(!tracked.has(`${folder}/of-another`) && !tracked.has(`${folder}/`));
  }
});
