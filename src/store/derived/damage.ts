/** What is derived is not as it was written. It costs no byte of anybody: it is thrown away, and made again. */
export class DerivedDamageError extends Error {
  override readonly name = 'DerivedDamageError';
}
