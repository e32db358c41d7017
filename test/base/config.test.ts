import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { configSchema, parseConfig, readConfig } from '#src/base/config.js';
import { CodekeepError } from '#src/base/errors.js';
import { temporaryFolder } from '../harness/folder.js';

const defaults = {
  autostart: ['file_watcher', 'vectorization'],
  worker_stop_timeout: 10,
  worker_start_timeout: 30,
  worker_hang_timeout: 30,
  worker_retry_interval: 300,
  worker_memory_max_bytes: Math.max(256 * 1024 ** 2, Math.min(2 * 1024 ** 3, Math.floor(totalmem() / 4))),
  max_file_bytes: 2 * 1024 * 1024,
  reconcile_interval: 300,
  backup_interval: 86_400,
  check_interval: 86_400,
  scrub_period: 2_592_000,
  revision_burst: 1,
  revision_interval: 60,
  history_keep_all: 172_800,
  history_keep_hourly: 1_209_600,
  history_keep_daily: 7_776_000,
  log_level: 'info',
  socket_check_interval: 2,
  max_message_bytes: 1024 * 1024,
};

test('a missing file and an empty object are the defaults', (t) => {
  assert.deepEqual(readConfig(join(temporaryFolder(t), 'nothing.json')), defaults);
  assert.deepEqual(parseConfig('{}', 'c'), defaults);
});

test('a missing file that somebody named is refused', (t) => {
  const path = join(temporaryFolder(t), 'nothing.json');
  assert.throws(() => readConfig(path, true), { code: 'INVALID_PARAMS', message: /nothing\.json/ });
});

test('every key can be set alone', () => {
  const set = { autostart: [], worker_stop_timeout: 1.5, log_level: 'debug', max_file_bytes: 1 };
  assert.deepEqual(parseConfig(JSON.stringify(set), 'c'), { ...defaults, ...set });
});

const wrong: Record<string, unknown> = {
  autostart: ['index_service'],
  worker_stop_timeout: 0,
  worker_start_timeout: '30',
  worker_hang_timeout: 0,
  worker_retry_interval: Number.MAX_VALUE,
  worker_memory_max_bytes: 1024,
  max_file_bytes: 1.5,
  reconcile_interval: -1,
  backup_interval: -1,
  check_interval: 'daily',
  scrub_period: -1,
  revision_burst: -1,
  revision_interval: 'hourly',
  history_keep_all: 0,
  history_keep_hourly: -1,
  history_keep_daily: 'for ever',
  history_max_bytes: 0.5,
  log_level: 'loud',
  max_message_bytes: 1,
  no_such_key: 1,
};

for (const [key, value] of Object.entries(wrong)) {
  test(`a wrong ${key} is named`, () => {
    assert.throws(
      () => parseConfig(JSON.stringify({ [key]: value }), 'the file'),
      (error) =>
        error instanceof CodekeepError &&
        error.code === 'INVALID_PARAMS' &&
        error.message.includes(key) &&
        error.message.includes('the file'),
    );
  });
}

test('all wrong keys are named at once', () => {
  assert.throws(
    () => parseConfig(JSON.stringify(wrong), 'c'),
    (error: Error) => Object.keys(wrong).every((key) => error.message.includes(key)),
  );
});

test('what is no JSON, no object or no file is refused', (t) => {
  for (const text of ['', '{', '[]', 'null', '{"a":}'])
    assert.throws(() => parseConfig(text, 'c'), { code: 'INVALID_PARAMS' }, text);
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'config.json'));
  assert.throws(() => readConfig(join(folder, 'config.json')), { code: 'INVALID_PARAMS' });
  // It would never be read to its end.
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  assert.throws(() => readConfig(join(folder, 'fifo'), true), {
    code: 'INVALID_PARAMS',
    message: /no file/u,
  });
  writeFileSync(join(folder, 'ok.json'), '{"log_level":"warn"}');
  assert.equal(readConfig(join(folder, 'ok.json')).log_level, 'warn');
});

test('every key is described or speaks for itself, and has a default', () => {
  assert.deepEqual(configSchema.parse({}), defaults);
});
