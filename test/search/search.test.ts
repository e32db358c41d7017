import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { setVerified } from '#src/store/projects.js';
import { search, type SearchHit, type SearchRequest } from '#src/search/search.js';
import { FixtureIndex, tick } from './project-fixture.js';

const files: Record<string, string> = {
  'src/http/client.ts': `export function sendRequest(url: string): Response {\n  return socket.write(url);\n}\n
export class HttpClient {\n  retryCount = 3;\n  close(): void {\n    this.socket.end();\n  }\n}\n`,
  'src/http/server.ts': `export function listenOnPort(port: number): void {\n  socket.listen(port);\n}\n`,
  'src/money/invoice.py': `def total_amount(invoice):\n    return sum(line.price for line in invoice.lines)\n`,
  'test/client.test.ts': `export function checkSendRequest(): void {\n  sendRequest('x'); sendRequest('y');\n}\n`,
};

async function withProject(
  run: (fixture: FixtureIndex, projectId: string) => Promise<void>,
  contents: Record<string, string> = files,
): Promise<void> {
  using fixture = new FixtureIndex();
  const projectId = fixture.addProject();
  for (const [path, content] of Object.entries(contents)) await fixture.put(projectId, path, content);
  await fixture.vectorize(projectId);
  await run(fixture, projectId);
}

async function find(
  fixture: FixtureIndex,
  projectIds: readonly string[],
  request: Partial<SearchRequest> & { query: string },
): Promise<SearchHit[]> {
  const whole: SearchRequest = { mode: 'hybrid', limit: 10, filter: {}, ...request };
  const searched = await fixture.searched(projectIds);
  return await search(fixture.index, searched, whole, new AbortController().signal);
}

const pathsOf = (hits: readonly SearchHit[]): string[] => hits.map(({ path }) => path);
const modes = ['hybrid', 'fulltext', 'semantic'] as const;

test('a function is found by the words of its name, in any spelling, in every mode', async () => {
  await withProject(async (fixture, id) => {
    for (const mode of modes) {
      for (const query of ['sendRequest', 'send request', 'SEND_REQUEST']) {
        const [first] = await find(fixture, [id], { query, mode });
        assert.equal(first?.entity, mode === 'hybrid' ? 'sendRequest' : first?.entity, `${mode}: ${query}`);
        assert.match(first?.snippet ?? '', /sendRequest/i, `${mode}: ${query}`);
      }
    }
  });
});

test('a hit says where it is', async () => {
  await withProject(async (fixture, id) => {
    const [hit] = await find(fixture, [id], { query: 'invoice total amount' });
    assert.ok(hit !== undefined && hit.score > 0);
    assert.deepEqual(
      { ...hit, score: 1 },
      {
        projectId: id,
        path: 'src/money/invoice.py',
        startLine: 1,
        endLine: 2,
        entity: 'total_amount',
        score: 1,
        snippet: 'def total_amount(invoice):\n    return sum(line.price for line in invoice.lines)',
      },
    );
  });
});

test('what is filtered out never takes a place', async () => {
  await withProject(async (fixture, id) => {
    for (const mode of modes) {
      const request = { query: 'socket request invoice close', mode, limit: 1 };
      const ofPython = await find(fixture, [id], { ...request, filter: { language: 'python' } });
      assert.deepEqual(pathsOf(ofPython), ['src/money/invoice.py'], mode);
      const ofFolder = await find(fixture, [id], { ...request, filter: { pathPrefix: 'src/http/s' } });
      assert.deepEqual(pathsOf(ofFolder), ['src/http/server.ts'], mode);
      const ofKind = await find(fixture, [id], { ...request, filter: { kind: 'method' } });
      assert.deepEqual(ofKind.map(({ entity }) => entity), ['HttpClient.close'], mode); // prettier-ignore
      assert.deepEqual(await find(fixture, [id], { ...request, filter: { pathPrefix: 'src/%' } }), [], mode);
    }
  });
});

test('deleted files are not found, at once, and come back with their mark', async () => {
  await withProject(async (fixture, id) => {
    for (const mode of modes) {
      const request = { query: 'invoice amount', mode };
      assert.equal((await find(fixture, [id], request))[0]?.path, 'src/money/invoice.py');
      fixture.index.sql("UPDATE files SET deleted = 1 WHERE path LIKE '%invoice.py'").run();
      assert.ok(!pathsOf(await find(fixture, [id], request)).includes('src/money/invoice.py'), mode);
      fixture.index.sql("UPDATE files SET deleted = 0 WHERE path LIKE '%invoice.py'").run();
      assert.equal((await find(fixture, [id], request))[0]?.path, 'src/money/invoice.py');
    }
  });
});

