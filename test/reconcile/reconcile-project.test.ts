import assert from 'node:assert/strict';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { inspectRoot, judgeRoot, type RootState } from '#src/reconcile/project-root.js';
import { reconcileProject } from '#src/reconcile/reconcile-project.js';
import { chooseDeleted, restoreDeleted } from '#src/reconcile/restore.js';
import { renderContent } from '#src/store/contents.js';
import { damageContent } from '../store/index-fixture.js';
import { asNobody, pathsBelow } from '../harness/folder.js';
import { snapshot, TestProject } from './project-fixture.js';

const hashOf = (content: string): string => sha256(Buffer.from(content));

test('files are added, changed, deleted and left alone', async (t) => {
  const project = new TestProject(t);
  for (const path of ['a.py', 'd/b.ts', 'c']) project.write(path);
  const first = await project.reconcile();
  assert.deepEqual([first.added, first.changed, first.deleted], [3, 0, 0]);
  assert.equal(project.row('a.py').language, 'python');
  project.write('a.py', 'changed = 1\n');
  project.remove('c');
  project.write('new', 'new');
  const second = await project.reconcile();
  assert.deepEqual([second.added, second.changed, second.deleted, second.unchanged], [1, 1, 1, 1]);
  assert.equal(project.row('a.py').sha256, hashOf('changed = 1\n'));
  assert.deepEqual(project.marks(), { active: ['a.py', 'd/b.ts', 'new'], deleted: ['c'] });
  const third = await project.reconcile();
  assert.deepEqual([third.added, third.changed, third.deleted, third.unchanged], [0, 0, 0, 3]);
});

test('what differs in many files is indexed in rounds, and comes to the same', async (t) => {
  const project = new TestProject(t);
  for (let file = 0; file < 10; file += 1) project.write(`d${file % 3}/${file}`, `content ${file}`);
  const told: [number, number][] = [];
  const first = await reconcileProject(project.context(), 'unseen', (...at) => told.push(at), 3);
  assert.deepEqual([first.added, first.unchanged], [10, 0]);
  assert.deepEqual(told.at(-1), [10, 10]);
  assert.ok(told.every(([done, total], at) => total === 10 && done >= (told[at - 1]?.[0] ?? 0)));
  for (let file = 0; file < 5; file += 1) project.write(`d${file % 3}/${file}`, `another ${file}`);
  project.remove('d0/9');
  const second = await reconcileProject(project.context(), 'unseen', undefined, 2);
  assert.deepEqual([second.changed, second.deleted, second.unchanged], [5, 1, 4]);
  assert.equal(project.marks().active.length, 9);
});

test('a touch and a change of mode are followed without counting as a change of content', async (t) => {
  const project = new TestProject(t);
  project.write('a');
  await project.reconcile();
  utimesSync(project.at('a'), 1, 1);
  chmodSync(project.at('a'), 0o755);
  const { changed } = await project.reconcile();
  assert.equal(changed, 0);
  const row = project.row('a');
  assert.deepEqual([row.mode, row.mtimeNs], [0o755, '1000000000']);
});

test('an edit of the same size within the same time stamp is found', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'old');
  const { atime, mtime } = statSync(project.at('a'));
  await project.reconcile();
  writeFileSync(project.at('a'), 'new');
  utimesSync(project.at('a'), atime, mtime);
  utimesSync(project.at('a'), Number(project.row('a').mtimeNs) / 1e9, Number(project.row('a').mtimeNs) / 1e9);
  await project.reconcile();
  assert.equal(project.row('a').sha256, hashOf('new'));
});

test('a save by rename is one change, and a file that comes back is no longer deleted', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'one');
  await project.reconcile();
  writeFileSync(project.at('temporary'), 'two');
  renameSync(project.at('temporary'), project.at('a'));
  const saved = await project.follow('temporary', 'a');
  assert.deepEqual([saved.changed, saved.deleted], [1, 0]);
  project.remove('a');
  assert.equal((await project.follow('a')).deleted, 1);
  project.write('a', 'three');
  await project.follow('a');
  assert.deepEqual(project.marks(), { active: ['a'], deleted: [] });
});

