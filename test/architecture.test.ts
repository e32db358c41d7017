import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** The direction of imports and the size of files, as the design has them; see src/README.md's code map. */

const root = fileURLToPath(new URL('..', import.meta.url));
const src = join(root, 'src');
const fileLinesMax = 400;

interface Import {
  from: string;
  /** A file of src, relative to it, or the name of a package. */
  to: string;
  typeOnly: boolean;
  dynamic: boolean;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .sort();
const texts = new Map(files.map((file) => [file, readFileSync(join(src, file), 'utf8')]));

const statement = /^(?:import|export)\s+(?<type>type\s)?(?<names>[^'"`;]*?from\s*)?'(?<to>[^']+)'/gmu;
const call = /\bimport\(\s*'(?<to>[^']+)'/gu;

function resolved(from: string, to: string): string {
  return to.startsWith('.') ? normalize(join(dirname(from), to)).replace(/\.js$/u, '.ts') : to;
}

function importsOf(file: string): Import[] {
  const text = texts.get(file) ?? '';
  const found: Import[] = [];
  for (const { groups } of text.matchAll(statement)) {
    const names = groups?.['names'] ?? '';
    const listed = /\{(?<list>[^}]*)\}/u.exec(names)?.groups?.['list'] ?? '';
    const everyName = listed.split(',').filter((name) => name.trim() !== '');
    const typeOnly =
      groups?.['type'] !== undefined ||
      (everyName.length > 0 && everyName.every((name) => name.trim().startsWith('type ')));
    found.push({ from: file, to: resolved(file, groups?.['to'] ?? ''), typeOnly, dynamic: false });
  }
  for (const { groups } of text.matchAll(call))
    found.push({ from: file, to: resolved(file, groups?.['to'] ?? ''), typeOnly: false, dynamic: true });
  return found;
}

const imports = files.flatMap(importsOf);
const inner = imports.filter(({ to }) => texts.has(to));
const layerOf = (file: string): string => (file.includes('/') ? file.slice(0, file.indexOf('/')) : file);
const say = ({ from, to }: Import): string => `${from} imports ${to}`;

/** What a layer may import of others; its own files it always may. */
const allowed: Record<string, readonly string[]> = {
  contract: [],
  base: [],
  syntax: [],
  rpc: ['contract', 'base'],
  store: ['base', 'syntax'],
  reconcile: ['store', 'base', 'syntax'],
  embedding: ['base'],
  search: ['store', 'syntax', 'embedding', 'base'],
  workers: ['contract', 'base', 'syntax', 'rpc', 'store', 'reconcile', 'embedding', 'search'],
  supervisor: ['rpc', 'contract', 'base'],
  cli: ['contract', 'base', 'rpc/client/client.ts'],
  daemon: ['supervisor', 'rpc', 'contract', 'base', 'store/lock.ts'],
  'worker.ts': ['workers', 'base'],
  'cli.ts': ['cli', 'contract', 'base'],
};

test('the parser of this test sees the imports that there are', () => {
  assert.ok(inner.length > 150, `only ${inner.length}`);
  const unknown = imports.filter(({ to }) => to.endsWith('.ts') && !texts.has(to));
  assert.deepEqual(unknown.map(say), []);
});

test('every layer is known', () => {
  const layers = [...new Set(files.map(layerOf))];
  assert.deepEqual(
    layers.filter((layer) => allowed[layer] === undefined),
    [],
  );
});

test('imports go one way', () => {
  const wrong = inner.filter(({ from, to, dynamic, typeOnly }) => {
    const layer = layerOf(from);
    if (layer === layerOf(to)) return false;
    // What processes say to each other is the contract's, as far as it has a name there.
    if (from === 'base/ipc.ts' && layerOf(to) === 'contract') return !typeOnly;
    // The command line starts the daemon in its own process, and loads it only then.
    if (to === 'daemon/daemon.ts') return !((dynamic || typeOnly) && from === 'cli/serve.ts');
    return !(allowed[layer] ?? []).some((name) => name === to || to.startsWith(`${name}/`));
  });
  assert.deepEqual(wrong.map(say), []);
});

test('the plan of a repair can do nothing: it imports types only', () => {
  const loaded = inner.filter(({ from, typeOnly }) => from === 'reconcile/repair/plan.ts' && !typeOnly);
  assert.deepEqual(loaded.map(say), []);
});

test('only store imports better-sqlite3', () => {
  const users = imports.filter(({ to }) => to === 'better-sqlite3').map(({ from }) => layerOf(from));
  assert.deepEqual([...new Set(users)], ['store']);
});

test('a worker that starts loads no schemas: zod takes as long as half of the rest', () => {
  const workers = inner.filter(({ from }) => from === 'worker.ts').map(({ to }) => to);
  const loaded = new Set(workers);
  for (const file of loaded)
    for (const { from, to, typeOnly, dynamic } of imports)
      if (from === file && !typeOnly && !dynamic) loaded.add(to);
  assert.ok(loaded.has('workers/index-service/index-service.ts') && loaded.has('better-sqlite3'));
  assert.ok(!loaded.has('zod'));
});

test('no import is circular', () => {
  const next = new Map<string, string[]>();
  for (const { from, to, typeOnly, dynamic } of inner)
    if (!typeOnly && !dynamic) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): string[] => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const target of next.get(file) ?? []) {
      const cycle = visit(target, [...trail, file]);
      if (cycle.length > 0) return cycle;
    }
    done.add(file);
    return [];
  };
  for (const file of files) assert.deepEqual(visit(file, []), []);
});

test('no file is long', () => {
  const long = files.filter((file) => (texts.get(file) ?? '').trimEnd().split('\n').length > fileLinesMax);
  assert.deepEqual(long, []);
});

test('nothing is kept from the compiler and the linter', () => {
  const evasions =
    /:\s*any\b|\bas any\b|<any[>,]|\bany\[\]|@ts-(?:ignore|nocheck|expect-error)|(?:eslint|oxlint)-disable/u;
  const evading = files.filter((file) => evasions.test((texts.get(file) ?? '').replaceAll(/`[^`]*`/gu, '')));
  assert.deepEqual(evading, []);
});

test("src/README.md's code map names every layer, and nothing else of src", () => {
  const text = readFileSync(join(src, 'README.md'), 'utf8');
  const map = /^## Code map$(?<text>[\s\S]*?)(?=^## )/mu.exec(text)?.groups?.['text'] ?? '';
  const layers = new Set(files.map((file) => (file.includes('/') ? `${layerOf(file)}/` : file)));
  const named = [...map.matchAll(/^\| `([^`]+)`/gmu)].map(([, name]) => name);
  assert.deepEqual(new Set(named), layers);
});

test('the front README is for users, and short', () => {
  const lines = readFileSync(join(root, 'README.md'), 'utf8').trimEnd().split('\n');
  assert.ok(lines.length <= 110, `${lines.length} lines`);
});
