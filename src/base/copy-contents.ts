import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Read and hashed at a time: about a millisecond, after which others have their turn. */
const chunkBytes = 1024 * 1024;

const zeros = Buffer.alloc(chunkBytes);

/**
 * SHA-256 of a regular file of any size, without holding it in memory.
 * @throws the signal's reason; ELOOP for a symlink, and an error for anything else that is no file
 */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const file = await openForReading(path);
  try {
    return await hashContents(file, signal);
  } finally {
    await file.close();
  }
}

/** A regular file; never waits, as the opening of a fifo would. */
export async function openForReading(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Error('it is not a regular file');
}

async function hashContents(file: FileHandle, signal?: AbortSignal): Promise<string> {
  return await eachChunk(file, signal, async () => {});
}

/** Copies a file's bytes into an empty one; what is zeros there becomes a hole. Gives their SHA-256. */
export async function copyContents(from: FileHandle, to: FileHandle, signal?: AbortSignal): Promise<string> {
  let end = 0;
  const hash = await eachChunk(from, signal, async (chunk, position) => {
    end = position + chunk.byteLength;
    if (!chunk.equals(zeros.subarray(0, chunk.byteLength))) await writeAll(to, chunk, position);
  });
  await to.truncate(end);
  return hash;
}

async function eachChunk(
  file: FileHandle,
  signal: AbortSignal | undefined,
  use: (chunk: Buffer, position: number) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(chunkBytes);
  for (let position = 0; ;) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, position);
    if (bytesRead === 0) return hash.digest('hex');
    const chunk = buffer.subarray(0, bytesRead);
    hash.update(chunk);
    await use(chunk, position);
    position += bytesRead;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}