test('what is deleted is kept in versions byte by byte, with its mode', async (t) => {
  const project = new TestProject(t, { versionDir: 'data/versions' });
  project.write('d/tool', Buffer.from([0, 1, 255]), 0o4755);
  await project.reconcile();
  project.remove('d');
  await project.reconcile();
  assert.equal(snapshot(project.versions.root)['d/tool'], `file 4755 ${sha256(Buffer.from([0, 1, 255]))}`);
  assert.equal(project.read('data/versions/.gitignore'), '*\n');
  assert.deepEqual([...project.rows().keys()], ['d/tool']);
});

test('a path that is deleted twice keeps both copies, the older with a timestamp', async (t) => {
  const project = new TestProject(t);
  let time = Date.now();
  project.now = () => (time += 60_000);
  for (const content of ['first', 'second', 'second', 'third']) {
    project.write('d/a.tar.gz', content);
    await project.reconcile();
    project.remove('d/a.tar.gz');
    await project.reconcile();
  }
  const kept = snapshot(project.versions.root);
  const files = Object.keys(kept).filter((path) => path.startsWith('d/'));
  assert.equal(files.length, 3);
  assert.ok(
    files.every((path) => /^d\/a\.tar(?:\.\d{8}T\d{6}\.\d{3}Z)?\.gz$/u.test(path)),
    files.join(),
  );
  assert.match(kept['d/a.tar.gz'] ?? '', new RegExp(hashOf('third'), 'u'));
  const hashes = new Set(Object.values(kept).map((what) => what.slice(what.lastIndexOf(' ') + 1)));
  for (const content of ['first', 'second']) assert.ok(hashes.has(hashOf(content)));
});

test('a file that makes way for a folder, and the other way round, is kept and does not hold up others', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'a file');
  project.write('b/c', 'in a folder');
  project.write('other', 'other');
  await project.reconcile();
  for (const path of ['a', 'b']) project.remove(path);
  project.write('a/x', 'in the folder');
  project.write('b', 'now a file');
  await project.reconcile();
  for (const path of ['a', 'b', 'other']) project.remove(path);
  const { deleted, problems } = await project.reconcile();
  assert.equal(deleted, 3);
  assert.equal(problems.length, 2);
  assert.deepEqual(project.marks().active, []);
  for (const content of ['a file', 'in a folder', 'in the folder', 'now a file', 'other'])
    assert.ok('bytes' in renderContent(project.index, hashOf(content)), content);
  assert.equal(readFileSync(project.versions.pathOf('other'), 'utf8'), 'other');
});

test('a symlink in versions is never taken for a kept copy, nor followed', async (t) => {
  const project = new TestProject(t);
  const outside = join(project.folder, 'outside');
  writeFileSync(outside, 'content');
  project.write('a', 'content');
  await project.reconcile();
  mkdirSync(project.versions.root, { recursive: true });
  symlinkSync(outside, project.versions.pathOf('a'));
  project.remove('a');
  await project.reconcile();
  assert.match(snapshot(project.versions.root)['a'] ?? '', /^file 644 /u);
  rmSync(outside);
});

test('files that are too large are tracked without content', async (t) => {
  const project = new TestProject(t);
  project.maxFileBytes = 10;
  project.write('large', 'x'.repeat(11));
  project.write('just right', 'x'.repeat(10));
  await project.reconcile();
  assert.deepEqual([project.row('large').sha256, project.row('large').size], [null, 11]);
  assert.match(project.row('large').skipReason ?? '', /larger/u);
  assert.ok(project.row('just right').sha256);
  project.remove('large');
  await project.reconcile();
  const { plan } = await project.repair();
  assert.deepEqual(
    plan.unrestorable.map(({ path }) => path),
    ['large'],
  );
});

test('a file that changes while it is being indexed is not stored half, and is followed', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'before');
  const { parser } = project;
  let isFirst = true;
  project.parser = {
    parse: async (source, language, pause) => {
      if (isFirst) writeFileSync(project.at('a'), 'after!');
      isFirst = false;
      return await parser.parse(source, language, pause);
    },
    close: () => undefined,
  };
  await project.reconcile();
  await project.reconcile();
  assert.equal(project.row('a').sha256, hashOf('after!'));
});

