/**
 * How long tokens are, told from the text: a name ends with its letters, a comment with its line. Of each shape the
 * way that was right last is tried first, so that only where it is wrong has the length to be stored.
 *
 * Part of format version 2 of stored trees: whoever reads has to tell what the writer told. Nothing here may change.
 */
import type { Shape } from './green-tree.js';

/** What a unit can be part of. */
export const spacePart = 1;
const wordPart = 2;
const otherPart = 0;

/** Per unit, by its lower byte: letters, digits, `_`, `$` and all that is not ASCII make words. */
export const partOf: Uint8Array = Uint8Array.from({ length: 256 }, (_, unit) => {
  const character = String.fromCharCode(unit);
  if (/[\t\n\f\r ]/.test(character)) return spacePart;
  return /[\w$]/.test(character) || unit >= 0x80 ? wordPart : otherPart;
});

/** Ways to tell a length; each gives -1 where it has nothing to say. */
const asLast = 0;
const wordRun = 1;
const spaceRun = 2;
const toLineEnd = 3;
/** Up to the next unit like the one before the token: the text of a string. */
const toTwinBefore = 4;
/** Up to and with the next unit like its first one: a string that is one token. */
const toTwinOfFirst = 5;
const toCommentEnd = 6;
/** A number with its point. */
const dottedRun = 7;
const ways = 8;
/** Of a shape that has had no token yet: by the kind of the first unit. */
const undecided = 8;

/** Units that are looked at: bounds the time where a way is wrong, and longer tokens are few. */
const unitsMax = 1_024;

const lineEnd = 0x0a;
const asterisk = 0x2a;
const slash = 0x2f;
const point = 0x2e;

/** How many units of one kind stand at `position`; at most `unitsMax` are counted. */
export function runOf(units: Uint8Array, kind: number, position: number): number {
  const limit = Math.min(units.length, position + unitsMax);
  let at = position;
  while (at < limit && partOf[units[at] ?? 0] === kind) at++;
  return at - position;
}

/** Tokens have to be told, and learnt, in their order. */
export class TokenLengths {
  /** The text's UTF-16 units, the lower byte of each. */
  private readonly units: Uint8Array;
  private readonly way: Uint8Array;
  private readonly last: Uint32Array;

  constructor(shapes: readonly Shape[], units: Uint8Array) {
    this.units = units;
    this.way = new Uint8Array(shapes.length);
    this.last = new Uint32Array(shapes.length);
    for (const [id, { kind, named }] of shapes.entries()) {
      this.way[id] = named ? undecided : asLast;
      // Punctuation and keywords are called by their text.
      this.last[id] = named ? 0 : kind.length;
    }
  }

  /** The likely length of a token of `shape` at `position`, or -1. */
  tell(shape: number, position: number): number {
    const way = this.way[shape] ?? asLast;
    return way === asLast ? (this.last[shape] ?? 0) : this.tellBy(way, shape, position, unitsMax);
  }

  /** To be called where another length was told. */
  learn(shape: number, position: number, length: number): void {
    this.last[shape] = length;
    // A way that does not end right behind the token is wrong: it need not look further.
    const reach = Math.min(unitsMax, length + 1);
    for (let way = wordRun; way < ways; way++) {
      if (this.tellBy(way, shape, position, reach) === length) {
        this.way[shape] = way;
        return;
      }
    }
    if (this.way[shape] === undecided) this.way[shape] = asLast;
  }

  private tellBy(way: number, shape: number, position: number, reach: number): number {
    const { units } = this;
    const limit = Math.min(units.length, position + reach);
    switch (way) {
      case wordRun:
        return this.run(wordPart, position, limit);
      case spaceRun:
        return this.run(spacePart, position, limit);
      case toLineEnd: {
        const distance = this.distance(lineEnd, position, limit);
        return distance === -1 && limit === units.length ? limit - position : distance;
      }
      case toTwinBefore:
        return position === 0 ? -1 : this.distance(units[position - 1] ?? 0, position, limit);
      case toTwinOfFirst:
        return 2 + this.distance(units[position] ?? 0, position + 1, limit);
      case toCommentEnd:
        return this.toCommentEnd(position, limit);
      case dottedRun:
        return this.dottedRun(position, limit);
      default: {
        const kind = partOf[units[position] ?? 0] ?? otherPart;
        return kind === otherPart ? (this.last[shape] ?? 0) : this.run(kind, position, limit);
      }
    }
  }

  private run(kind: number, position: number, limit: number): number {
    const { units } = this;
    let at = position;
    while (at < limit && partOf[units[at] ?? 0] === kind) at++;
    return at - position;
  }

  /** From `position` to the next `unit`; -1: there is none. */
  private distance(unit: number, position: number, limit: number): number {
    const { units } = this;
    for (let at = position; at < limit; at++) if (units[at] === unit) return at - position;
    return -1;
  }

  private toCommentEnd(position: number, limit: number): number {
    const { units } = this;
    for (let at = position + 3; at < limit; at++)
      if (units[at] === slash && units[at - 1] === asterisk) return at + 1 - position;
    return -1;
  }

  private dottedRun(position: number, limit: number): number {
    const { units } = this;
    let at = position + 1;
    while (at < limit && (partOf[units[at] ?? 0] === wordPart || units[at] === point)) at++;
    return at - position;
  }
}
