import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sha256 } from '#src/base/hash.js';
import { Slicer } from '#src/base/waiting.js';
import { type Extraction, extractingWith, type ExtractionJob } from '#src/reconcile/extract.js';
import { ExtractorPool, type PoolOptions, poolOptionsWithin } from '#src/reconcile/extractor-pool.js';
import { decodeTree, encodeTree } from '#src/syntax/tree-codec.js';
import { extractorOf } from '#src/syntax/extractor.js';
import { oneTokenTree } from '#src/syntax/green-tree.js';
import { languageOf } from '#src/syntax/language.js';
import { createParser } from '#src/syntax/parser.js';
import { decodeSource } from '#src/syntax/source.js';
import { waitFor, within } from '../harness/waiting.js';

const mib = 1024 ** 2;
const neverAborts = new AbortController().signal;
/** A pool starts threads and loads grammars, on a machine that has other things to do (ms). */
const boundMs = 60_000;

const here = extractingWith(createParser());

function poolOf(t: TestContext, options: Partial<PoolOptions> = {}): ExtractorPool {
  const pool = new ExtractorPool({
    threads: 2,
    parseMemoryMaxBytes: { share: 128 * mib, whole: 512 * mib },
    heapMaxBytes: { share: 256 * mib, whole: 512 * mib },
    hangMs: 30_000,
    extractor: here,
    ...options,
  });
  t.after(() => pool.close());
  return pool;
}

function jobOf(path: string, content: string | Buffer): ExtractionJob {
  const bytes = Buffer.from(content);
  const language = languageOf(path);
  const made = { language, extractor: extractorOf(language), sha256: sha256(bytes) };
  return { ...made, bytes, stored: null, storedBy: null, isDeadly: false };
}

const easy = (number: number): ExtractionJob => jobOf('a.py', `def f${number}(): return ${number}\n`);

/** The C# grammar searches in it for a second and more. */
const slow = 'abcdefghijklmnopqrstuvwxyz'.replaceAll(/./gu, '(($&)').repeat(3_000);

/** With memory for it (1.7 GB), for as long as it may (5 s), also on a machine that is several times as fast. */
const endless = slow.repeat(6);

/** More tree than fits into a small heap. */
const large = `[${'1,'.repeat(400_000)}1]`;

/** 2,000,000 lines: where each begins and ends takes tens of MB. */
const lines = '\n'.repeat(2_000_000);

function notParsedIn({ tree }: Extraction): string | null {
  assert.ok(tree !== null);
  return decodeTree(Buffer.from(tree)).fallback;
}

/** Everything but how it lies in memory. */
function plain({ tree, document, notParsed }: Extraction): unknown {
  const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');
  const { chunks, layout, words } = document ?? {};
  return { tree: hex(tree ?? undefined), chunks, layout: hex(layout), words: hex(words), notParsed };
}

test('threads make of real files what the main thread makes of them', async (t) => {
  const folder = fileURLToPath(new URL('../../test', import.meta.url));
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.\w+$/u.test(name),
  );
  const jobs = names
    .sort()
    .slice(0, 60)
    .map((name) => jobOf(name, readFileSync(join(folder, name))));
  jobs.push(
    jobOf('empty.py', ''),
    jobOf('data.bin', Buffer.from([0, 1, 255])),
    jobOf('broken.ts', 'function ((('),
  );
  const session = poolOf(t).open(neverAborts);
  const extractions = jobs.map(async (job) => {
    await session.room();
    return await session.extract(job);
  });
  const made = await within('all are extracted', Promise.all(extractions), boundMs);
  const slicer = new Slicer();
  for (const [at, job] of jobs.entries())
    assert.deepEqual(plain(made[at] ?? assert.fail()), plain(await here.extract(job, slicer)), names[at]);
});

test('a stored tree is sent along, and serves', async (t) => {
  const session = poolOf(t).open(neverAborts);
  const job = easy(1);
  const { tree, document } = await session.extract(job);
  const again = await session.extract({ ...job, stored: tree, storedBy: job.extractor });
  assert.equal(again.tree, null);
  assert.deepEqual(
    plain({ ...again, tree: null }),
    plain({ tree: null, document, notParsed: null, notLoaded: null }),
  );
});

test('what an earlier version could not parse is parsed, and its one token is replaced', async () => {
  const job = easy(1);
  const stored = encodeTree(oneTokenTree(decodeSource(Buffer.from(job.bytes)), 'grammar_failed'));
  const { tree } = await here.extract({ ...job, stored, storedBy: '1 earlier@1.0.0' }, new Slicer());
  assert.equal(decodeTree(Buffer.from(tree ?? assert.fail())).language, 'python');
});