test('what cannot be read is unknown: its rows stay as they are', async (t) => {
  const project = new TestProject(t, { versionDir: '../versions' });
  for (const path of ['closed/a', 'closed/d/b', 'open']) project.write(path);
  await project.reconcile();
  chmodSync(project.stateDir, 0o777);
  chmodSync(project.at('closed'), 0o000);
  const outcome = await asNobody(() => project.reconcile());
  assert.deepEqual([outcome.deleted, outcome.skipped], [0, 1]);
  assert.match(outcome.doubt ?? '', /^2 files cannot be looked at .*closed\/a \(EACCES\)/);
  const followed = await asNobody(() => project.follow('closed/a', 'closed'));
  assert.deepEqual([followed.deleted, followed.needsReconcile], [0, true]);
  assert.deepEqual(project.marks().deleted, []);
  const { plan } = await asNobody(() => project.plan());
  assert.deepEqual(plan.unknown.map(({ path }) => path).sort(), ['closed/a', 'closed/d/b']);
  assert.deepEqual(plan.actions, []);
  chmodSync(project.at('closed'), 0o755);
  assert.equal((await asNobody(() => project.reconcile())).doubt, null);
});

test('a file that was indexed and cannot be read any more may be another one by now', async (t) => {
  const project = new TestProject(t, { versionDir: '../versions' });
  project.write('a');
  await project.reconcile();
  chmodSync(project.stateDir, 0o777);
  for (const path of ['a', 'never']) project.write(path, 'secret', 0o000);
  for (const follow of [
    async () => await asNobody(() => project.reconcile()),
    async () => await asNobody(() => project.follow('a', 'never')),
  ])
    assert.match((await follow()).doubt ?? '', /^1 files cannot be looked at .*: a \(cannot be read/);
  project.remove('a');
  assert.equal(
    (await asNobody(() => project.reconcile())).doubt,
    null,
    'nothing is said of what was never indexed',
  );
});

test('a folder that becomes a symlink is not followed, by a walk or by an event', async (t) => {
  const project = new TestProject(t);
  project.write('d/a', 'inside');
  await project.reconcile();
  const outside = join(project.folder, 'outside');
  renameSync(project.at('d'), outside);
  writeFileSync(join(outside, 'a'), 'outside now');
  symlinkSync(outside, project.at('d'));
  await project.follow('d/a', 'd/new', 'd');
  assert.deepEqual(project.marks(), { active: ['d'], deleted: ['d/a'] });
  assert.deepEqual([project.row('d').kind, project.row('d/a').sha256], ['symlink', hashOf('inside')]);
  await project.reconcile();
  assert.deepEqual(project.marks().active, ['d']);
});

test('events about what is no more, or is something else by now, do no harm', async (t) => {
  const project = new TestProject(t);
  for (const path of ['d/a', 'd/e/b', 'c']) project.write(path);
  await project.reconcile();
  project.remove('d');
  project.write('d', 'a file now');
  const outcome = await project.follow('d/e/b', 'd/a', 'd/e', 'd', 'c', 'never/was');
  assert.deepEqual([outcome.added, outcome.deleted], [1, 2]);
  assert.deepEqual(project.marks(), { active: ['c', 'd'], deleted: ['d/a', 'd/e/b'] });
});

test('an event about a folder brings everything below it', async (t) => {
  const project = new TestProject(t);
  await project.reconcile();
  for (const path of ['d/a', 'd/e/b', 'd/.gitignore']) project.write(path, 'x');
  await project.follow('d');
  assert.deepEqual(project.marks().active, ['d/.gitignore', 'd/a', 'd/e/b']);
  assert.equal((await project.follow('d/.gitignore')).needsReconcile, true);
});

test('a file that is ignored from now on is neither searched nor deleted, and can be restored', async (t) => {
  const project = new TestProject(t);
  project.write('a.log', 'logged');
  await project.reconcile();
  project.write('.gitignore', '*.log\n');
  await project.reconcile();
  const { ignored, deleted, sha256: hash } = project.row('a.log');
  assert.deepEqual([ignored, deleted, hash], [1, 0, hashOf('logged')]);
  assert.equal(project.read('a.log'), 'logged');
  project.remove('a.log');
  await project.reconcile();
  const rows = chooseDeleted(project.index, project.project, { paths: ['a.log'] });
  await restoreDeleted(project.index, project.project, rows, project.now);
  assert.equal(project.read('a.log'), 'logged');
});

test('a content that was damaged in the index is healed when its file is read again', async (t) => {
  const project = new TestProject(t);
  project.write('a', 'precious');
  await project.reconcile();
  damageContent(project.index, hashOf('precious'), 90);
  assert.ok('problem' in renderContent(project.index, hashOf('precious')));
  utimesSync(project.at('a'), 2, 2);
  await project.reconcile();
  assert.ok('bytes' in renderContent(project.index, hashOf('precious')));
});

const mark = { rootDev: '1', rootIno: '2', rootIdentity: null };
const rootStates: [name: string, root: RootState][] = [
  ['as it was', { kind: 'verified', rootDir: '/r', isEmpty: false, mark }],
  ['emptied', { kind: 'verified', rootDir: '/r', isEmpty: true, mark }],
  ['another one', { kind: 'replaced', rootDir: '/r', isEmpty: false, mark }],
  ['another one, empty', { kind: 'replaced', rootDir: '/r', isEmpty: true, mark }],
  ['away', { kind: 'unavailable', reason: 'away' }],
];

test('one judgement: much is missing from a root that is empty, or much or most from another one', () => {
  for (const [name, root] of rootStates)
    for (const active of [0, 1, 20, 21, 22, 50, 99, 100, 101, 105, 106, 110, 1_000])
      for (let missing = 0; missing <= active; missing += 1) {
        const isMuch = missing > 20 && missing * 5 > active;
        const expected = {
          'as it was': 'sound',
          emptied: isMuch ? 'emptied' : 'sound',
          'another one': isMuch || missing * 2 > active ? 'doubtful' : 'sound',
          'another one, empty': isMuch || missing * 2 > active ? 'doubtful' : 'sound',
          away: 'doubtful',
        }[name];
        const judgement = judgeRoot(root, missing, active);
        assert.equal(judgement.kind, expected, JSON.stringify({ name, missing, active }));
        if (judgement.kind !== 'sound') assert.notEqual(judgement.reason, '');
      }
});

async function manyFiles(project: TestProject, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) project.write(`d${number % 3}/f${number}`);
  await project.reconcile();
}

