import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Daemon, Project } from '../harness/daemon.js';
import { cannotMount } from '../harness/mounting.js';
import { Sandbox, writeFiles } from '../harness/sandbox.js';
import { git, repositoryIn } from '../reconcile/repository.js';
import { codekeep } from '../harness/command.js';
import { filesOf } from '../harness/trees.js';
import { waitFor } from '../harness/waiting.js';

/** In a user namespace of its own a process may lower its limits. */
const canUnshare = spawnSync('unshare', ['--user', '--map-root-user', 'true']).status === 0;
const skip = canUnshare ? false : 'this machine allows no user namespaces';
const limitPath = '/proc/sys/user/max_inotify_watches';
const limitedTo = (watches: number): string[] => {
  const script = `echo ${watches} > ${limitPath}; exec "$@"`;
  return ['unshare', '--user', '--map-root-user', 'sh', '-c', script, 'sh'];
};

/** Nothing is compared as a whole unless somebody asks for it. */
const config = { autostart: ['file_watcher'], reconcile_interval: 3_600, log_level: 'debug' };
const folders = Array.from({ length: 40 }, (_, number) => `folder${number}`);
const files = Object.fromEntries(
  folders.flatMap((folder) =>
    ['a.py', 'b.py', 'in/c.py'].map((name) => [`${folder}/${name}`, `x = '${folder}'\n`]),
  ),
);

interface Polled {
  sandbox: Sandbox;
  daemon: Daemon;
  project: Project;
  root: string;
}

/** A project of 81 folders, of which a few may be watched. */
async function withFewWatches(t: TestContext, watches: number): Promise<Polled> {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project(files);
  const daemon = await sandbox.startDaemon({ config, under: limitedTo(watches) });
  return { sandbox, daemon, project: await daemon.addProject(root), root };
}

async function untilFollowed(daemon: Daemon, { project_id, root_dir }: Project): Promise<void> {
  await waitFor(
    'the index follows the disk',
    async () => {
      const indexed = (await daemon.files(project_id)).map(({ path, sha256 }) => [path, sha256]);
      assert.deepEqual(
        indexed,
        [...filesOf(root_dir, ['.git'])].map(([path, { content }]) => [path, content]),
      );
      return true;
    },
    30_000,
  );
}

async function reasonOf(daemon: Daemon, { project_id }: Project): Promise<string> {
  const { freshness, reason } = await daemon.call('get_project_status', { project_id });
  return `${freshness}: ${reason}`;
}

/** Why files are marked deleted, and how many. */
function causesOf(daemon: Daemon): unknown[] {
  const query = 'SELECT cause, count(*) AS files FROM files WHERE deleted = 1 GROUP BY cause';
  return daemon.sql((db) => db.prepare(query).all());
}

/** Inode numbers of all that a process watches, as /proc tells them. */
function watchedInodes(pid: number): number[] {
  const infos = readdirSync(`/proc/${pid}/fdinfo`).map((fd) =>
    readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'),
  );
  return [...infos.join('\n').matchAll(/^inotify wd:\w+ ino:(?<ino>[0-9a-f]+)/gmu)].map(({ groups }) =>
    Number.parseInt(groups?.['ino'] ?? '', 16),
  );
}

function logOf({ stateDir }: Daemon): string[] {
  return readFileSync(join(stateDir, 'logs/file_watcher.log'), 'utf8').split('\n');
}

test(
  'with too few watches the rest is polled: every change is followed, and the status says how old it is',
  { skip },
  async (t) => {
    const { daemon, project, root } = await withFewWatches(t, 12);
    const polled =
      /^stale: \d+ of 81 folders are polled: \d+ have no watch \(.*raise user\.max_inotify_watches .*\); what is known of polled folders is \d+ s old at most$/;
    assert.match(await reasonOf(daemon, project), polled);
    for (const folder of folders) {
      writeFileSync(join(root, folder, 'a.py'), 'changed = 1\n');
      rmSync(join(root, folder, 'b.py'));
      writeFileSync(join(root, folder, 'in/new.py'), 'new = 1\n');
      await writeFiles(join(root, folder), { 'more/of/it/d.py': 'd = 1\n' });
    }
    await untilFollowed(daemon, project);
    const deleted = await daemon.files(project.project_id, true);
    assert.equal(deleted.length, folders.length);
    // Folders that appear, move and go, also below others that nobody watches.
    for (const folder of folders.slice(0, 20))
      renameSync(join(root, folder, 'more'), join(root, folder, 'in/moved'));
    renameSync(join(root, 'folder20/in'), join(root, 'in20'));
    renameSync(join(root, 'folder21'), join(root, 'aside'));
    renameSync(join(root, 'folder22'), join(root, 'folder21'));
    rmSync(join(root, 'folder23'), { recursive: true });
    rmSync(join(root, 'folder24'), { recursive: true });
    writeFileSync(join(root, 'folder24'), 'a file by now\n');
    await untilFollowed(daemon, project);
    for (const path of ['folder3/in/moved/of/it', 'folder21/in', 'in20', 'aside/more/of', ''])
      writeFileSync(join(root, path, 'last.py'), 'last = 1\n');
    await untilFollowed(daemon, project);
    const warnings = logOf(daemon).filter((line) => line.includes('"level":"warn"'));
    assert.equal(warnings.length, 1, 'it is told once');
    await waitFor('all is followed', async () =>
      polled.test((await reasonOf(daemon, project)).replace(/of \d+/u, 'of 81')),
    );
  },
);

