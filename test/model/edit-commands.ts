import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { command, type ModelCommand, type Pick, picked } from './command.js';
import { isBelow, type Model } from './model.js';
import { mountPoint, type World } from './world.js';

/** What the user does to files and folders, with no word to the daemon. */

/** `stealth` gives the size and the mtime back, as `touch -r` and some build tools do. */
export type EditKind = 'in place' | 'by rename' | 'append' | 'stealth';

/** Where the user can write: the top folder and those that are there and not below a mount that is away. */
function folders(model: Model): string[] {
  const places = ['', ...model.paths('folder')];
  return places.filter((folder) => canChange(model, folder));
}

function files(model: Model): string[] {
  return model.paths('file').filter((path) => canChange(model, path));
}

function canChange(model: Model, path: string): boolean {
  const { away } = model;
  return away === null || (away.point !== '' && path !== away.point && !isBelow(path, away.point));
}

/** Folders that can be moved: not the place of a mount. */
function movable(model: Model): string[] {
  return [...model.paths('folder')].filter((path) => path !== mountPoint && canChange(model, path));
}

/** Not the rules: their commands make and remove them, and elsewhere they would mean something else. */
function ordinary(model: Model): string[] {
  return files(model).filter((path) => path !== '.gitignore');
}

const hasFile = (model: Model): boolean => ordinary(model).length > 0;

