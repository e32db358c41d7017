import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { IndexDatabase } from '#src/store/index-database.js';
import { settleReplacing } from '#src/store/replace-index.js';
import { cannotMount, mountReadOnly, sandboxWithMounts } from '../harness/mounting.js';

test('where nothing can be written, the opening of the index says so and not the look for a new one', async (t) => {
  const sandbox = await sandboxWithMounts(t);
  const folder = sandbox.path('state');
  mkdirSync(folder);
  const path = join(folder, 'index.db');
  IndexDatabase.open(path).close();
  if (!mountReadOnly(folder)) return t.skip(cannotMount);
  await settleReplacing(path);
  assert.throws(() => IndexDatabase.open(path), { code: 'INDEX_UNAVAILABLE', message: /read-only/ });
  return undefined;
});
