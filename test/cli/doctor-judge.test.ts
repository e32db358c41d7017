import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '#src/cli/doctor/finding.js';
import {
  type DiskFacts,
  type InotifyFacts,
  isAtLeast,
  judgeDatabase,
  judgeDisk,
  judgeHealth,
  judgeInotify,
  judgeNode,
  judgeProject,
  judgeSocket,
  judgeSqlite,
  judgeStateDir,
  type PathFacts,
  type SocketFacts,
} from '#src/cli/doctor/judge.js';

/** A finding that is not ok always says how to mend it. */
function assertVerdict(finding: Finding | undefined, verdict: Finding['verdict'], message: RegExp): void {
  assert.ok(finding !== undefined);
  assert.deepEqual([finding.verdict, finding.fix === null], [verdict, verdict === 'ok'], finding.message);
  assert.match(finding.message, message);
}

for (const [version, least, expected] of [
  ['20.19.0', '20.19', true],
  ['20.19', '20.19.0', true],
  ['20.18.9', '20.19', false],
  ['v22.0.0-nightly', '20.19', true],
  ['3.53.2', '3.51.3', true],
  ['3.51.10', '3.51.3', true],
  ['3.9.0', '3.51.3', false],
] as const)
  test(`${version} is ${expected ? '' : 'not '}at least ${least}`, () =>
    assert.equal(isAtLeast(version, least), expected));

test('node: too old fails', () => {
  assertVerdict(judgeNode('20.19.1', '>=20.19'), 'ok', /^20\.19\.1/);
  assertVerdict(judgeNode('18.20.0', '>=20.19'), 'fail', /too old/);
});

test('sqlite: a binding that does not load fails, an SQLite with the WAL bug, too', () => {
  assertVerdict(judgeSqlite({ version: '3.53.2' }), 'ok', /3\.53\.2/);
  assertVerdict(judgeSqlite({ version: '3.51.2' }), 'fail', /can damage/);
  assertVerdict(judgeSqlite({ problem: 'Error: wrong ELF class' }), 'fail', /wrong ELF class/);
});

const mine = { uid: 1000, isUsable: true };
const entry: PathFacts = { ...mine, kind: 'socket', mode: 0o600 };
const healthy: SocketFacts = {
  path: '/run/s',
  entry,
  folder: { ...mine, kind: 'folder', mode: 0o700 },
  uid: 1000,
  hasGroup: false,
  answer: { pid: 7, version: '1.0.0' },
  ownVersion: '1.0.0',
};
const sockets: [string, Partial<SocketFacts>, Finding['verdict'], RegExp][] = [
  ['all well', {}, 'ok', /answers \(pid 7\)/],
  ['not there', { entry: { errno: 'ENOENT' } }, 'warn', /no supervisor has made it/],
  ['not to be looked at', { entry: { errno: 'EACCES' } }, 'fail', /EACCES/],
  ['something else', { entry: { ...mine, kind: 'other', mode: 0o600 } }, 'fail', /not a socket/],
  ["another user's", { entry: { ...entry, uid: 5 } }, 'fail', /another user \(5\)/],
  ["another user's, for root", { entry: { ...entry, uid: 5 }, uid: 0 }, 'ok', /answers/],
  ['open to its group, as configured', { entry: { ...entry, mode: 0o660 }, hasGroup: true }, 'ok', /answers/],
  ['open to a group that nobody named', { entry: { ...entry, mode: 0o660 } }, 'fail', /mode 0660/],
  ['open to all, with a group', { entry: { ...entry, mode: 0o666 }, hasGroup: true }, 'fail', /mode 0666/],
  ['open to others', { entry: { ...entry, mode: 0o666 } }, 'fail', /mode 0666/],
  ['in an open folder', { folder: { ...mine, kind: 'folder', mode: 0o777 } }, 'fail', /may replace it/],
  ['in a sticky folder', { folder: { ...mine, kind: 'folder', mode: 0o1777 } }, 'ok', /answers/],
  ['nobody listens', { answer: { problem: 'ECONNREFUSED' } }, 'warn', /nobody answers \(ECONNREFUSED\)/],
  ['another version', { answer: { pid: 7, version: '0.9.0' } }, 'warn', /0\.9\.0.*1\.0\.0/],
];
for (const [name, facts, verdict, message] of sockets)
  test(`socket: ${name}`, () => assertVerdict(judgeSocket({ ...healthy, ...facts }), verdict, message));

const folder: PathFacts = { ...mine, kind: 'folder', mode: 0o700 };
const stateDirs: [string, PathFacts, Finding['verdict'], RegExp][] = [
  ['all well', folder, 'ok', /0700/],
  ['not there yet', { errno: 'ENOENT' }, 'ok', /made at the first start/],
  ['behind a closed door', { errno: 'EACCES' }, 'fail', /EACCES/],
  ['a file', { ...mine, kind: 'other', mode: 0o600 }, 'fail', /not a folder/],
  ['not usable', { ...folder, isUsable: false }, 'fail', /by user 1000/],
  ['open to others', { ...folder, mode: 0o755 }, 'warn', /0755/],
];
for (const [name, facts, verdict, message] of stateDirs)
  test(`state directory: ${name}`, () => assertVerdict(judgeStateDir('/s', facts, 1000), verdict, message));

