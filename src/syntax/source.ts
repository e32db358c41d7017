/**
 * Bytes to text and back, without losing one.
 *
 * Invariant: `encodeSource(s.text, s.encoding)` equals the bytes that `decodeSource` was given, for any bytes.
 */
import { isUtf8 } from 'node:buffer';

/** How a file's bytes became text. `latin1` maps each byte to one code unit, so it is exact for any bytes. */
export type Encoding = 'utf8' | 'latin1';

export interface Source {
  readonly encoding: Encoding;
  /** The whole file; a byte order mark stays in it as U+FEFF. */
  readonly text: string;
  /** A NUL byte near the start: kept byte for byte, but neither parsed nor chunked. */
  readonly binary: boolean;
}

/** git's own rule (buffer_is_binary in xdiff-interface.c), so both tools call the same files binary. */
const binaryProbeBytes = 8_000;

/** Never throws: bytes that are not valid UTF-8 become latin1 text. */
export function decodeSource(bytes: Buffer): Source {
  const encoding: Encoding = isUtf8(bytes) ? 'utf8' : 'latin1';
  return {
    encoding,
    text: bytes.toString(encoding),
    binary: bytes.subarray(0, binaryProbeBytes).includes(0),
  };
}

/** The inverse of `decodeSource`. `text` must come from it: a lone surrogate has no UTF-8 form. */
export function encodeSource(text: string, encoding: Encoding): Buffer {
  return Buffer.from(text, encoding);
}