test('without any watch, too, everything is followed', { skip }, async (t) => {
  const { sandbox, daemon, project, root } = await withFewWatches(t, 0);
  assert.match(await reasonOf(daemon, project), /^stale: 81 of 81 folders are polled: 81 have no watch/);
  const { stdout } = await codekeep(sandbox, 'doctor', '--state-dir', daemon.stateDir);
  assert.match(stdout, /^warn +project .*: stale, 81 of 81 folders are polled: /m);
  writeFileSync(join(root, 'folder7/in/c.py'), 'changed = 1\n');
  rmSync(join(root, 'folder9'), { recursive: true });
  await untilFollowed(daemon, project);
});

test('where folders lie deep in each other, each has its turn soon', { skip }, async (t) => {
  const sandbox = await Sandbox.create(t);
  const nested = (depth: number): string => 'deepdir/'.repeat(depth);
  const root = await sandbox.project({ 'a.py': 'a = 1\n', [`${nested(300)}z.py`]: 'z = 1\n' });
  const daemon = await sandbox.startDaemon({ config, under: limitedTo(5) });
  const project = await daemon.addProject(root);
  assert.match(await reasonOf(daemon, project), /^stale: 29\d of 301 folders are polled/);
  for (const depth of [20, 150, 300]) writeFileSync(join(root, nested(depth), 'new.py'), 'new = 1\n');
  await untilFollowed(daemon, project);
});

const isRoot = process.getuid?.() === 0;

test(
  'what cannot be read is tried once, and not at each turn',
  { skip: isRoot ? skip : 'needs root' },
  async (t) => {
    const { daemon, project, root } = await withFewWatches(t, 0);
    const unreadable = join(root, 'folder5/secret.py');
    writeFileSync(unreadable, 'secret = 1\n', { mode: 0o600 });
    // Of somebody whom the daemon's user namespace does not know: there, root may not read it either.
    chownSync(unreadable, 12_345, 12_345);
    const tries = (): number =>
      logOf(daemon).filter((line) => line.includes('skipped folder5/secret.py')).length;
    await waitFor('it is tried', () => tries() > 0);
    for (const content of ['1', '22']) {
      writeFileSync(join(root, 'folder5/a.py'), content);
      await waitFor('a turn goes by', () =>
        daemon.sql(
          (db) => db.prepare('SELECT 1 FROM files WHERE size = ?').get(content.length) !== undefined,
        ),
      );
      await waitFor('all is followed', async () => (await reasonOf(daemon, project)).includes('polled: '));
    }
    assert.equal(tries(), 1);
    chownSync(unreadable, 0, 0);
    await untilFollowed(daemon, project);
  },
);

