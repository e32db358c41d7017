import type { Language } from './language.js';

/** Placeholder until the full one comes in. */
export function extractorOf(language: Language | null): string {
  return `1:${language ?? ''}`;
}
