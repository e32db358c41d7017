/**
 * Orders texts by their UTF-8 bytes, as SQLite's BINARY does. JavaScript compares UTF-16 units, which differs where a character
 * beyond U+FFFF (a pair of surrogates, below U+E000) meets one from U+E000 on.
 */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const [one, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (one !== other) return rankOf(one) - rankOf(other);
  }
  return a.length - b.length;
}

/** Of a UTF-16 unit: surrogates behind all others. */
function rankOf(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x1_0000 : unit;
}
