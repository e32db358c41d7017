import { readFileSync } from 'node:fs';

/** Everything that bounds what one client can cost. Each can be set lower in tests. */
export interface RpcLimits {
  /** Longest JSON text, in bytes. A longer one is answered with LIMIT_EXCEEDED and skipped. */
  maxMessageBytes: number;
  /** Deepest nesting of arrays and objects: params of the contract need fewer than ten levels. */
  maxDepth: number;
  maxBatchItems: number;
  /** Values in one JSON text: 20,000 take JSON.parse some milliseconds, which nothing can divide; a full batch has 8,000. */
  maxValues: number;
  /** Items of one batch that run at the same time. */
  maxBatchConcurrency: number;
  /** Size of a batch's replies after which its remaining items are refused instead of run. */
  maxBatchReplyBytes: number;
  /**
   * Requests of one connection that may be unanswered; the next ones wait. They are read as far as maxMessageBytes
   * goes, so that a cancellation among them is seen; beyond it the socket is not read (backpressure).
   */
  maxPendingRequests: number;
  /**
   * What the requests of all connections may hold together, in bytes: read in part, waiting and not answered.
   * Beyond it only small ones are read, so that health answers.
   */
  maxHeldBytes: number;
  /** Clients at once; one more is told so and closed. */
  maxConnections: number;
  /**
   * So many refused clients at once get time to read why. One more is closed as soon as the reason is written, and may
   * lose it by what it is writing itself: a crowd must not take the descriptors that the supervisor's own work needs.
   */
  maxRefused: number;
  /** Sockets of clients that are open at all; one more is closed before anything is said. */
  maxSockets: number;
  /** Unread output, in characters, beyond which no further request of that client is read or begun. */
  maxWriteBufferChars: number;
  /** How long, in milliseconds, a client may take nothing of a full write buffer before it is destroyed. */
  writeStallMaxMs: number;
  /** How long, in milliseconds, a message may stay incomplete without a further byte. */
  partialMessageMaxMs: number;
  /** How often, in milliseconds, it is looked whether the socket's name still leads to the socket. */
  socketCheckEveryMs: number;
  /** How long, in milliseconds, close() waits for replies to go out. */
  closeGraceMs: number;
}

const MiB = 1024 * 1024;

export const defaultLimits: RpcLimits = {
  // More than any request of the contract needs; parsing it is a few milliseconds in which nobody is answered.
  maxMessageBytes: MiB,
  maxDepth: 200,
  maxBatchItems: 1_000,
  maxValues: 20_000,
  maxBatchConcurrency: 16,
  maxBatchReplyBytes: 64 * MiB,
  maxPendingRequests: 256,
  maxHeldBytes: 64 * MiB,
  maxConnections: 1_024,
  maxRefused: 4_096,
  maxSockets: Number.POSITIVE_INFINITY,
  maxWriteBufferChars: 16 * MiB,
  writeStallMaxMs: 30_000,
  partialMessageMaxMs: 30_000,
  socketCheckEveryMs: 2_000,
  closeGraceMs: 2_000,
};

/** What the process needs beside its clients: 39 for three workers and their logs, measured, and for what it does. */
const ownFiles = 96;
const clientFilesMin = 16;

/** How many clients there may be where a process may have so many files open, 112 at least: none costs a worker its pipe. */
export function clientsFor(
  openFiles: number,
): Pick<RpcLimits, 'maxConnections' | 'maxRefused' | 'maxSockets'> {
  const maxSockets = Math.max(clientFilesMin, openFiles - ownFiles);
  const maxRefused = Math.min(defaultLimits.maxRefused, Math.floor(maxSockets / 4));
  return {
    maxConnections: Math.min(defaultLimits.maxConnections, maxSockets - maxRefused),
    maxRefused,
    maxSockets,
  };
}

/** How many files this process may have open; Node has raised its soft limit to the hard one. */
export function openFilesMax(): number {
  const line = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  return line === null ? Number.POSITIVE_INFINITY : Number(line[1]);
}
