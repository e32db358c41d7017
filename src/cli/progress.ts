import { SingleBar } from 'cli-progress';
import type { Input, Result } from '../contract/index.js';
import { type CallProgress, type Client, CodekeepError, type LongMethod } from '../rpc/client/client.js';
import { onInterrupt } from './interrupt.js';
import { CommandError, exitStatus } from './output.js';

type Waited<N extends LongMethod> = Exclude<Result<N>, { job_id: string }>;

/**
 * Calls a method that can take minutes: shows its progress on a terminal, and cancels it at Ctrl-C.
 * @throws CommandError with the status of an interruption where Ctrl-C has ended it
 */
export async function callWithProgress<N extends LongMethod>(
  client: Client,
  name: N,
  params: Input<N>,
): Promise<Waited<N>> {
  const display = showProgress();
  let jobId: string | null = null;
  let release = (): void => undefined;
  let wasInterrupted = false;
  const onProgress = (progress: CallProgress): void => {
    display.show(progress);
    if (jobId !== null) return;
    jobId = progress.job_id;
    // What the call ends with is still waited for: it stops at a safe point.
    release = onInterrupt(() => {
      wasInterrupted = true;
      process.stderr.write('cancelling; Ctrl-C again hangs up at once\n');
      client.call('cancel_job', { job_id: progress.job_id }).catch(() => undefined);
    });
  };
  try {
    const result = await client.call(name, params, { onProgress });
    return result as Waited<N>;
  } catch (error) {
    if (!wasInterrupted || !(error instanceof CodekeepError) || error.code !== 'CANCELLED') throw error;
    throw new CommandError(
      `${name} was cancelled.`,
      'What was done so far is complete; start it again for the rest.',
      exitStatus.interrupted,
    );
  } finally {
    release();
    display.end();
  }
}

interface Display {
  show(progress: CallProgress): void;
  end(): void;
}

function showProgress(): Display {
  if (!process.stderr.isTTY) return { show: () => undefined, end: () => undefined };
  const bar = new SingleBar({
    format: '{phase} [{bar}] {value}/{total}',
    stream: process.stderr,
    clearOnComplete: true,
  });
  bar.start(0, 0, { phase: 'starting' });
  return {
    show({ done, total, message }) {
      bar.setTotal(total);
      bar.update(done, { phase: message });
    },
    end: () => bar.stop(),
  };
}
