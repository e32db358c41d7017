import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package that this code belongs to. */

const manifest = fileURLToPath(import.meta.resolve('codekeep/package.json'));

/** Where a file of the package lies; found by name, as bundling moves a module to another depth than its source's. */
export function packagePath(...names: string[]): string {
  return join(dirname(manifest), ...names);
}

export const { version, engines } = JSON.parse(readFileSync(manifest, 'utf8')) as {
  version: string;
  engines: { node: string };
};