test('an abort gives everything up at once, in the middle of a parse, and ends the threads at it', async (t) => {
  const pool = poolOf(t);
  const stop = new AbortController();
  const session = pool.open(stop.signal);
  await session.extract(easy(0));
  const jobs = [jobOf('a.cs', slow), jobOf('b.cs', `${slow} `), easy(1), easy(2)];
  const given = jobs.map(async (job) => await session.extract(job));
  const ended = Promise.allSettled(given);
  stop.abort(new Error('enough'));
  const outcomes = await within('all are rejected', ended);
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'done')),
    Array<string>(4).fill('Error: enough'),
  );
  assert.equal(pool.size, 0);
  await assert.rejects(session.extract(easy(3)), /enough/u);
  await assert.rejects(session.room(), /enough/u);
  assert.throws(() => pool.open(stop.signal), /enough/u);
});

test('one that gives up costs the others nothing', async (t) => {
  const pool = poolOf(t, { threads: 1 });
  const stop = new AbortController();
  const [given, kept] = [pool.open(stop.signal), pool.open(neverAborts)];
  const lost = given.extract(jobOf('a.cs', slow));
  const others = [1, 2, 3].map(async (number) => await kept.extract(easy(number)));
  stop.abort(new Error('enough'));
  await assert.rejects(lost, /enough/u);
  for (const other of await within('the others', Promise.all(others), boundMs))
    assert.equal(notParsedIn(other), null);
});

test('a content that a thread dies of is tried alone with more memory, and the others go on', async (t) => {
  const heapMaxBytes = { share: 16 * mib, whole: 16 * mib };
  const session = poolOf(t, { threads: 1, heapMaxBytes }).open(neverAborts);
  const jobs = [easy(1), jobOf('a.json', large), easy(2), easy(3)];
  const made = await within('all', Promise.all(jobs.map(async (job) => await session.extract(job))), boundMs);
  assert.deepEqual(made.map(notParsedIn), [null, null, null, null]);
});

test('a content that two threads died of is kept as one token', async (t) => {
  const heapMaxBytes = { share: 16 * mib, whole: 16 * mib };
  const session = poolOf(t, { threads: 1, heapMaxBytes }).open(neverAborts);
  const jobs = [jobOf('a.txt', lines), easy(2)];
  const made = await within('all', Promise.all(jobs.map(async (job) => await session.extract(job))), boundMs);
  assert.deepEqual(made.map(notParsedIn), ['deadly', null]);
});

test('a job that does not end is given up after a while, twice, and the others go on', async (t) => {
  const parseMemoryMaxBytes = { share: 2_048 * mib, whole: 2_048 * mib };
  const session = poolOf(t, { threads: 1, parseMemoryMaxBytes, hangMs: 1_500 }).open(neverAborts);
  const jobs = [jobOf('a.cs', endless), easy(2)];
  const made = await within('all', Promise.all(jobs.map(async (job) => await session.extract(job))), boundMs);
  assert.deepEqual(made.map(notParsedIn), ['deadly', null]);
});

test('what a share of the memory is too little for is parsed with all of it', async (t) => {
  const parseMemoryMaxBytes = { share: 32 * mib, whole: 512 * mib };
  const session = poolOf(t, { parseMemoryMaxBytes }).open(neverAborts);
  assert.equal(notParsedIn(await within('it', session.extract(jobOf('a.json', large)), boundMs)), null);
});

test('no more is in flight than there is room for', async (t) => {
  const session = poolOf(t).open(neverAborts);
  const order: string[] = [];
  const first = session.extract(jobOf('a', Buffer.alloc(8 * mib))).then(() => order.push('first'));
  const room = session.room().then(() => order.push('room'));
  await within('room', Promise.all([first, room]), boundMs);
  assert.deepEqual(order, ['first', 'room']);
});

test('threads end when there has been no work for a while', async (t) => {
  const pool = poolOf(t);
  const session = pool.open(neverAborts);
  await session.extract(easy(1));
  assert.ok(pool.size > 0);
  session.close();
  await waitFor('no threads', () => pool.size === 0);
});

test('threads are as many as cores and memory allow', () => {
  const threads = (memory: number, cores: number): number | undefined =>
    poolOptionsWithin(memory, 1, here, cores)?.threads;
  assert.equal(threads(2_048 * mib, 1), undefined);
  assert.equal(threads(2_048 * mib, 2), 2);
  assert.equal(threads(2_048 * mib, 4), 3);
  assert.equal(threads(2_048 * mib, 64), 7);
  assert.equal(threads(512 * mib, 64), 2);
  assert.equal(threads(256 * mib, 64), undefined);
});
