import { randomUUID } from 'node:crypto';
import { CodekeepError } from '../base/errors.js';
import { eventMethod, type EventOf, type ServiceEvent, type Topic, topics } from '../contract/events.js';

/** Each event is written once per subscription, so a connection may not multiply them without bound. */
const perConnectionMax = 64;

/** The connection that events go to; see CallContext. */
export interface Subscriber {
  readonly connectionId: number;
  /** Aborts when the connection has ended. */
  readonly gone: AbortSignal;
  notify(method: string, params: Record<string, unknown>): void;
  afterReply(act: () => void): void;
  keepOpen(): () => void;
}

/** Where those who know something say it. */
export interface EventSink {
  /** @param make is called only where somebody listens: an event that nobody hears costs nothing */
  publish<T extends Topic>(topic: T, make: () => EventOf<T>): void;
}

interface Subscription {
  id: string;
  topics: readonly Topic[];
  subscriber: Subscriber;
  letGo: () => void;
  /** Events that came before the reply to `subscribe` was on its way; null from then on. */
  held: ServiceEvent[] | null;
}

/** Who listens to what. A subscriber that does not read is its connection's to bound. */
export class Subscriptions implements EventSink {
  readonly #byId = new Map<string, Subscription>();
  readonly #byTopic = new Map<Topic, Set<Subscription>>(topics.map((topic) => [topic, new Set()]));
  readonly #byConnection = new Map<number, Set<Subscription>>();

  /**
   * Events begin after the reply with the id; the connection lasts as long as the client reads it.
   * @returns the subscription's id
   * @throws CodekeepError LIMIT_EXCEEDED
   */
  subscribe(wanted: readonly Topic[], subscriber: Subscriber): string {
    const own = this.#ofConnection(subscriber);
    if (own.size >= perConnectionMax) {
      throw new CodekeepError(
        'LIMIT_EXCEEDED',
        `This connection has ${perConnectionMax} subscriptions already.`,
        'End one with unsubscribe; one subscription can have several topics.',
      );
    }
    const id = randomUUID();
    // Its client left while the request was on its way.
    if (subscriber.gone.aborted) return id;
    const subscription: Subscription = {
      id,
      topics: [...new Set(wanted)],
      subscriber,
      letGo: subscriber.keepOpen(),
      held: [],
    };
    own.add(subscription);
    this.#byId.set(subscription.id, subscription);
    for (const topic of subscription.topics) this.#byTopic.get(topic)?.add(subscription);
    subscriber.afterReply(() => {
      const { held } = subscription;
      subscription.held = null;
      for (const event of held ?? []) send(subscription, event);
    });
    return id;
  }

  /** @throws CodekeepError NOT_FOUND, also for an id of another connection */
  unsubscribe(id: string, connectionId: number): void {
    const subscription = this.#byId.get(id);
    if (subscription === undefined || subscription.subscriber.connectionId !== connectionId) {
      throw new CodekeepError(
        'NOT_FOUND',
        `This connection has no subscription ${id}.`,
        'Subscriptions end with their connection; call subscribe for a new one.',
      );
    }
    this.#remove(subscription);
    this.#byConnection.get(connectionId)?.delete(subscription);
  }

  publish<T extends Topic>(topic: T, make: () => EventOf<T>): void {
    const listening = this.#byTopic.get(topic);
    if (listening === undefined || listening.size === 0) return;
    const event: ServiceEvent = make();
    for (const subscription of listening) {
      if (subscription.held === null) send(subscription, event);
      else subscription.held.push(event);
    }
  }

  /** The connection's subscriptions, which end with it. */
  #ofConnection({ connectionId, gone }: Subscriber): Set<Subscription> {
    const known = this.#byConnection.get(connectionId);
    if (known !== undefined) return known;
    const own = new Set<Subscription>();
    if (gone.aborted) return own;
    this.#byConnection.set(connectionId, own);
    const end = (): void => {
      this.#byConnection.delete(connectionId);
      for (const subscription of own) this.#remove(subscription);
    };
    gone.addEventListener('abort', end, { once: true });
    return own;
  }

  #remove(subscription: Subscription): void {
    this.#byId.delete(subscription.id);
    for (const topic of subscription.topics) this.#byTopic.get(topic)?.delete(subscription);
    subscription.held = [];
    subscription.letGo();
  }
}

function send({ id, subscriber }: Subscription, event: ServiceEvent): void {
  subscriber.notify(eventMethod, { subscription_id: id, ...event });
}
