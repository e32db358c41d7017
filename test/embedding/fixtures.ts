import type { Work } from '#src/base/progress.js';
import type { Document } from '#src/embedding/provider.js';

export async function* streamOf(documents: readonly Document[]): AsyncGenerator<Document> {
  yield* await Promise.resolve(documents);
}

export const patient: Work = { signal: new AbortController().signal, progress: () => undefined };

export function documentOf(text: string, name = ''): Document {
  return { name, text };
}

/** Numbers in [0, 1), the same in each run (a linear congruential generator). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Documents about two subjects whose words never meet except in the documents' own subject. */
export function twoSubjects(count: number): Document[] {
  const random = randomNumbers(7);
  const subjects = [
    ['invoice', 'payment', 'customer', 'amount', 'currency', 'ledger'],
    ['socket', 'packet', 'stream', 'buffer', 'listen', 'accept'],
  ];
  return Array.from({ length: count }, (_, i) => {
    const words = subjects[i % 2] ?? [];
    const text = Array.from({ length: 4 }, () => words[Math.floor(random() * words.length)]).join(' ');
    return documentOf(text);
  });
}

export function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}

/** Documents of words that follow the usual skewed distribution. */
export function manyDocuments(count: number, numbers: number): Document[] {
  const random = randomNumbers(11);
  return Array.from({ length: count }, () => {
    const words = Array.from({ length: 60 }, () => `w${String.fromCharCode(97 + Math.floor(random() * 26))}${Math.floor(numbers * random() ** 3)}`); // prettier-ignore
    return documentOf(words.join(' '));
  });
}
