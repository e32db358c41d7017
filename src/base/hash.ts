import { createHash } from 'node:crypto';

/** SHA-256 of raw bytes as 64 lower-case hex digits: the key of `contents` and the measure of "byte-exact". */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