function joined(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

export function editFile(pick: Pick, kind: EditKind, content: Buffer): ModelCommand {
  return command({
    name: `edit ${kind}`,
    possible: hasFile,
    act(model, world) {
      const path = picked(ordinary(model), pick);
      edit(model, world, path, kind, content);
      model.note();
      return path;
    },
  });
}

function edit(model: Model, world: World, path: string, kind: EditKind, content: Buffer): void {
  const entry = model.entry(path);
  if (entry.kind !== 'file') throw new Error(`${path} is no file`);
  const { inode } = entry;
  const absolute = world.at(path);
  if (kind === 'by rename') {
    const temporary = `${absolute}.new`;
    writeFileSync(temporary, content);
    chmodSync(temporary, inode.mode);
    renameSync(temporary, absolute);
    model.put(path, { kind: 'file', inode: { bytes: content, mode: inode.mode } });
  } else if (kind === 'append') {
    appendFileSync(absolute, content);
    inode.bytes = Buffer.concat([inode.bytes, content]);
  } else if (kind === 'stealth') {
    const { atime, mtime } = lstatSync(absolute);
    inode.bytes = Buffer.from(inode.bytes.map((byte) => byte ^ 1));
    writeFileSync(absolute, inode.bytes);
    utimesSync(absolute, atime, mtime);
  } else {
    writeFileSync(absolute, content);
    inode.bytes = content;
  }
}

export function createFile(folder: Pick, name: string, content: Buffer, mode: number): ModelCommand {
  return command({
    name: 'create',
    possible: (model) => folders(model).length > 0 && model.away?.point !== '',
    act(model, world) {
      const path = joined(picked(folders(model), folder), name);
      if (model.tree.has(path)) return `${path} (is there)`;
      writeFileSync(world.at(path), content);
      chmodSync(world.at(path), mode);
      model.put(path, { kind: 'file', inode: { bytes: content, mode } });
      model.note();
      return path;
    },
  });
}

export function makeFolder(folder: Pick, name: string, mode: number): ModelCommand {
  return command({
    name: 'mkdir',
    possible: (model) => folders(model).length > 0,
    act(model, world) {
      const path = joined(picked(folders(model), folder), name);
      if (model.tree.has(path)) return `${path} (is there)`;
      mkdirSync(world.at(path));
      chmodSync(world.at(path), mode);
      model.put(path, { kind: 'folder', mode });
      model.note();
      return path;
    },
  });
}

export function removeFile(pick: Pick): ModelCommand {
  return command({
    name: 'rm',
    possible: (model) => links(model).length > 0,
    act(model, world) {
      const path = picked(links(model), pick);
      unlinkSync(world.at(path));
      model.take(path);
      return path;
    },
  });
}

function links(model: Model): string[] {
  return model.paths('file', 'symlink').filter((path) => canChange(model, path));
}

export function removeFolder(pick: Pick): ModelCommand {
  return command({
    name: 'rm -r',
    possible: (model) => movable(model).length > 0,
    act(model, world) {
      const path = picked(movable(model), pick);
      rmSync(world.at(path), { recursive: true });
      model.take(path);
      return path;
    },
  });
}

/** Of a file or a whole folder; onto what is there already it is left out. */
export function rename(what: 'file' | 'folder', pick: Pick, folder: Pick, name: string): ModelCommand {
  const from = what === 'file' ? ordinary : movable;
  return command({
    name: `mv ${what}`,
    possible: (model) => from(model).length > 0,
    act(model, world) {
      const source = picked(from(model), pick);
      const target = joined(picked(folders(model), folder), name);
      const isInto = target === source || isBelow(target, source);
      if (isInto || model.tree.has(target) || isOtherDisk(source, target))
        return `${source} ${target} (not done)`;
      renameSync(world.at(source), world.at(target));
      model.give(target, model.take(source));
      model.note();
      return `${source} ${target}`;
    },
  });
}

function isOtherDisk(a: string, b: string): boolean {
  return isBelow(a, mountPoint) !== isBelow(b, mountPoint);
}

/** Out of the project, as file managers do it. */
export function trash(what: 'file' | 'folder', pick: Pick): ModelCommand {
  const from = what === 'file' ? ordinary : movable;
  return command({
    name: `trash ${what}`,
    possible: (model) => from(model).length > 0,
    act(model, world) {
      const path = picked(from(model), pick);
      const place = world.trashPlace();
      world.moveOut(path, place);
      model.take(path);
      return path;
    },
  });
}

export function chmod(pick: Pick, mode: number): ModelCommand {
  const from = (model: Model): string[] => [...files(model), ...movable(model)];
  return command({
    name: `chmod ${mode.toString(8)}`,
    possible: (model) => from(model).length > 0,
    act(model, world) {
      const path = picked(from(model), pick);
      const entry = model.entry(path);
      chmodSync(world.at(path), mode);
      if (entry.kind === 'file') entry.inode.mode = mode;
      else if (entry.kind === 'folder') entry.mode = mode;
      model.note();
      return path;
    },
  });
}

export function makeSymlink(folder: Pick, name: string, target: string): ModelCommand {
  return command({
    name: `ln -s ${target}`,
    possible: (model) => folders(model).length > 0,
    act(model, world) {
      const path = joined(picked(folders(model), folder), name);
      if (model.tree.has(path)) return `${path} (is there)`;
      symlinkSync(target, world.at(path));
      model.put(path, { kind: 'symlink', target });
      model.note();
      return path;
    },
  });
}

export function hardLink(pick: Pick, folder: Pick, name: string): ModelCommand {
  return command({
    name: 'ln',
    possible: hasFile,
    act(model, world) {
      const source = picked(ordinary(model), pick);
      const path = joined(picked(folders(model), folder), name);
      if (model.tree.has(path) || isOtherDisk(source, path)) return `${source} ${path} (not done)`;
      linkSync(world.at(source), world.at(path));
      model.put(path, model.entry(source));
      model.note();
      return `${source} ${path}`;
    },
  });
}

/** A rule that ignores everything, or one name; null takes the rules away. */
export function setRule(rule: string | null): ModelCommand {
  return command({
    name: rule === null ? 'no rules' : `ignore ${rule}`,
    possible: (model) => canChange(model, '.gitignore') && (rule !== null || model.tree.has('.gitignore')),
    act(model, world) {
      if (rule === null) unlinkSync(world.at('.gitignore'));
      else writeFileSync(world.at('.gitignore'), `${rule}\n`);
      model.take('.gitignore');
      if (rule !== null)
        model.put('.gitignore', {
          kind: 'file',
          inode: { bytes: Buffer.from(`${rule}\n`), mode: lstatSync(world.at('.gitignore')).mode & 0o777 },
        });
      model.note();
      return '';
    },
  });
}