test(
  'what takes the place of a watched folder is followed, where nobody watches those above it, too',
  { skip },
  async (t) => {
    // The root, and those three in which something changed last.
    const { sandbox, daemon, project, root } = await withFewWatches(t, 4);
    const watcher = (await daemon.workerPid('file_watcher')) ?? assert.fail('no watcher');
    await writeFiles(root, { 'folder10/in/deep/d.py': 'd = 1\n' });
    await untilFollowed(daemon, project);
    // One is replaced itself, the other one with the folder that it is in.
    for (const [watched, replaced] of [
      ['folder11/in', 'folder11/in'],
      ['folder10/in/deep', 'folder10/in'],
    ] as const) {
      for (const written of [['folder12', 'folder13', 'folder14'], [watched]]) {
        for (const folder of written) writeFileSync(join(root, folder, 'new.py'), `new = '${watched}'\n`);
        await untilFollowed(daemon, project);
      }
      await waitFor('it is watched', () =>
        watchedInodes(watcher).includes(lstatSync(join(root, watched)).ino),
      );
      const place = join(root, replaced);
      const other = sandbox.path('other');
      await cp(place, other, { recursive: true });
      writeFileSync(join(other, watched.slice(replaced.length), 'new.py'), 'another = 1\n');
      renameSync(place, sandbox.path('aside'));
      renameSync(other, place);
      await untilFollowed(daemon, project);
      writeFileSync(join(root, watched, 'last.py'), 'last = 1\n');
      await untilFollowed(daemon, project);
      rmSync(sandbox.path('aside'), { recursive: true });
    }
  },
);

test(
  'a folder in which something changed gets the watch of one in which nothing does',
  { skip },
  async (t) => {
    const { daemon, project, root } = await withFewWatches(t, 5);
    const watcher = (await daemon.workerPid('file_watcher')) ?? assert.fail('no watcher');
    const isWatched = (folder: string): boolean =>
      watchedInodes(watcher).includes(lstatSync(join(root, folder)).ino);
    const unwatched = folders.filter((folder) => !isWatched(folder));
    assert.ok(unwatched.length > 30);
    for (const folder of unwatched.slice(0, 3)) writeFileSync(join(root, folder, 'a.py'), 'changed = 1\n');
    await untilFollowed(daemon, project);
    await waitFor('they are watched', () => unwatched.slice(0, 3).every(isWatched));
    assert.ok(isWatched(''), 'the root stays watched');
    assert.ok(watchedInodes(watcher).length <= 5);
  },
);

test('when the limit was raised, a comparison of the whole tree puts the watches on', { skip }, async (t) => {
  const { daemon, project, root } = await withFewWatches(t, 12);
  assert.match(await reasonOf(daemon, project), /^stale/);
  const enter = ['--user', `--target=${daemon.pid}`, '--preserve-credentials', 'sh', '-c'];
  execFileSync('nsenter', [...enter, `echo 1000 > ${limitPath}`]);
  await daemon.call('wait_until_fresh', { project_id: project.project_id });
  await waitFor('fresh', async () => (await reasonOf(daemon, project)) === 'fresh: null');
  writeFileSync(join(root, 'folder39/in/c.py'), 'changed = 1\n');
  await untilFollowed(daemon, project);
});

test('where a file system tells of nothing, folders are polled, and git switches are followed', async (t) => {
  const sandbox = await Sandbox.create(t);
  const at = (name: string): string => sandbox.path('layers', name);
  for (const name of ['lower', 'upper', 'work']) mkdirSync(at(name), { recursive: true });
  await writeFiles(at('lower'), files);
  const root = sandbox.path('all');
  const layers = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
  // Overlays are not made on every file system.
  if (!sandbox.mount(root, '-t', 'overlay', '-o', layers, 'overlay')) return t.skip(cannotMount);
  const daemon = await sandbox.startDaemon({ config });
  const project = await daemon.addProject(root);
  assert.match(
    await reasonOf(daemon, project),
    /^stale: 81 of 81 folders are polled: no events .* on overlay; what is known/,
  );
  // Below the layer that is seen.
  writeFileSync(join(at('lower'), 'folder30/in/c.py'), 'changed below\n');
  writeFileSync(join(root, 'folder31/a.py'), 'changed above\n');
  await untilFollowed(daemon, project);
  repositoryIn(root);
  git(root, 'add', '.');
  git(root, 'commit', '-qm', 'all');
  git(root, 'switch', '-qc', 'less');
  git(root, 'rm', '-qr', 'folder32');
  git(root, 'commit', '-qm', 'less');
  git(root, 'switch', '-q', 'main');
  await untilFollowed(daemon, project);
  await waitFor('what git tracks is known', () =>
    daemon.sql(
      (db) => db.prepare('SELECT 1 FROM files WHERE tracked = 0 AND deleted = 0').get() === undefined,
    ),
  );
  git(root, 'switch', '-q', 'less');
  await untilFollowed(daemon, project);
  // git removes files before it moves HEAD: a look in between has seen them go.
  await waitFor('it is known that git did it', () => {
    assert.deepEqual(causesOf(daemon), [{ cause: 'git', files: 3 }]);
    return true;
  });
  return undefined;
});
