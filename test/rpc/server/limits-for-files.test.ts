import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientsFor, defaultLimits, openFilesMax } from '#src/rpc/server/limits.js';

test('clients and the refused leave what the process itself needs of its open files', () => {
  for (let files = 64; files <= 100_000; files += 1) {
    const { maxConnections, maxRefused, maxSockets } = clientsFor(files);
    assert.ok(maxConnections >= 12 && maxRefused >= 4, `${files}`);
    assert.ok(maxConnections + maxRefused <= maxSockets, `${files}`);
    assert.equal(maxSockets, Math.max(16, files - 96), `${files}`);
  }
  const { maxConnections, maxRefused, maxSockets } = defaultLimits;
  assert.deepEqual(clientsFor(Number.POSITIVE_INFINITY), { maxConnections, maxRefused, maxSockets });
});

test('the limit of open files is read from the kernel', () => {
  assert.ok(openFilesMax() >= 64);
});
