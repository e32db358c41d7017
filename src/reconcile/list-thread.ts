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
  held: Int32Array;
  /** Absolute: the program's own folders. */
  own: readonly string[];
}

interface Order {
  ticket: number;
  folder: string;
}

/** What is in a folder. */
interface Answer {
  ticket: number;
  /** False for one that cannot be listed: who needs it finds out why. */
  isListed: boolean;
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

/** Entries that are handed on at once: a message costs as much as a look at some files. */
const answerEntries = 256;
/** The thread goes no further while so many entries wait for who takes them; they take some 100 bytes each. */
const heldMax = 16_384;

interface Received {
  /** Null where the thread could not list it. */
  listing: Listing | null;
  /** Entries that the thread counts as held. */
  held: number;
}

export class ListThread {
  readonly #thread: Worker;
  readonly #port: MessagePort;
  readonly #claims = new Int32Array(new SharedArrayBuffer(places * Int32Array.BYTES_PER_ELEMENT));
  /** The last ticket that the thread is done with; it takes them in their order. */
  readonly #done = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)).fill(-1);
  /** Entries in answers that nobody has taken yet. */
  readonly #held = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #answers = new Map<number, Received>();
  /** Begun by the thread, and not wanted any more. */
  readonly #forgotten = new Set<number>();
  /** Folders by their tickets that nobody was found to have begun with, the next ones first. */
  readonly #open = new Map<number, string>();
  #tickets = 0;
  #unsent: Order[] = [];
  #isGone = false;

  /** @param own absolute: the program's own folders */
  constructor(own: readonly string[]) {
    const { port1, port2 } = new MessageChannel();
    for (let place = 0; place < places; place += 1) this.#claims[place] = place - places;
    const task: Task = { port: port2, claims: this.#claims, done: this.#done, held: this.#held, own };
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
      if ((done >= ticket && !this.#answers.has(ticket)) || this.#forgotten.size > 0) this.#receive();
      const answer = this.#answers.get(ticket);
      if (answer !== undefined) {
        this.#answers.delete(ticket);
        this.#release(answer);
        return answer.listing;
      }
      this.#open.delete(ticket);
      if (claim(this.#claims, ticket) || this.#isGone) return null;
      if (!this.#helpAhead()) Atomics.wait(this.#done, 0, done, waitMs);
      if (slicer.isDue()) await slicer.breathe();
    }
  }

  /** Nobody will take it. */
  forget(ticket: number): void {
    this.#open.delete(ticket);
    if (claim(this.#claims, ticket)) return;
    const answer = this.#answers.get(ticket);
    if (answer === undefined) this.#forgotten.add(ticket);
    else this.#release(answer);
    this.#answers.delete(ticket);
  }

  #release({ held }: Received): void {
    if (held > 0 && Atomics.sub(this.#held, 0, held) >= heldMax) Atomics.notify(this.#held, 0);
  }

  /** Lists one of the folders that are next, instead of waiting for the thread; false where there is none. */
  #helpAhead(): boolean {
    for (const [ticket, folder] of this.#open) {
      this.#open.delete(ticket);
      if (!claim(this.#claims, ticket)) continue;
      this.#answers.set(ticket, { listing: listedHere(folder), held: 0 });
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
      for (const answer of received.message as readonly Answer[]) {
        const { ticket, marks } = answer;
        if (this.#forgotten.delete(ticket)) this.#release({ listing: null, held: marks.length });
        else this.#answers.set(ticket, { listing: listingOf(answer), held: marks.length });
      }
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

function listingOf({ names, marks, looks, isListed }: Answer): Listing | null {
  if (!isListed) return null;
  if (marks === '') return { names: [], marks, looks: [] };
  return { names: names.split('\0'), marks, looks: looks.split('\0') };
}

function work({ port, claims, done, held, own }: Task): void {
  const ownFiles = new OwnFiles(own);
  port.on('message', (orders: readonly Order[]) => {
    let answers: Answer[] = [];
    let entries = 0;
    const say = (last: number): void => {
      if (answers.length > 0) port.postMessage(answers);
      Atomics.add(held, 0, entries);
      Atomics.store(done, 0, last);
      Atomics.notify(done, 0);
      [answers, entries] = [[], 0];
    };
    for (const { ticket, folder } of orders) {
      if (entries >= answerEntries) say(ticket - 1);
      for (let now = Atomics.load(held, 0); now >= heldMax; now = Atomics.load(held, 0))
        Atomics.wait(held, 0, now);
      if (!claim(claims, ticket)) continue;
      const answer = answerOf(ticket, folder, ownFiles);
      answers.push(answer);
      entries += answer.marks.length;
    }
    const last = orders.at(-1);
    if (last !== undefined) say(last.ticket);
  });
}

function answerOf(ticket: number, folder: string, own: OwnFiles): Answer {
  try {
    const { names, marks, looks } = listWithLooks(folder, (stats) => own.has(stats));
    return { ticket, isListed: true, names: names.join('\0'), marks, looks: (looks ?? []).join('\0') };
  } catch {
    return { ticket, isListed: false, names: '', marks: '', looks: '' };
  }
}

if (!isMainThread) work(workerData as Task);
