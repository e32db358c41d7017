/** What is derived is not as it was written. It costs no byte of anybody: it is thrown away, and made again. */
export class DerivedDamageError extends Error {
  override readonly name = 'DerivedDamageError';
  /** Of the database; null where whoever found it did not know. */
  readonly path: string | null;

  constructor(message: string, options: { cause?: unknown; path?: string } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.path = options.path ?? null;
  }
}
