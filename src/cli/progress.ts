import { SingleBar } from 'cli-progress';
import type { Input } from '../contract/index.js';
import { type CallProgress, type Client, CodekeepError, type LongMethod } from '../rpc/client/client.js';
import { onInterrupt } from './interrupt.js';
import { callLong, type Waited } from './long-call.js';
import { commandFor } from './own-words.js';
import { CommandError, exitStatus, isTalkative } from './output.js';
import { oneLine } from './text.js';

/**
 * Calls a method that can take minutes: shows its progress on a terminal, and cancels it at Ctrl-C.
 * @param wayBack asked once it was cancelled: what can be done about what was done until then
 * @throws CommandError with the status of an interruption where Ctrl-C has ended it
 */
export async function callWithProgress<N extends LongMethod>(
  client: Client,
  name: N,
  params: Input<N>,
  wayBack: () => Promise<string> = goOn,
): Promise<Waited<N>> {
  const display = showProgress();
  const interrupted = new AbortController();
  const release = onInterrupt(() => {
    process.stderr.write('cancelling; Ctrl-C again hangs up at once\n');
    interrupted.abort();
  });
  try {
    return await callLong(client, name, params, interrupted.signal, (progress) => display.show(progress));
  } catch (error) {
    const isCancelled = error instanceof CodekeepError && error.code === 'CANCELLED';
    if (!interrupted.signal.aborted || !isCancelled) throw error;
    throw new CommandError(
      `"codekeep ${commandFor(name)}" was cancelled.`,
      await wayBack(),
      exitStatus.interrupted,
    );
  } finally {
    release();
    display.end();
  }
}

async function goOn(): Promise<string> {
  return await Promise.resolve('What was done so far is complete; start it again for the rest.');
}

interface Display {
  show(progress: CallProgress): void;
  end(): void;
}

function showProgress(): Display {
  if (!isTalkative()) return { show: () => undefined, end: () => undefined };
  const bar = new SingleBar({
    format: '{phase} [{bar}] {value}/{total}',
    stream: process.stderr,
    clearOnComplete: true,
  });
  bar.start(0, 0, { phase: 'starting' });
  return {
    show({ done, total, message }) {
      bar.setTotal(total);
      bar.update(done, { phase: oneLine(message) });
    },
    end: () => bar.stop(),
  };
}
