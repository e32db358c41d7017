import type { Input, Result } from '../contract/index.js';
import type { CallProgress, Client, LongMethod } from '../rpc/client/client.js';

export type Waited<N extends LongMethod> = Exclude<Result<N>, { job_id: string }>;

/**
 * Calls a method that can take minutes. When `signal` aborts it is cancelled, and what it ends with is still waited
 * for: it stops at its next safe point, or was done before.
 */
export async function callLong<N extends LongMethod>(
  client: Client,
  name: N,
  params: Input<N>,
  signal: AbortSignal,
  onProgress: (progress: CallProgress) => void,
): Promise<Waited<N>> {
  let jobId: string | null = null;
  const cancel = (): void => {
    // Where the connection is lost, the call hears of it, too.
    if (jobId !== null) client.call('cancel_job', { job_id: jobId }).catch(() => undefined);
  };
  const follow = (progress: CallProgress): void => {
    if (jobId === null) {
      jobId = progress.job_id;
      if (signal.aborted) cancel();
    }
    onProgress(progress);
  };
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return (await client.call(name, params, { onProgress: follow })) as Waited<N>;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}
