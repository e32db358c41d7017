import { isMainThread, MessageChannel, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { packagePath } from '../base/package.js';
import type { Slicer } from '../base/waiting.js';
import { listFolder, type Listing, listWithLooks } from './listing.js';
import { OwnFiles } from './own-files.js';

/**
 * A second thread that lists folders and looks at what is in them, ahead of a walk of a large tree: lstat is what takes the time.
 * Each folder is listed once, by the thread or, where that has not come to it, by who needs it: both claim it first.
 */

interface Task {
  port: MessagePort;
  claims: Int32Array;
  done: Int32Array;
  /** Absolute: the program's own folders. */
  own: readonly string[];
}

interface Order {
  ticket: number;
  folder: string;
}

/** What is in a folder; for one that cannot be listed the ticket alone is sent, and who needs it finds out why. */
interface Answer {
  ticket: number;
  /** Joined by NUL, which no name has. */
  names: string;
  marks: string;
  looks: string;
}

/** Far more tickets than are open at once, so that a place is claimed by one lap's ticket before the next one's. */
const places = 4_096;

/** True for who is the first to claim a ticket. A place holds the last ticket that was claimed of those that share it. */
function claim(claims: Int32Array, ticket: number): boolean {
  const place = ticket % places;
  return Atomics.compareExchange(claims, place, ticket - places, ticket) === ticket - places;
}

/** A folder that the thread is at is waited for so long (ms) at once, less than a slice. */
const waitMs = 5;

export class ListThread {
  readonly #thread: Worker;
  readonly #port: MessagePort;
  readonly #claims = new Int32Array(new SharedArrayBuffer(places * Int32Array.BYTES_PER_ELEMENT));
  /** The last ticket that the thread is done with; it takes them in their order. */
  readonly #done = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)).fill(-1);
  readonly #answers = new Map<number, Listing | null>();
  /** Folders by their tickets that nobody was found to have begun with, the next ones first. */
  readonly #open = new Map<number, string>();
  #tickets = 0;
  #unsent: Order[] = [];
  #isGone = false;

  /** @param own absolute: the program's own folders */
  constructor(own: readonly string[]) {
    const { port1, port2 } = new MessageChannel();
    for (let place = 0; place < places; place += 1) this.#claims[place] = place - places;
    const task: Task = { port: port2, claims: this.#claims, done: this.#done, own };
    this.#port = port1;
    this.#thread = new Worker(packagePath('dist', 'reconcile', 'list-thread.js'), {
      workerData: task,
      transferList: [port2],
    });
    const gone = (): void => {
      this.#isGone = true;
    };
    // A machine that has no more threads: then who needs a folder lists it.
    this.#thread.once('error', gone).once('exit', gone);
    this.#thread.unref();
  }

  /** Not without `send`. @returns a ticket for `take` */
  order(folder: string): number {
    const ticket = this.#tickets;
    this.#tickets += 1;
    this.#unsent.push({ ticket, folder });
    this.#open.set(ticket, folder);
    return ticket;
  }

  /** Sends what was ordered, together: a message costs as much as a look at some files. */
  send(): void {
    if (this.#unsent.length === 0) return;
    this.#port.postMessage(this.#unsent);
    this.#unsent = [];
  }

  /** Null where the thread has not begun with it, or could not list it: then it is for who asks. */
  async take(ticket: number, slicer: Slicer): Promise<Listing | null> {
    for (;;) {
      const done = Atomics.load(this.#done, 0);
      // Asking the port costs more than the rest.
      if (done >= ticket && !this.#answers.has(ticket)) this.#receive();
      const answer = this.#answers.get(ticket);
      if (answer !== undefined) {
        this.#answers.delete(ticket);
        return answer;
      }
      this.#open.delete(ticket);
      if (claim(this.#claims, ticket) || this.#isGone) return null;
      if (!this.#helpAhead()) Atomics.wait(this.#done, 0, done, waitMs);
      if (slicer.isDue()) await slicer.breathe();
    }
  }

  /** Lists one of the folders that are next, instead of waiting for the thread; false where there is none. */
  #helpAhead(): boolean {
    for (const [ticket, folder] of this.#open) {
      this.#open.delete(ticket);
      if (!claim(this.#claims, ticket)) continue;
      this.#answers.set(ticket, listedHere(folder));
      return true;
    }
    return false;
  }

  /** Nobody waits for it: it may hang in a file system that does not answer. */
  end(): void {
    this.#port.close();
    void this.#thread.terminate();
  }

  #receive(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      const message = received.message as Answer | number;
      if (typeof message === 'number') this.#answers.set(message, null);
      else this.#answers.set(message.ticket, listingOf(message));
    }
  }
}

function listedHere(folder: string): Listing | null {
  try {
    return listFolder(folder);
  } catch {
    return null;
  }
}

function listingOf({ names, marks, looks }: Answer): Listing {
  if (marks === '') return { names: [], marks, looks: [] };
  return { names: names.split('\0'), marks, looks: looks.split('\0') };
}

function work({ port, claims, done, own }: Task): void {
  const ownFiles = new OwnFiles(own);
  port.on('message', (orders: readonly Order[]) => {
    for (const { ticket, folder } of orders) {
      if (claim(claims, ticket)) port.postMessage(answerOf(ticket, folder, ownFiles));
      Atomics.store(done, 0, ticket);
      Atomics.notify(done, 0);
    }
  });
}

function answerOf(ticket: number, folder: string, own: OwnFiles): Answer | number {
  try {
    const { names, marks, looks } = listWithLooks(folder, (stats) => own.has(stats));
    return { ticket, names: names.join('\0'), marks, looks: (looks ?? []).join('\0') };
  } catch {
    return ticket;
  }
}

if (!isMainThread) work(workerData as Task);
