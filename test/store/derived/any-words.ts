import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DerivedDamageError } from '#src/store/derived/damage.js';

/** Any strings, surrogates that stand alone and NUL among them. */
const anyWord = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
});
export const word = fc.oneof(anyWord, fc.string({ maxLength: 3 }), fc.constantFrom('a', 'ab', 'abc', 'abd'));
export const level = fc.integer({ min: 1, max: 255 });

/** Fails where it does something else than to give a value or to find damage. */
export function orDamage<T>(decode: () => T): T | null {
  try {
    return decode();
  } catch (error) {
    assert.ok(error instanceof DerivedDamageError, String(error));
    return null;
  }
}
