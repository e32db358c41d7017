import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLanguage, languageOf, languages } from '#src/syntax/language.js';
import type { Language } from '#src/syntax/language.js';

test('the extension tells the language, in any case', () => {
  const expected: Record<string, Language> = {
    'a.py': 'python',
    'a.pyi': 'python',
    'src/a.ts': 'typescript',
    'a.d.ts': 'typescript',
    'a.mts': 'typescript',
    'a.cts': 'typescript',
    'a.tsx': 'tsx',
    'a.js': 'javascript',
    'a.jsx': 'javascript',
    'a.mjs': 'javascript',
    'a.cjs': 'javascript',
    'a.go': 'go',
    'a.rs': 'rust',
    'A.java': 'java',
    'a.c': 'c',
    'a.h': 'c',
    'a.hpp': 'cpp',
    'a.cc': 'cpp',
    'A.CS': 'csharp',
    'a.rb': 'ruby',
    'a.php': 'php',
    'a.sh': 'shell',
    'a.bash': 'shell',
    'a.css': 'css',
    'package.json': 'json',
    'setup.cfg': 'ini',
  };
  for (const [path, language] of Object.entries(expected)) assert.equal(languageOf(path), language, path);
});

test('some file names tell the language', () => {
  assert.equal(languageOf('lib/Rakefile'), 'ruby');
  assert.equal(languageOf('Gemfile'), 'ruby');
  assert.equal(languageOf('home/.bashrc'), 'shell');
});

test('without an extension the shebang tells the language', () => {
  assert.equal(languageOf('bin/run', '#!/bin/sh\n'), 'shell');
  assert.equal(languageOf('bin/run', '#!/usr/bin/env python3.11\r\nimport os'), 'python');
  assert.equal(languageOf('bin/run', '#! /usr/bin/env -S A=1 node --x'), 'javascript');
  assert.equal(languageOf('bin/run', 'python'), null);
  assert.equal(languageOf('bin/run', '#!'), null);
});

test('a name that says something is not overruled by a shebang', () => {
  assert.equal(languageOf('a.rb', '#!/bin/sh'), 'ruby');
  assert.equal(languageOf('notes.txt', '#!/bin/sh'), null);
});

test('unknown names have no language', () => {
  for (const path of ['', '/', 'LICENSE', 'a.unknown', '.hidden', 'dir.py/file', 'a.constructor']) {
    assert.equal(languageOf(path), null, path);
  }
});

test('language names are told from other words', () => {
  assert.ok(languages.every(isLanguage));
  assert.equal(isLanguage('constructor'), false);
});
