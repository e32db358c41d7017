import { eventMethod, serviceEvent, type ServiceEvent, type Topic } from '../../contract/events.js';
import { checkedResult } from './check.js';
import type { ClientConnection } from './connection.js';
import type { CallOptions, Subscription } from './types.js';
import { isRecord } from '../protocol.js';

interface Entry {
  topics: readonly Topic[];
  listener: (event: ServiceEvent) => void;
  /** Where it was made last, with its id there. */
  at: { connection: ClientConnection; id: string } | null;
  isEnded: boolean;
}

/** The subscriptions of one client, on whichever connection it has. */
export class ClientSubscriptions {
  readonly #entries = new Set<Entry>();
  readonly #byId = new Map<string, Entry>();

  async begin(
    connection: ClientConnection,
    topics: readonly Topic[],
    listener: (event: ServiceEvent) => void,
    options: CallOptions,
  ): Promise<Subscription> {
    const entry: Entry = { topics, listener, at: null, isEnded: false };
    try {
      await this.#make(connection, entry, options);
    } catch (error) {
      // Its reply may still come, and then nobody listens.
      entry.isEnded = true;
      throw error;
    }
    this.#entries.add(entry);
    return { end: () => this.#end(entry) };
  }

  /** Makes all of them again on a new connection, and listens there. */
  renew(connection: ClientConnection): void {
    this.#byId.clear();
    connection.onNotification((method, params) => {
      if (method === eventMethod) this.#receive(params);
    });
    for (const entry of this.#entries) {
      // Half a set of subscriptions would look like silence: connect once more instead.
      this.#make(connection, entry, {}).catch((error: unknown) => connection.end(error as Error));
    }
  }

  async #make(connection: ClientConnection, entry: Entry, options: CallOptions): Promise<void> {
    entry.at = null;
    await connection.request('subscribe', { topics: entry.topics }, options, (result) => {
      const { subscription_id: id } = checkedResult('subscribe', result);
      entry.at = { connection, id };
      if (entry.isEnded) void this.#end(entry);
      else this.#byId.set(id, entry);
    });
  }

  async #end(entry: Entry): Promise<void> {
    entry.isEnded = true;
    this.#entries.delete(entry);
    const { at } = entry;
    if (at === null) return;
    entry.at = null;
    this.#byId.delete(at.id);
    // Where the connection is lost, the subscription has ended with it.
    await at.connection.request('unsubscribe', { subscription_id: at.id }).catch(() => undefined);
  }

  #receive(params: unknown): void {
    if (!isRecord(params)) return;
    const entry = this.#byId.get(String(params['subscription_id']));
    if (entry !== undefined && isKnownEvent(params)) entry.listener(params);
  }
}

/** The event itself and not what zod makes of it, which would lack the fields that a newer supervisor adds. */
export function isKnownEvent(params: Record<string, unknown>): params is ServiceEvent {
  return serviceEvent.safeParse(params).success;
}
