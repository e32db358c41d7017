import { lsa } from './lsa.js';
import type { EmbeddingProvider } from './provider.js';

const providers: readonly EmbeddingProvider[] = [lsa];

/** The provider that new models are made with. */
export const defaultProvider: EmbeddingProvider = lsa;

/** The provider that made a model; undefined where this version has none of that name. */
export function providerNamed(name: string): EmbeddingProvider | undefined {
  return providers.find((provider) => provider.name === name);
}
