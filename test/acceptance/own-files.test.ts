import assert from 'node:assert/strict';
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Daemon } from '../harness/daemon.js';
import { Sandbox } from '../harness/sandbox.js';

/** How a state directory may be reached from within a project, and under which name. */
const ways: Record<string, (sandbox: Sandbox, stateDir: string, root: string) => string | null> = {
  directly: () => 'state/index.db',
  'through a symlink': (_sandbox, stateDir, root) => {
    symlinkSync(stateDir, join(root, 'linked'));
    return 'linked/index.db';
  },
  'by a hard link of the database': (_sandbox, stateDir, root) => {
    linkSync(join(stateDir, 'index.db'), join(root, 'hard.db'));
    return 'hard.db';
  },
  'by a bind mount': (sandbox, stateDir, root) =>
    sandbox.mount(join(root, 'bound'), '--bind', stateDir) ? 'bound/index.db' : null,
};

for (const [way, lead] of Object.entries(ways)) {
  test(`a state directory that is reached ${way} is no content, and stays whole`, async (t) => {
    const sandbox = await Sandbox.create(t);
    const root = await sandbox.project({ 'a.py': 'a = 1\n' });
    const stateDir = way === 'directly' ? join(root, 'state') : sandbox.path('state');
    const daemon = await sandbox.startDaemon({ stateDir });
    const { project_id } = await daemon.addProject(root);
    const database = lead(sandbox, stateDir, root);
    if (database === null) return t.skip('a bind mount cannot be made here');

    await writesSurvive(daemon, project_id, root);
    const refusal = await daemon.refusal('delete_file', { project_id, path: database });
    assert.equal(refusal.code, 'PATH_OUTSIDE_ROOT');
    const { entries } = await daemon.call('list_unprotected', { project_id });
    assert.deepEqual(entries, []);
    assert.equal((await daemon.call('check_database', { deep: true })).ok, true);

    await daemon.stop('SIGKILL');
    const next = await sandbox.startDaemon({ stateDir });
    await next.call('wait_until_fresh', { project_id });
    const content = (await next.paths(project_id)).filter((path) => path.endsWith('.py'));
    assert.deepEqual(content, ['a.py', 'n0.py', 'n1.py', 'n2.py'], 'what was committed is there');
  });
}

/** Comparing the tree closes whatever it opened: locks of a database that it took for content would go with that. */
async function writesSurvive(daemon: Daemon, project_id: string, root: string): Promise<void> {
  for (let number = 0; number < 3; number += 1) {
    writeFileSync(join(root, `n${number}.py`), `n = ${number}\n`);
    await daemon.call('wait_until_fresh', { project_id });
    const foreign = (await daemon.paths(project_id)).filter((path) => !/^(?:[an]\d?\.py|linked)$/.test(path));
    assert.deepEqual(foreign, []);
  }
}

test('the state directory and versions directories are refused as projects, by whatever path', async (t) => {
  const sandbox = await Sandbox.create(t);
  const root = await sandbox.project({ 'a.py': 'a = 1\n' });
  const daemon = await sandbox.startDaemon({ config: { autostart: [] } });
  const versions = sandbox.path('versions');
  await daemon.addProject(root, { version_dir: versions });
  await daemon.call('delete_file', { root_dir: root, path: 'a.py' });
  mkdirSync(join(versions, 'below'));
  symlinkSync(versions, sandbox.path('link'));
  const own = [
    daemon.stateDir,
    join(daemon.stateDir, 'logs'),
    versions,
    join(versions, 'below'),
    sandbox.path('link'),
  ];
  if (sandbox.mount(sandbox.path('bound'), '--bind', versions)) own.push(sandbox.path('bound'));
  else t.diagnostic('a bind mount cannot be made here');
  for (const root_dir of own)
    assert.equal((await daemon.refusal('add_project', { root_dir })).code, 'INVALID_PARAMS', root_dir);
});
