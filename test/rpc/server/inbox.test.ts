import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inbox } from '#src/rpc/server/inbox.js';
import { defaultLimits } from '#src/rpc/server/limits.js';
import { request } from '../service.js';

const cancel = (id: unknown): string => request(undefined, '$/cancelRequest', { id });

function inboxOf(...texts: string[]): Inbox {
  const inbox = new Inbox(defaultLimits);
  inbox.push(Buffer.from(texts.join('\n')));
  return inbox;
}

function methodsLeft(inbox: Inbox): unknown[] {
  const left: unknown[] = [];
  for (let frame = inbox.next(); frame !== null; frame = inbox.next())
    left.push(frame.kind === 'message' ? JSON.stringify(frame.value) : frame.problem);
  return left;
}

test('cancellations are taken out of their order, each once; all else stays in order', () => {
  const inbox = inboxOf(
    request(1, 'a'),
    cancel(7),
    request(2, 'b'),
    cancel('x'),
    cancel({}),
    request(3, 'c'),
  );
  assert.deepEqual(inbox.takeCancellations(), [7, 'x']);
  assert.deepEqual(inbox.takeCancellations(), []);
  assert.deepEqual(methodsLeft(inbox), [request(1, 'a'), request(2, 'b'), request(3, 'c')]);
});

test('a waiting request can be taken out; one that is not there cannot', () => {
  const inbox = inboxOf(request(1, 'a'), request('1', 'b'), request(2, 'c'));
  assert.deepEqual(
    [inbox.takeRequests(1), inbox.takeRequests(1), inbox.takeRequests(9)],
    [true, false, false],
  );
  assert.deepEqual(methodsLeft(inbox), [request('1', 'b'), request(2, 'c')]);
});

test('what is held is counted: parts, waiting messages, nothing when all is taken', () => {
  const inbox = new Inbox(defaultLimits);
  inbox.push(Buffer.from(`"${'x'.repeat(1_000)}`));
  assert.deepEqual([inbox.heldBytes, inbox.waitingBytes, inbox.isPartial], [1_001, 0, true]);
  inbox.push(Buffer.from(`" ${'1 '.repeat(10)}`));
  assert.deepEqual([inbox.heldBytes, inbox.waitingBytes], [1_002 + 10 * 256, 1_002 + 10 * 256]);
  assert.equal(methodsLeft(inbox).length, 11);
  assert.deepEqual([inbox.heldBytes, inbox.isEmpty], [0, true]);
});
