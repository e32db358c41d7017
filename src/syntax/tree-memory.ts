/**
 * Reads a tree-sitter tree where it lies in the WASM memory.
 *
 * A cursor takes half a dozen calls into WASM per element, each of which finds anew where it stands: 0.3 to 0.5 of the
 * time to parse. This takes 0.10 to 0.16 with all that is made of it, and gives what the cursor gives: visible nodes in preorder, with their
 * aliases and fields (tree_cursor.c; hidden nodes are passed through, and hand the field that they have down).
 *
 * How a grammar's tables lie is part of tree-sitter's ABI (parser.h, versions 13 to 15). How a tree lies is
 * not: it is as subtree.h and tree.h of web-tree-sitter 0.27 have it, for 32-bit pointers. So nothing here is
 * believed. What can be asked through the API (ABI version, sizes of tables, number of nodes) is compared, loops are
 * bounded by the memory, and where something does not fit the caller takes a cursor.
 */
import type { Language as Grammar, Node } from 'web-tree-sitter';

/** Takes what a walk comes to. Offsets are UTF-16 units. */
export interface TreeSink {
  /** How many nodes are open, the root included. */
  readonly depth: number;
  /** Elements so far. */
  readonly count: number;
  openNode(typeId: number, fieldId: number, start: number): void;
  token(typeId: number, fieldId: number, start: number, end: number): void;
  closeNode(end: number): void;
}

/** tree-sitter's symbol for ERROR, which is in no grammar's table (ts_builtin_sym_error). */
export const errorTypeId = 0xffff;

const abiVersionMin = 13;
const abiVersionMax = 15;

/** TSTree, in words of 4 bytes. */
const treeLanguage = 2;

/** TSLanguage, in words; a grammar is compiled with it. */
const languageAbiVersion = 0;
const languageSymbolCount = 1;
const languageAliasCount = 2;
const languageProductionCount = 7;
const languageFieldCount = 8;
const languageAliasWidth = 9;
const languageFieldSlices = 16;
const languageFieldEntries = 17;
const languagePublicSymbols = 19;
const languageAliases = 21;

/**
 * Subtree: 2 words, a pointer or, where bit 0 is set, a small token itself. Bits of the first word, which in
 * SubtreeHeapData are one lower; symbol in the second byte; sizes in the upper half of the second word, a byte each.
 */
const subtreeWords = 2;
const isInlineBit = 1;
const inlineVisibleBit = 2;
const inlineExtraBit = 8;

/** SubtreeHeapData, in words; its children stand before it. */
const dataPadding = 1;
const dataSize = 4;
const dataChildCount = 9;
const dataSymbol = 10;
const dataFlags = 11;
/** Only where there are children. */
const dataVisibleChildCount = 12;
/** In the upper half. */
const dataProduction = 16;
const visibleBit = 1;
const extraBit = 4;

/** In `inherited`: the frame is of a visible node, which has its field itself. */
const isVisible = -1;

/** What a walk needs of a grammar. */
interface Tables {
  readonly publicSymbols: Uint16Array;
  /** Per production and child, `aliasWidth` children each: the symbol that it has there; 0: its own. */
  readonly aliases: Uint16Array;
  readonly aliasWidth: number;
  /** Per production and child, `fieldWidth` children each: its field; 0: none. */
  readonly fields: Uint16Array;
  readonly fieldWidth: number;
}

/** By grammar, each of which is in one memory. */
const known = new WeakMap<Grammar, Tables>();

function tablesOf(words: Uint32Array, grammar: Grammar, language: number): Tables | null {
  let tables = known.get(grammar) ?? null;
  if (tables === null) {
    tables = readTables(words, grammar, language);
    if (tables !== null) known.set(grammar, tables);
  }
  return tables;
}