test('a root that was emptied marks nothing, and says why', async (t) => {
  const project = new TestProject(t, { versionDir: '../versions' });
  await manyFiles(project, 30);
  for (const name of ['d0', 'd1', 'd2']) project.remove(name);
  const { halted, deleted } = await project.reconcile();
  assert.match(halted ?? '', /empty and 30 of 30 files are missing/u);
  assert.equal(deleted, 0);
  assert.match((await project.follow('d0', 'd1', 'd2')).halted ?? '', /empty/u);
  assert.equal(project.marks().active.length, 30);
  assert.deepEqual(
    pathsBelow(project.folder).filter((path) => path.startsWith('versions')),
    [],
  );
});

test('what rules ignore makes a folder empty when it goes, and full when it comes', async (t) => {
  const project = new TestProject(t);
  project.write('.gitignore', '*.log\n');
  project.write('d/e/a.log');
  await project.reconcile();
  project.remove('d/e/a.log');
  await project.follow('d/e/a.log');
  assert.deepEqual(project.marks().active, ['.gitignore', 'd/e']);
  project.write('d/e/b.log');
  await project.follow('d/e/b.log');
  assert.deepEqual(project.marks(), { active: ['.gitignore'], deleted: [] });
  assert.equal((await project.reconcile()).deleted, 0);
});

for (const isFollowed of [true, false])
  test(`an empty folder in the place of a file does not hide the file (${isFollowed ? 'followed' : 'compared'})`, async (t) => {
    const project = new TestProject(t);
    project.write('conf', 'important');
    project.write('stays');
    await project.reconcile();
    project.remove('conf');
    mkdirSync(project.at('conf'));
    if (isFollowed) await project.follow('conf');
    else await project.reconcile();
    const keeps = async (): Promise<void> => {
      assert.deepEqual(project.marks(), { active: ['stays'], deleted: ['conf'] });
      assert.deepEqual(
        [project.row('conf').kind, project.row('conf').cause],
        ['file', isFollowed ? 'seen' : 'unseen'],
      );
      await project.reconcile();
    };
    await keeps();
    await keeps();
    project.remove('conf');
    await project.follow('conf');
    await keeps();
    const rows = chooseDeleted(project.index, project.project, {});
    await restoreDeleted(project.index, project.project, rows, project.now);
    assert.equal(project.read('conf'), 'important');
  });

