/** A real index in a folder of its own, with rows made by hand. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { sha256 } from '#src/base/hash.js';
import { putContent, unparsedContent } from '#src/store/contents.js';
import { type FileUpsert, upsertFile } from '#src/store/file-states.js';
import { IndexDatabase } from '#src/store/index-database.js';
import { insertProject } from '#src/store/projects.js';
import { temporaryFolder } from '../harness/folder.js';

export function openIndex(t: Pick<TestContext, 'after'>): IndexDatabase {
  const index = IndexDatabase.open(join(temporaryFolder(t), 'index.db'));
  t.after(() => index.close());
  return index;
}

/** Gives the project's id. */
export function addProject(index: IndexDatabase, rootDir = `/nowhere/${randomUUID()}`): string {
  const id = randomUUID();
  const versionDir = join(rootDir, 'data/versions');
  const root = { rootDev: '1', rootIno: '2', rootIdentity: null };
  insertProject(index, { id, rootDir, versionDir, name: 'test', ...root }, 1);
  return id;
}

/** Stores bytes as one token; gives their hash. */
export function addContent(
  index: IndexDatabase,
  content: string | Buffer,
  extractor: string | null = null,
): string {
  const bytes = Buffer.from(content);
  putContent(index, { ...unparsedContent(bytes, sha256(bytes)), extractor }, 1);
  return sha256(bytes);
}

/** Gives the row's id. */
export function addFile(
  index: IndexDatabase,
  projectId: string,
  path: string,
  given: Partial<FileUpsert> = {},
  now = 1,
): number {
  const file: FileUpsert = {
    path,
    kind: 'file',
    size: 0,
    mtimeNs: '1',
    ctimeNs: '1',
    ino: '1',
    dev: '1',
    deviceId: null,
    nlink: 1,
    mode: 0o644,
    uid: 0,
    gid: 0,
    tracked: 0,
    xattrs: null,
    extractor: null,
    language: null,
    sha256: null,
    skipReason: null,
    chunks: 0,
    ...given,
  };
  return upsertFile(index, projectId, file, now);
}

/** Flips one bit of a stored tree. */
export function damageContent(index: IndexDatabase, hash: string, bit: number): void {
  const row = index.sql<[string], { tree: Buffer }>('SELECT tree FROM contents WHERE sha256 = ?').get(hash);
  if (row === undefined) throw new Error(`no content ${hash}`);
  const tree = Buffer.from(row.tree);
  const byte = Math.floor(bit / 8) % tree.length;
  tree.writeUInt8(tree.readUInt8(byte) ^ (1 << (bit % 8)), byte);
  index.sql('UPDATE contents SET tree = ? WHERE sha256 = ?').run(tree, hash);
}

export function countRows(index: IndexDatabase, table: string): number {
  const row = index.sql<[], { count: number }>(`SELECT count(*) AS count FROM ${table}`).get();
  return row?.count ?? -1;
}