function readTables(words: Uint32Array, grammar: Grammar, language: number): Tables | null {
  const word = (at: number): number => words[language + at] ?? 0;
  const abiVersion = word(languageAbiVersion);
  const isKnown = abiVersion >= abiVersionMin && abiVersion <= abiVersionMax;
  if (!isKnown || abiVersion !== grammar.abiVersion) return null;
  if (word(languageSymbolCount) + word(languageAliasCount) !== grammar.nodeTypeCount) return null;
  if (word(languageFieldCount) !== grammar.fieldCount) return null;
  const halves = new Uint16Array(words.buffer);
  const copy = (at: number, length: number): Uint16Array =>
    halves.slice(word(at) >>> 1, (word(at) >>> 1) + length);
  const productions = word(languageProductionCount);
  const aliasWidth = word(languageAliasWidth) & 0xffff;
  return {
    publicSymbols: copy(languagePublicSymbols, grammar.nodeTypeCount),
    aliases: copy(languageAliases, productions * aliasWidth),
    aliasWidth,
    ...fieldsOf(words, grammar, language, productions),
  };
}

/** Of several fields that a child of a production has, the first one counts. Those of hidden children's are passed over. */
function fieldsOf(
  words: Uint32Array,
  grammar: Grammar,
  language: number,
  productions: number,
): Pick<Tables, 'fields' | 'fieldWidth'> {
  if (grammar.fieldCount === 0) return { fields: new Uint16Array(0), fieldWidth: 0 };
  const slices = (words[language + languageFieldSlices] ?? 0) >>> 2;
  const entries = (words[language + languageFieldEntries] ?? 0) >>> 2;
  const own: { production: number; child: number; field: number }[] = [];
  let fieldWidth = 0;
  for (let production = 0; production < productions; production++) {
    const slice = words[slices + production] ?? 0;
    const first = slice & 0xffff;
    for (let at = first; at < first + (slice >>> 16); at++) {
      const entry = words[entries + at] ?? 0;
      const isInherited = entry >>> 24 !== 0;
      if (isInherited) continue;
      const child = (entry >>> 16) & 0xff;
      own.push({ production, child, field: entry & 0xffff });
      fieldWidth = Math.max(fieldWidth, child + 1);
    }
  }
  const fields = new Uint16Array(productions * fieldWidth);
  for (const { production, child, field } of own) {
    const at = production * fieldWidth + child;
    if (fields[at] === 0) fields[at] = field;
  }
  return { fields, fieldWidth };
}

/** What is read of a subtree: one object for all of a walk. */
class Subtree {
  typeId = 0;
  visible = false;
  /** It may stand anywhere, and counts for no production. */
  extra = false;
  /** Bytes before it. */
  padding = 0;
  /** Bytes. */
  size = 0;
  visibleChildren = 0;
  /** Where its data are; only where it has visible children. */
  data = 0;

  read(words: Uint32Array, at: number): void {
    const first = words[at] ?? 0;
    this.visibleChildren = 0;
    if ((first & isInlineBit) !== 0) {
      const sizes = words[at + 1] ?? 0;
      this.typeId = (first >>> 8) & 0xff;
      this.visible = (first & inlineVisibleBit) !== 0;
      this.extra = (first & inlineExtraBit) !== 0;
      this.padding = (sizes >>> 16) & 0xff;
      this.size = sizes >>> 24;
      return;
    }
    const data = first >>> 2;
    const flags = words[data + dataFlags] ?? 0;
    this.typeId = (words[data + dataSymbol] ?? 0) & 0xffff;
    this.visible = (flags & visibleBit) !== 0;
    this.extra = (flags & extraBit) !== 0;
    this.padding = words[data + dataPadding] ?? 0;
    this.size = words[data + dataSize] ?? 0;
    if (words[data + dataChildCount] !== 0) this.visibleChildren = words[data + dataVisibleChildCount] ?? 0;
    this.data = data;
  }
}

/** Why a walk has ended. 'unfit': the memory is not as expected, or a nest goes too deep, which is for a cursor to say. */
export type WalkEnd = 'paused' | 'complete' | 'unfit';

/** One walk over all that is below a root. */
export class TreeMemoryWalk {
  readonly #tables: Tables;
  readonly #child = new Subtree();
  readonly #nodes: number;
  #visited = 1;
  #steps = 0;
  /**
   * The frames that are open, hidden nodes included. Of each: where its data are, how many of its children are done
   * and how many of these count for its production, the bytes up to them, its end in bytes, and the field that it
   * hands down or `isVisible`.
   */
  readonly #data: number[];
  readonly #done = [0];
  readonly #structural = [0];
  readonly #position: number[];
  readonly #end = [0];
  readonly #inherited = [isVisible];
  #depth = 0;

