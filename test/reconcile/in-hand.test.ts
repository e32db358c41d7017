import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { identify } from '#src/base/process-identity.js';
import { sha256 } from '#src/base/hash.js';
import { turn } from '#src/base/waiting.js';
import { InHand } from '#src/reconcile/in-hand.js';
import { renderContent } from '#src/store/contents.js';
import { deathsOf } from '#src/store/suspects.js';
import { TestProject } from './project-fixture.js';

const code = 'def f(): pass\n';
const hash = sha256(Buffer.from(code));

/** The name of a process that has been killed. */
async function deadName(): Promise<string> {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  const identity = identify(child.pid ?? -1);
  assert.ok(identity);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return `${identity.pid}.${identity.startTime}`;
}

/** Of a supervisor that goes on. */
function livingName(): string {
  return `${process.pid}.${identify(process.pid)?.startTime}`;
}

/** As many processes as that died with `content` in hand, one after the other. */
async function deaths(project: TestProject, count: number, content = hash): Promise<void> {
  const folder = join(project.stateDir, 'in-hand');
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < count; i++) {
    writeFileSync(join(folder, `${await deadName()}.${livingName()}`), content);
    (await open(project)).close();
  }
}

async function open(project: TestProject): Promise<InHand> {
  return await InHand.open(project.index, project.stateDir, 1);
}

async function indexed(t: TestContext, deathsBefore: number): Promise<TestProject> {
  const project = new TestProject(t);
  project.write('f.py', code);
  await deaths(project, deathsBefore);
  const inHand = await open(project);
  project.inHand = inHand;
  t.after(() => inHand.close());
  await project.reconcile();
  return project;
}

function reasonOf(project: TestProject): string | null {
  const rendering = renderContent(project.index, hash);
  assert.ok('tree' in rendering && rendering.bytes.toString() === code);
  return rendering.tree.fallback;
}

test('a content that two processes died with is kept as one token, and the others are parsed', async (t) => {
  const project = await indexed(t, 2);
  assert.equal(reasonOf(project), 'deadly');
  project.write('g.py', 'def g(): pass\n');
  await project.reconcile();
  const other = renderContent(project.index, project.row('g.py').sha256);
  assert.ok('tree' in other && other.tree.fallback === null);
});

test('nothing is blamed for a death together with the supervisor, nor for one that an older version has left', async (t) => {
  const project = new TestProject(t);
  const folder = join(project.stateDir, 'in-hand');
  mkdirSync(folder, { recursive: true });
  for (const supervisor of [`.${await deadName()}`, `.${await deadName()}`, '']) {
    writeFileSync(join(folder, `${await deadName()}${supervisor}`), hash);
    (await open(project)).close();
  }
  assert.equal(deathsOf(project.index, hash), 0);
  assert.deepEqual(readdirSync(folder), []);
});

test('after one death a content is tried once more, and forgiven', async (t) => {
  const project = await indexed(t, 1);
  assert.equal(reasonOf(project), null);
  assert.equal(deathsOf(project.index, hash), 0);
});

/** What the only process that parses has in hand. */
function inHandNow(project: TestProject): string[] {
  const folder = join(project.stateDir, 'in-hand');
  const slots = readFileSync(join(folder, readdirSync(folder)[0] ?? ''), 'latin1');
  return (slots.match(/.{64}/gsu) ?? []).map((slot) => slot.trim()).filter((slot) => slot !== '');
}

test('contents are in hand exactly while they are parsed, also several at once', async (t) => {
  const project = new TestProject(t);
  const inHand = await open(project);
  const other = 'a'.repeat(64);
  const ends = [new AbortController(), new AbortController()];
  const held = [hash, other].map(async (content, at) => {
    const { signal } = ends[at] ?? assert.fail();
    await inHand.hold(content, async () => void (await once(signal, 'abort')));
  });
  assert.deepEqual(inHandNow(project), [hash, other]);
  ends[0]?.abort();
  await held[0];
  assert.deepEqual(inHandNow(project), [other]);
  assert.deepEqual(await inHand.hold(hash, () => Promise.resolve(inHandNow(project))), [hash, other]);
  ends[1]?.abort();
  await held[1];
  assert.deepEqual(inHandNow(project), []);
  await assert.rejects(
    inHand.hold(hash, () => Promise.reject(new Error('given up'))),
    /given up/u,
  );
  assert.deepEqual(inHandNow(project), []);
  inHand.close();
  assert.deepEqual(readdirSync(join(project.stateDir, 'in-hand')), []);
});

test('a content that a process died with is parsed alone, and others wait for it', async (t) => {
  const project = new TestProject(t);
  await deaths(project, 1);
  const inHand = await open(project);
  t.after(() => inHand.close());
  const [before, after] = ['a'.repeat(64), 'b'.repeat(64)];
  const end = new AbortController();
  const seen: string[][] = [];
  const look = (): Promise<void> => {
    seen.push(inHandNow(project));
    return Promise.resolve();
  };
  const held = [
    inHand.hold(before, async () => void (await once(end.signal, 'abort'))),
    inHand.hold(hash, look),
  ];
  await turn();
  held.push(inHand.hold(after, look));
  await turn();
  assert.deepEqual(inHandNow(project), [before]);
  end.abort();
  await Promise.all(held);
  assert.deepEqual(seen, [[hash], [after]]);
  assert.equal(deathsOf(project.index, hash), 0);
});

test('a death is counted for all that were in hand, and the second one for the guilty alone', async (t) => {
  const project = new TestProject(t);
  const innocent = 'a'.repeat(64);
  await deaths(project, 1, `${' '.repeat(64)}${innocent}${hash}${' '.repeat(64)}`);
  assert.deepEqual([deathsOf(project.index, hash), deathsOf(project.index, innocent)], [1, 1]);
  await deaths(project, 1, hash);
  const inHand = await open(project);
  t.after(() => inHand.close());
  assert.deepEqual([inHand.isDeadly(hash), inHand.isDeadly(innocent)], [true, false]);
});

test('what another living process has in hand is no death', async (t) => {
  const project = new TestProject(t);
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  const identity = identify(child.pid ?? -1);
  const entry = join(project.stateDir, 'in-hand', `${identity?.pid}.${identity?.startTime}`);
  mkdirSync(join(project.stateDir, 'in-hand'));
  writeFileSync(entry, hash);
  (await open(project)).close();
  assert.equal(deathsOf(project.index, hash), 0);
  assert.ok(existsSync(entry));
});

test('what two processes have in hand is counted for each', async (t) => {
  const project = new TestProject(t);
  mkdirSync(join(project.stateDir, 'in-hand'));
  const other = 'a'.repeat(64);
  for (const content of [hash, other, hash, ' '.repeat(64), 'nonsense'])
    writeFileSync(join(project.stateDir, 'in-hand', `${await deadName()}.${livingName()}`), content);
  (await open(project)).close();
  assert.deepEqual([deathsOf(project.index, hash), deathsOf(project.index, other)], [2, 1]);
  assert.deepEqual(readdirSync(join(project.stateDir, 'in-hand')), []);
});
