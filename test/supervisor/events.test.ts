import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { type Client, connect, type ServiceEvent, type Topic } from '#src/rpc/client/client.js';
import { addLostRows, type Daemon, type Project } from '../harness/daemon.js';
import { manyFiles, Sandbox } from '../harness/sandbox.js';
import { waitFor, within } from '../harness/waiting.js';
import { RawClient, request } from '../rpc/service.js';

function isEvent(line: unknown): boolean {
  return typeof line === 'object' && line !== null && 'method' in line && line.method === 'event';
}

suite('events', () => {
  const sandbox = Sandbox.ofSuite(() => client.close());
  let daemon: Daemon;
  let project: Project;
  let client: Client;

  before(async () => {
    daemon = await sandbox.startDaemon({ config: { autostart: ['file_watcher'] } });
    project = await daemon.addProject(await sandbox.project(manyFiles(200)));
    client = await connect({ socket: daemon.socket });
  });

  /** What is heard of some topics while `act` runs, and until `isLast`. */
  async function hear(
    topics: readonly Topic[],
    act: () => Promise<unknown>,
    isLast: (event: ServiceEvent) => boolean,
  ): Promise<ServiceEvent[]> {
    const events: ServiceEvent[] = [];
    const subscription = await client.subscribe(topics, (event) => events.push(event));
    await act();
    await waitFor('the last event', () => events.some(isLast));
    await subscription.end();
    return events;
  }

  test('a worker says every state it enters, with its process', async () => {
    const pid = await daemon.workerPid('file_watcher');
    const events = await hear(
      ['worker'],
      async () => {
        await daemon.stopWorkers('file_watcher');
        await daemon.call('start_worker', { worker_type: 'file_watcher' });
      },
      (event) => event.topic === 'worker' && event.state === 'ready',
    );
    const next = await daemon.workerPid('file_watcher');
    assert.deepEqual(
      events.map((event) => event.topic === 'worker' && [event.worker_type, event.state, event.pid]),
      [
        ['file_watcher', 'stopping', pid],
        ['file_watcher', 'stopped', null],
        ['file_watcher', 'starting', next],
        ['file_watcher', 'ready', next],
      ],
    );
  });

  test('a worker that was killed says why it ended', async () => {
    daemon.mayLogErrors = true;
    const pid = (await daemon.workerPid('file_watcher')) ?? assert.fail('no watcher');
    const events = await hear(
      ['worker'],
      async () => process.kill(pid, 'SIGKILL'),
      (event) => event.topic === 'worker' && event.state === 'ready',
    );
    const [first] = events;
    assert.ok(first?.topic === 'worker');
    assert.deepEqual([first.state, first.pid, first.reason], ['backoff', null, 'was ended by SIGKILL']);
  });

  test('a repair and its job say that they begin, how far they are, and how they end', async () => {
    // The comparison of a watcher that was only just started would take the lost files for deleted ones.
    await daemon.call('wait_until_fresh', { project_id: project.project_id });
    addLostRows(daemon, project, 100);
    const events = await hear(
      ['repair', 'job'],
      async () => await daemon.repair({ project_id: project.project_id }),
      ({ topic, type }) => topic === 'job' && type === 'ended',
    );
    const jobs = events.filter((event) => event.topic === 'job');
    assert.deepEqual(
      [jobs.at(0)?.type, jobs.at(0)?.state, jobs.at(-1)?.type, jobs.at(-1)?.state],
      ['started', 'running', 'ended', 'done'],
    );
    assert.equal(new Set(jobs.map(({ job_id }) => job_id)).size, 1);
    assert.ok(jobs.slice(1, -1).every(({ type }) => type === 'progress'));
    const repairs = events.filter((event) => event.topic === 'repair');
    const last = repairs.at(-1);
    assert.equal(repairs[0]?.type, 'started');
    assert.ok(last?.type === 'finished' && last.state === 'done');
    assert.equal(new Set(repairs.map(({ run_id }) => run_id)).size, 1);
    const phases = [...new Set(repairs.map(({ phase }) => phase))];
    assert.equal(phases[0], 'stop');
    assert.ok(phases.includes('apply'), phases.join());
    for (const { done, total } of [...repairs, ...jobs.map(({ progress }) => progress)])
      assert.ok(done <= total);
  });

  test('a project says when its freshness changes, and only then; projects say that they were added', async () => {
    await daemon.call('wait_until_fresh', { project_id: project.project_id });
    const root = await sandbox.project({ 'a.py': 'a = 1\n' });
    const added = await hear(
      ['index'],
      async () => await daemon.addProject(root),
      (event) => event.topic === 'index' && event.type === 'freshness' && event.freshness === 'fresh',
    );
    assert.ok(added.some((event) => event.topic === 'index' && event.type === 'projects'));
    const changed = await hear(
      ['index'],
      async () => writeFileSync(join(root, 'b.py'), 'b = 1\n'),
      (event) => event.topic === 'index' && event.type === 'freshness' && event.freshness === 'fresh',
    );
    const states = changed.map((event) => JSON.stringify(event));
    assert.ok(states.length >= 2, 'not fresh, then fresh again');
    for (const [index, state] of states.entries()) assert.notEqual(state, states[index - 1]);
  });

  test('after unsubscribe nothing comes; an id that is not of this connection is NOT_FOUND', async () => {
    const heard: string[] = [];
    client.onNotification((method) => heard.push(method));
    const { subscription_id } = await client.call('subscribe', { topics: ['job', 'job'] });
    const foreign = await daemon.refusal('unsubscribe', { subscription_id });
    assert.equal(foreign.code, 'NOT_FOUND');
    await client.call('update_indexes', { project_id: project.project_id });
    assert.ok(heard.length >= 2, 'a topic that was named twice is one');
    assert.deepEqual(await client.call('unsubscribe', { subscription_id }), { unsubscribed: true });
    heard.length = 0;
    await client.call('update_indexes', { project_id: project.project_id });
    await assert.rejects(client.call('unsubscribe', { subscription_id }), { code: 'NOT_FOUND' });
    assert.deepEqual(heard, []);
  });

  test('a connection has a bounded number of subscriptions, and new ones when it has ended some', async () => {
    const own = await connect({ socket: daemon.socket });
    const ids: string[] = [];
    const refused = await waitFor('the limit', async () => {
      const made = await own.call('subscribe', { topics: ['worker'] }).catch((error: unknown) => error);
      if (made instanceof Error) return made;
      ids.push((made as { subscription_id: string }).subscription_id);
      return null;
    });
    assert.equal('code' in refused && refused.code, 'LIMIT_EXCEEDED');
    await own.call('unsubscribe', { subscription_id: ids[0] ?? '' });
    await own.call('subscribe', { topics: ['worker'] });
    own.close();
    const other = await connect({ socket: daemon.socket });
    await other.call('subscribe', { topics: ['worker'] });
    other.close();
  });

  test('events follow the reply to their subscribe, in a batch as well', async () => {
    const batch = [
      { jsonrpc: '2.0', id: 1, method: 'subscribe', params: { topics: ['job'] } },
      {
        jsonrpc: '2.0',
        id: 2,
        method: 'update_indexes',
        params: { project_id: project.project_id },
      },
    ];
    const raw = new RawClient(daemon.socket);
    raw.send(`${JSON.stringify(batch)}\n`);
    const [first, ...others] = await within('the reply and events', raw.lines(3));
    assert.ok(Array.isArray(first), 'first the reply to the batch');
    assert.ok(others.every(isEvent));
    raw.socket.destroy();
  });

  test('a client that has only ended its input hears on until it hangs up', async () => {
    const raw = new RawClient(daemon.socket);
    raw.socket.end(request(1, 'subscribe', { topics: ['job'] }));
    await within('the reply', raw.lines(1));
    await client.call('update_indexes', { project_id: project.project_id });
    const [, ...events] = await within('an event', raw.lines(2));
    assert.ok(events.length > 0 && events.every(isEvent));
    raw.socket.destroy();

    const other = new RawClient(daemon.socket);
    other.socket.end(request(1, 'health'));
    const replies = await within('without a subscription it is closed', other.closed());
    assert.equal(replies.length, 1);
  });

  test('no topic and unknown topics are wrong params', async () => {
    for (const topics of [[], ['weather'], 'job']) {
      const error = await daemon.failure('subscribe', { topics });
      assert.equal('code' in error && error.code, 'INVALID_PARAMS');
    }
  });
});