  private constructor(tables: Tables, root: Node, data: number) {
    this.#tables = tables;
    this.#nodes = root.descendantCount;
    this.#data = [data];
    this.#position = [root.startIndex * 2];
  }

  /**
   * Null where the memory is not as expected.
   * @param words the runtime's memory
   */
  static begin(words: Uint32Array, grammar: Grammar, root: Node): TreeMemoryWalk | null {
    // The root is the first thing in TSTree, and a node's id is the address of its subtree.
    const tree = root.id >>> 2;
    const tables = tablesOf(words, grammar, (words[tree + treeLanguage] ?? 0) >>> 2);
    const subtree = words[tree] ?? isInlineBit;
    if (tables === null || (subtree & isInlineBit) !== 0) return null;
    return new TreeMemoryWalk(tables, root, subtree >>> 2);
  }

  /**
   * Goes on until `sink` has `countMax` elements or `depthMax` open nodes. After 'unfit', what the sink got is wrong.
   * @param words the runtime's memory, which may have grown since the last time
   */
  go(words: Uint32Array, sink: TreeSink, countMax: number, depthMax: number): WalkEnd {
    const { publicSymbols, aliases, aliasWidth, fields, fieldWidth } = this.#tables;
    const stepsMax = words.length / subtreeWords;
    const child = this.#child;
    let depth = this.#depth;
    let data = this.#data[depth] ?? 0;
    let done = this.#done[depth] ?? 0;
    let structural = this.#structural[depth] ?? 0;
    let position = this.#position[depth] ?? 0;
    let inherited = this.#inherited[depth] ?? isVisible;
    let childCount = words[data + dataChildCount] ?? 0;
    let production = (words[data + dataProduction] ?? 0) >>> 16;
    while (sink.count < countMax) {
      if (done === childCount) {
        if (depth === 0) return this.#visited === this.#nodes ? 'complete' : 'unfit';
        if (inherited === isVisible) sink.closeNode((this.#end[depth] ?? 0) >>> 1);
        depth--;
        data = this.#data[depth] ?? 0;
        done = this.#done[depth] ?? 0;
        structural = this.#structural[depth] ?? 0;
        position = this.#position[depth] ?? 0;
        inherited = this.#inherited[depth] ?? isVisible;
        childCount = words[data + dataChildCount] ?? 0;
        production = (words[data + dataProduction] ?? 0) >>> 16;
        continue;
      }
      // Each child of a tree has its place in memory.
      if (++this.#steps > stepsMax) return 'unfit';
      const at = data - subtreeWords * (childCount - done);
      child.read(words, at);
      const { visibleChildren } = child;
      let { typeId, visible } = child;
      // What is before the first child is before its parent as well.
      const start = done === 0 ? position : position + child.padding;
      const end = start + child.size;
      done++;
      position = end;
      let fieldId = 0;
      if (!child.extra) {
        const alias = production === 0 ? 0 : (aliases[production * aliasWidth + structural] ?? 0);
        if (alias !== 0) {
          typeId = alias;
          visible = true;
        }
        if (structural < fieldWidth) fieldId = fields[production * fieldWidth + structural] ?? 0;
        if (fieldId === 0 && inherited > 0) fieldId = inherited;
        structural++;
      }
      if (visible) {
        this.#visited++;
        if (typeId !== errorTypeId) typeId = publicSymbols[typeId] ?? errorTypeId;
        if (visibleChildren === 0) sink.token(typeId, fieldId, start >>> 1, end >>> 1);
        else if (sink.depth >= depthMax) return 'unfit';
        else sink.openNode(typeId, fieldId, start >>> 1);
      }
      if (visibleChildren === 0) continue;
      this.#done[depth] = done;
      this.#structural[depth] = structural;
      this.#position[depth] = position;
      depth++;
      data = child.data;
      done = 0;
      structural = 0;
      position = start;
      inherited = visible ? isVisible : fieldId;
      childCount = words[data + dataChildCount] ?? 0;
      production = (words[data + dataProduction] ?? 0) >>> 16;
      this.#data[depth] = data;
      this.#end[depth] = end;
      this.#inherited[depth] = inherited;
    }
    this.#done[depth] = done;
    this.#structural[depth] = structural;
    this.#position[depth] = position;
    this.#depth = depth;
    return 'paused';
  }
}
