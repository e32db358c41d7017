/** What the tests of this folder share: one parser, and the way from bytes to a tree. */
import { createParser } from '#src/syntax/parser.js';
import { decodeSource } from '#src/syntax/source.js';
import type { GreenTree } from '#src/syntax/green-tree.js';
import type { Language } from '#src/syntax/language.js';

const parser = createParser();

export function treeOf(content: string | Buffer, language: Language | null): Promise<GreenTree> {
  return parser.parse(decodeSource(Buffer.from(content)), language);
}

/** Contents that break naive readers, by what is odd about them. */
export const oddContents: Readonly<Record<string, Buffer>> = {
  empty: Buffer.alloc(0),
  'only white space': Buffer.from(' \t\n\n  '),
  'no final newline': Buffer.from('def f():\n  pass'),
  CRLF: Buffer.from('def f():\r\n  pass\r\n'),
  'lone CR': Buffer.from('a = 1\rb = 2\r'),
  'mixed line ends': Buffer.from('a\r\nb\nc\rd\n\r\n'),
  'byte order mark': Buffer.from('\uFEFFconst a = 1;\n'),
  'two byte order marks': Buffer.from('\uFEFF\uFEFFx'),
  'NUL bytes': Buffer.from('a\0b\0'),
  'NUL after the probe': Buffer.concat([Buffer.alloc(8_000, 'x = 1\n'), Buffer.from('\0\0 y')]),
  'invalid UTF-8': Buffer.from([0x61, 0x20, 0x3d, 0x20, 0xff, 0xfe, 0x0a, 0xc3]),
  'cut multi-byte character': Buffer.from('caf\u00e9').subarray(0, 4),
  'astral characters': Buffer.from('const \u{1F600} = "\u{1F600}\u{10FFFF}";'),
  'syntax errors': Buffer.from('def ) class ( { if function = => ;;; """ \' fn'),
  'a long line': Buffer.from(`x = "${'a'.repeat(100_000)}";`),
};

/** A seam in the parser's 10 kB input buffer falls into a surrogate pair for one of two neighbouring offsets. */
export const surrogateSeams: readonly Buffer[] = [0, 1].map((shift) =>
  Buffer.from(`s = "${'-'.repeat(shift)}${'\u{1F600}'.repeat(6_000)}"\n`),
);
