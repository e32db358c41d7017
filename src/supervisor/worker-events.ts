import type { EventSink } from './subscriptions.js';
import type { WorkerSlot } from './lifecycle/worker-slot.js';

/** Says that a slot has entered a state; to be called at each of its changes. */
export function publishState(events: EventSink, slot: WorkerSlot): void {
  const { kind, state, process: worker, lastExit } = slot;
  const hasEnded = state === 'backoff' || state === 'failed';
  events.publish('worker', () => ({
    topic: 'worker',
    type: 'state',
    worker_type: kind,
    state,
    pid: worker?.pid ?? null,
    reason: hasEnded ? (lastExit?.reason ?? null) : null,
  }));
}
