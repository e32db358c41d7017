import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extractorOf } from '#src/syntax/extractor.js';
import { languages } from '#src/syntax/language.js';

const { resolve } = createRequire(import.meta.url);

test("an extractor names the version of its grammar's package", async () => {
  const manifest = JSON.parse(await readFile(resolve('tree-sitter-json/package.json'), 'utf8')) as {
    version: string;
  };
  assert.ok(extractorOf('json').endsWith(` tree-sitter-json@${manifest.version}`), extractorOf('json'));
  assert.match(extractorOf('cpp'), /^\d+ @vscode\/tree-sitter-wasm@\d+\.\d+\.\d+/u);
});

test('every language has an extractor, and so have files without one', () => {
  const own = extractorOf(null);
  assert.match(own, /^\d+$/u);
  for (const language of languages) assert.ok(extractorOf(language).startsWith(`${own} `), language);
});
