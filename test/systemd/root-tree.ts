import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isAlive } from '../harness/processes.js';

/**
 * The tree that the machine boots: a minimal Debian made once and kept, and a copy of it for each run, with the packed
 * package in it as `npm install -g` would have laid it out. Node and what was compiled for it are the host's.
 */

const run = promisify(execFile);
const projectDir = fileURLToPath(new URL('../..', import.meta.url));
const packages = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'dbus-user-session',
  'libpam-systemd',
  'procps',
  'libstdc++6',
  'socat',
];
/** Changes when the packages do, so that an older tree is not taken. */
const treeVersion = 1;

/** Downloading and unpacking some 150 packages. */
const bootstrapMaxMs = 900_000;

/** Where the global npm prefix of the machine keeps packages. */
const globalModules = 'usr/local/lib/node_modules';

/** The suite of the host where it is a Debian: the host's node has to run there. */
function suite(): string {
  const release = readFileSync('/etc/os-release', 'utf8');
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1];
  return /^ID=debian$/m.test(release) && codename !== undefined ? codename : 'bookworm';
}

function cachedTree(): string {
  const { XDG_CACHE_HOME } = process.env;
  const folder = XDG_CACHE_HOME === undefined || XDG_CACHE_HOME === '' ? tmpdir() : XDG_CACHE_HOME;
  return join(folder, `codekeep-debian-${suite()}-${treeVersion}`);
}

async function bootstrap(): Promise<string> {
  const tree = cachedTree();
  if (existsSync(tree)) return tree;
  await mkdir(dirname(tree), { recursive: true });
  const partial = await mkdtemp(`${tree}.`);
  await chmod(partial, 0o755);
  try {
    const include = `--include=${packages.join(',')}`;
    await run('debootstrap', ['--variant=minbase', include, suite(), partial], {
      timeout: bootstrapMaxMs,
      maxBuffer: 64 * 1024 * 1024,
    });
    await run('chroot', [partial, 'apt-get', 'clean']);
    await rename(partial, tree);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return tree;
}

/** What runs that were killed have left; their machines ended with them. */
async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = /^codekeep-machine-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

/** A new tree with the program in it, and no other trace of the host; whoever asks for it removes it. */
export async function makeTree(): Promise<string> {
  await sweep();
  const tree = await mkdtemp(join(tmpdir(), `codekeep-machine-${process.pid}-`));
  try {
    await run('cp', ['--archive', '--reflink=auto', `${await bootstrap()}/.`, tree]);
    await copyFile(process.execPath, join(tree, 'usr/local/bin/node'));
    await installPackage(tree);
    return tree;
  } catch (error) {
    await rm(tree, { recursive: true, force: true });
    throw error;
  }
}

async function installPackage(tree: string): Promise<void> {
  const target = join(tree, globalModules, 'codekeep');
  await mkdir(target, { recursive: true });
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', tree], { cwd: projectDir });
  const [packed] = JSON.parse(stdout) as { filename: string }[];
  if (packed === undefined) throw new Error(`npm pack made nothing: ${stdout}`);
  await run(
    'tar',
    ['--extract', '--strip-components=1', '--no-same-owner', '--file', join(tree, packed.filename)],
    {
      cwd: target,
    },
  );
  await rm(join(tree, packed.filename));
  for (const path of dependencies())
    await cp(join(projectDir, path), join(target, path), { recursive: true, verbatimSymlinks: true });
  // As npm does with what package.json calls "bin".
  await chmod(join(target, 'dist/cli.js'), 0o755);
  await symlink('../lib/node_modules/codekeep/dist/cli.js', join(tree, 'usr/local/bin/codekeep'));
}

/** What `npm install --omit=dev` has, by the lock file; optional packages only where they are installed. */
function dependencies(): string[] {
  const { packages: entries } = JSON.parse(readFileSync(join(projectDir, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>;
  };
  return Object.entries(entries)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .filter(([path, { optional }]) => optional !== true || existsSync(join(projectDir, path)))
    .map(([path]) => path);
}