for (const count of [3, 30]) {
  test(`a root of ${count} files that was replaced by an empty folder marks nothing`, async (t) => {
    const project = new TestProject(t);
    await manyFiles(project, count);
    renameSync(project.root, join(project.folder, 'unmounted'));
    mkdirSync(project.root);
    const { halted } = await project.reconcile();
    assert.match(halted ?? '', /not the one that was registered/u);
    assert.equal(project.marks().deleted.length, 0);
    assert.deepEqual(pathsBelow(project.root), []);
    rmSync(project.root, { recursive: true });
    renameSync(join(project.folder, 'unmounted'), project.root);
    const { unchanged, halted: still } = await project.reconcile();
    assert.deepEqual([unchanged, still], [count, null]);
  });
}

test('a folder without the rules that ignored everything, and without the files, is another one', async (t) => {
  const project = new TestProject(t);
  await manyFiles(project, 3);
  project.write('.gitignore', '*\n');
  assert.match((await project.reconcile()).allIgnored ?? '', /by \.gitignore/u);
  renameSync(project.root, join(project.folder, 'unmounted'));
  mkdirSync(project.root);
  project.write('stranger', 'of somebody else\n');
  const { halted } = await project.reconcile();
  assert.match(halted ?? '', /not the one that was registered/u);
  rmSync(project.root, { recursive: true });
  renameSync(join(project.folder, 'unmounted'), project.root);
  assert.equal((await project.reconcile()).halted, null);
});

test('a root that was another one when a repair was planned, and is the right one again, stays the right one', async (t) => {
  const project = new TestProject(t);
  await manyFiles(project, 10);
  const [right, other] = [join(project.folder, 'right'), join(project.folder, 'other')];
  renameSync(project.root, right);
  cpSync(right, project.root, { recursive: true, preserveTimestamps: true });
  const planned = await project.plan();
  assert.deepEqual([planned.root.kind, planned.context.rootDoubt], ['replaced', null]);
  renameSync(project.root, other);
  renameSync(right, project.root);
  await project.execute(planned);
  assert.equal(inspectRoot(project.project).kind, 'verified');
});

test('the same files in another folder are the same project', async (t) => {
  const project = new TestProject(t);
  await manyFiles(project, 30);
  const before = project.project.rootIno;
  renameSync(project.root, join(project.folder, 'old'));
  mkdirSync(project.root);
  for (const name of ['d0', 'd1', 'd2']) renameSync(join(project.folder, 'old', name), project.at(name));
  const { halted, unchanged } = await project.reconcile();
  assert.deepEqual([halted, unchanged], [null, 30]);
  assert.notEqual(project.project.rootIno, before);
  assert.equal(inspectRoot(project.project).kind, 'verified');
});

test('a root that comes back while another one is looked at stays the one that was registered', async (t) => {
  const project = new TestProject(t);
  project.write('a.py');
  await project.reconcile();
  const { rootIno } = project.project;
  const away = join(project.folder, 'away');
  renameSync(project.root, away);
  mkdirSync(project.root);
  let looks = 0;
  const cover = {
    cover: (): void => {
      looks += 1;
      if (looks > 1) return;
      rmSync(project.root, { recursive: true });
      renameSync(away, project.root);
    },
    uncover: (): void => undefined,
    coverHeads: (): void => undefined,
    coverRules: (): void => undefined,
    coverUnborn: (): void => undefined,
    retain: (): void => undefined,
  };
  const outcome = await reconcileProject({ ...project.context(), cover }, 'seen');
  assert.deepEqual([outcome.halted, outcome.unchanged, looks], [null, 1, 2]);
  assert.equal(project.project.rootIno, rootIno);
  assert.equal(inspectRoot(project.project).kind, 'verified');
});

test('a root that is away or no folder changes nothing', async (t) => {
  const project = new TestProject(t, { versionDir: '../versions' });
  await manyFiles(project, 3);
  const rows = project.rows();
  renameSync(project.root, join(project.folder, 'away'));
  const refused = { code: 'ROOT_UNAVAILABLE' };
  await assert.rejects(project.reconcile(), refused);
  await assert.rejects(project.follow('d0', 'd1/f1'), refused);
  symlinkSync(join(project.folder, 'away'), project.root);
  await assert.rejects(project.reconcile(), refused);
  rmSync(project.root);
  writeFileSync(project.root, '');
  await assert.rejects(project.reconcile(), refused);
  assert.deepEqual(project.rows(), rows);
  assert.ok(!pathsBelow(project.folder).includes('versions'));
});
