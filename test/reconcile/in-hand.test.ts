import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { identify } from '#src/base/process-identity.js';
import { sha256 } from '#src/base/hash.js';
import { InHand } from '#src/reconcile/in-hand.js';
import { renderContent } from '#src/store/contents.js';
import { deathsOf } from '#src/store/suspects.js';
import { TestProject } from './project-fixture.js';

const code = 'def f(): pass\n';
const hash = sha256(Buffer.from(code));

/** The name of an entry whose process has been killed. */
async function deadName(): Promise<string> {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  const identity = identify(child.pid ?? -1);
  assert.ok(identity);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return `${identity.pid}.${identity.startTime}`;
}

/** As many processes as that died with `content` in hand, one after the other. */
async function deaths(project: TestProject, count: number, content = hash): Promise<void> {
  const folder = join(project.stateDir, 'in-hand');
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < count; i++) {
    writeFileSync(join(folder, await deadName()), content);
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

test('after one death a content is tried once more, and forgiven', async (t) => {
  const project = await indexed(t, 1);
  assert.equal(reasonOf(project), null);
  assert.equal(deathsOf(project.index, hash), 0);
});

test('a content is in hand exactly while it is parsed', async (t) => {
  const project = new TestProject(t);
  const inHand = await open(project);
  const folder = join(project.stateDir, 'in-hand');
  const entry = (): string => readFileSync(join(folder, readdirSync(folder)[0] ?? ''), 'utf8').trim();
  assert.equal(await inHand.hold(hash, () => Promise.resolve(entry())), hash);
  assert.equal(entry(), '');
  await assert.rejects(
    inHand.hold(hash, () => Promise.reject(new Error('given up'))),
    /given up/u,
  );
  assert.equal(entry(), '');
  inHand.close();
  assert.deepEqual(readdirSync(folder), []);
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
    writeFileSync(join(project.stateDir, 'in-hand', await deadName()), content);
  (await open(project)).close();
  assert.deepEqual([deathsOf(project.index, hash), deathsOf(project.index, other)], [2, 1]);
  assert.deepEqual(readdirSync(join(project.stateDir, 'in-hand')), []);
});