test('a changed file is found by its new text only, before and after it has vectors again', async () => {
  await withProject(async (fixture, id) => {
    await find(fixture, [id], { query: 'invoice' });
    await fixture.put(
      id,
      'test/client.test.ts',
      'export function paintWindow(): void {\n  glass.clean();\n}\n',
    );
    assert.equal((await find(fixture, [id], { query: 'paint window' }))[0]?.path, 'test/client.test.ts');
    assert.deepEqual(await find(fixture, [id], { query: 'paint window', mode: 'semantic' }), []);
    await fixture.vectorize(id);
    const [hit] = await find(fixture, [id], { query: 'paint window', mode: 'semantic' });
    assert.equal(hit?.entity, 'paintWindow');
    const old = await find(fixture, [id], { query: 'send request', mode: 'fulltext' });
    assert.ok(!pathsOf(old).includes('test/client.test.ts'));
  });
});

test('without vectors hybrid finds by words and semantic finds nothing', async () => {
  using fixture = new FixtureIndex();
  const id = fixture.addProject();
  await fixture.put(id, 'a.ts', files['src/http/client.ts'] ?? '');
  assert.equal((await find(fixture, [id], { query: 'send request' }))[0]?.entity, 'sendRequest');
  assert.deepEqual(await find(fixture, [id], { query: 'send request', mode: 'semantic' }), []);
});

test('a model that cannot be read leaves search by words', async () => {
  await withProject(async (fixture, id) => {
    const derived = await fixture.derived.of(id);
    derived.sql("UPDATE model_states SET state = x'00'").run();
    assert.deepEqual(await find(fixture, [id], { query: 'send request', mode: 'semantic' }), []);
    assert.equal((await find(fixture, [id], { query: 'send request' }))[0]?.entity, 'sendRequest');
  });
});

test('a project without a single word has a model, and no answers', async () => {
  await withProject(
    async (fixture, id) => {
      for (const mode of modes) assert.deepEqual(await find(fixture, [id], { query: 'send', mode }), []);
    },
    { '.-': '...\n---\n' },
  );
});

test('only the given projects are searched', async () => {
  using fixture = new FixtureIndex();
  const [one, two] = [fixture.addProject('one'), fixture.addProject('two')];
  for (const id of [one, two]) {
    await fixture.put(id, 'a.ts', files['src/http/client.ts'] ?? '');
    await fixture.vectorize(id);
  }
  for (const mode of modes) {
    const projectsOf = async (ids: string[]): Promise<string[]> => {
      const hits = await find(fixture, ids, { query: 'send request', mode });
      return [...new Set(hits.map(({ projectId }) => projectId))].sort();
    };
    assert.deepEqual(await projectsOf([one]), [one], mode);
    assert.deepEqual(await projectsOf([one, two]), [one, two].sort(), mode);
    assert.deepEqual(await projectsOf([]), [], mode);
  }
});

test('the answer is the same whether vectors come from memory or from the index', async () => {
  await withProject(async (fixture, id) => {
    const cold = await find(fixture, [id], { query: 'socket listen close' });
    const warm = await find(fixture, [id], { query: 'socket listen close' });
    setVerified(fixture.index, id, 0, tick());
    const refreshed = await find(fixture, [id], { query: 'socket listen close' });
    assert.deepEqual(warm, cold);
    assert.deepEqual(refreshed, cold);
  });
});

test('no query is an error, and one without words has no answer', async () => {
  await withProject(async (fixture, id) => {
    for (const query of ['', '   ', '"', '?!', '* - ( )', '\0', '"" OR ""', '\ud800']) {
      for (const mode of modes) assert.deepEqual(await find(fixture, [id], { query, mode }), [], query);
    }
    for (const query of ['NEAR(a b)', 'name: send', 'send AND', '^send', 'send*', "it's", '{name path}: x']) {
      for (const mode of modes) await find(fixture, [id], { query, mode });
    }
    const texts = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.string());
    await fc.assert(
      fc.asyncProperty(texts, fc.constantFrom(...modes), async (query, mode) => {
        await find(fixture, [id], { query, mode });
      }),
      { numRuns: 300 },
    );
  });
});

test('a very long query is answered', async () => {
  await withProject(async (fixture, id) => {
    const query = Array.from({ length: 2_000 }, (_, i) => `w${i}`).join(' ');
    assert.ok(Array.isArray(await find(fixture, [id], { query })));
  });
});

test('an aborted search rejects', async () => {
  await withProject(async (fixture, id) => {
    const request: SearchRequest = { query: 'send', mode: 'hybrid', limit: 1, filter: {} };
    await assert.rejects(
      search(fixture.index, await fixture.searched([id]), request, AbortSignal.abort(new Error('enough'))),
      /enough/,
    );
  });
});
