import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contract } from '#src/contract/index.js';
import { openRpcDocument } from '#src/rpc/server/openrpc.js';

const document = openRpcDocument('1.2.3');

test('every method of the contract is described, its params in the order of their declaration', () => {
  assert.equal(document.info.version, '1.2.3');
  assert.deepEqual(
    document.methods.map(({ name }) => name),
    Object.keys(contract),
  );
  const search = document.methods.find(({ name }) => name === 'search');
  assert.equal(search?.paramStructure, 'either');
  assert.deepEqual(
    search.params.map(({ name }) => name),
    Object.keys(contract.search.params.shape),
  );
});

test('params say whether they are required, their default and what they mean', () => {
  const params = document.methods.find(({ name }) => name === 'get_file')?.params ?? [];
  assert.deepEqual(
    params.map(({ name, required }) => [name, required]),
    [
      ['root_dir', false],
      ['project_id', false],
      ['path', true],
      ['version_id', false],
      ['at', false],
    ],
  );
  const path = params.find(({ name }) => name === 'path');
  assert.match(path?.description ?? '', /relative to root_dir/);
  const stop = document.methods.find(({ name }) => name === 'stop_worker')?.params ?? [];
  assert.equal(stop.find(({ name }) => name === 'timeout')?.schema['default'], 10);
});

test('the errors are those of the program and of the protocol; all of it is JSON', () => {
  const { errors } = document.components;
  assert.equal(errors['NOT_FOUND']?.code, -32016);
  assert.equal(errors['PARSE_ERROR']?.code, -32700);
  assert.deepEqual(JSON.parse(JSON.stringify(document)), document);
});
