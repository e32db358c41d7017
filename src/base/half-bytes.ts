/** Numbers from -7 to 7, two a byte, the first one in its low half; 0 is none of them. */

/** The largest. */
export const levelMax = 7;
/** What is added, so that they fill four bits. */
const levelOffset = 8;

export function packLevels(levels: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(levels.length / 2));
  for (let i = 0; i < levels.length; i += 1)
    bytes[i >>> 1] = (bytes[i >>> 1] ?? 0) | (((levels[i] ?? 0) + levelOffset) << (4 * (i & 1)));
  return bytes;
}

/** Null where the bytes are not those of so many. */
export function unpackLevels(bytes: Uint8Array, count: number): Int8Array | null {
  if (bytes.length !== Math.ceil(count / 2)) return null;
  const levels = new Int8Array(count);
  for (let i = 0; i < count; i += 1) {
    const level = ((bytes[i >>> 1] ?? 0) >>> (4 * (i & 1))) & 15;
    if (level === 0) return null;
    levels[i] = level - levelOffset;
  }
  return levels;
}