const inotify: InotifyFacts = {
  watchesMax: { sysctl: 'user.max_inotify_watches', max: 1_000 },
  instancesMax: { sysctl: 'fs.inotify.max_user_instances', max: 100 },
  watches: 10,
  instances: 2,
  folders: 10,
};
const limits: [string, Partial<InotifyFacts>, Finding['verdict'][]][] = [
  ['far away', {}, ['ok', 'ok']],
  ['near for watches', { watches: 900 }, ['warn', 'ok']],
  ['reached for watches', { watches: 1_000 }, ['fail', 'ok']],
  ['more folders are indexed than watches are allowed', { folders: 5_000 }, ['fail', 'ok']],
  ['no supervisor says how many folders', { folders: null }, ['ok', 'ok']],
  ['reached for instances', { instances: 100 }, ['ok', 'fail']],
  ['not readable', { watchesMax: null }, ['warn']],
];
for (const [name, facts, verdicts] of limits)
  test(`inotify limit: ${name}`, () => {
    const findings = judgeInotify({ ...inotify, ...facts });
    assert.deepEqual(
      findings.map(({ verdict }) => verdict),
      verdicts,
    );
  });

test('a limit of inotify that is reached comes with the command that raises it', () => {
  const [watches] = judgeInotify({ ...inotify, folders: 5_000 });
  assert.match(watches?.fix ?? '', /sysctl -w user\.max_inotify_watches=10000/);
});

const none = { deleted: 0, pending: 0, skipped: 0, not_restorable: 0, ignored: 0, without_copy: 0 };
const files = { ...none, total: 2, active: 2 };
const projects: [
  Parameters<typeof judgeProject>[1]['freshness'],
  string | null,
  Finding['verdict'],
  RegExp,
][] = [
  ['fresh', null, 'ok', /^\/p: fresh, 2 files, 0 of them not restorable$/],
  ['stale', '900 of 1000 folders are polled', 'warn', /^\/p: stale, 900 of 1000 folders are polled$/],
  ['unknown', 'the folder is away', 'warn', /^\/p: unknown, the folder is away$/],
];
for (const [freshness, reason, verdict, message] of projects)
  test(`project: ${freshness}`, () =>
    assertVerdict(judgeProject('/p', { freshness, reason, files }), verdict, message));

const gigabyte = 1024 ** 3;
const disk: DiskFacts = { path: '/s', freeBytes: gigabyte, freeInodes: 10_000, indexBytes: 0 };
const disks: [string, Partial<DiskFacts>, Finding['verdict'], RegExp][] = [
  ['enough', {}, 'ok', /1024 MB free/],
  ['nearly full', { freeBytes: 1_000_000 }, 'fail', /1 MB free/],
  ['no inodes', { freeInodes: 3 }, 'fail', /3 inodes/],
  ['inodes are not counted', { freeInodes: null }, 'ok', /MB free/],
  ['less than a backup needs', { indexBytes: gigabyte }, 'warn', /too little to back up/],
];
for (const [name, facts, verdict, message] of disks)
  test(`disk space: ${name}`, () => assertVerdict(judgeDisk({ ...disk, ...facts }), verdict, message));

test('database: the first problems are shown', () => {
  assertVerdict(judgeDatabase({ ok: true, problems: [] }, 'fine'), 'ok', /^fine$/);
  const problems = ['a', 'b', 'c', 'd'];
  assertVerdict(judgeDatabase({ ok: false, problems }, 'fine'), 'fail', /^4 problems: a; b; c$/);
});

test('workers: only what crashes is wrong, with the reason of its last end', () => {
  const states = {
    index_service: 'ready',
    file_watcher: 'failed',
    vectorization: 'backoff',
    repair: 'stopped',
  } as const;
  const problem = (source: string): { source: string; reason: string; hint: string } => ({
    source,
    reason: 'was ended by SIGSEGV',
    hint: 'Look into its log (view_worker_logs repair).',
  });
  const problems = [problem('file_watcher'), problem('vectorization'), problem('socket')];
  const findings = judgeHealth({ workers: states, problems });
  assert.deepEqual(
    findings.map(({ check, verdict }) => [check, verdict]),
    [
      ['worker index_service', 'ok'],
      ['worker file_watcher', 'fail'],
      ['worker vectorization', 'warn'],
      ['worker repair', 'ok'],
      ['socket', 'fail'],
    ],
  );
  assertVerdict(findings[1], 'fail', /^failed: was ended by SIGSEGV$/);
  for (const { fix } of findings.filter(({ verdict }) => verdict !== 'ok'))
    assert.equal(fix, 'Look into its log ("codekeep logs repair").');
});

test('workers: a reason that is a sentence of its own is said as it is, and so is each of several', () => {
  const hint = 'It goes on by itself once that is mended; its log says more.';
  const problems = ['process 12 cannot be ended', 'the disk is full'].map((reason) => ({
    source: 'index_service',
    reason,
    hint,
  }));
  const findings = judgeHealth({ workers: { index_service: 'ready' }, problems });
  assert.deepEqual(
    findings.map(({ message }) => message),
    ['ready: process 12 cannot be ended', 'ready: the disk is full'],
  );
  for (const finding of findings) assertVerdict(finding, 'warn', /^ready: /);
});
