import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { onInterrupt } from './interrupt.js';
import { exitStatus, isForPeople, printTo } from './output.js';

/** What sh says where there is no such program, or none that can be run. */
const notRun = new Set<number | null>([126, 127]);

/** A pager as git chooses it, on a terminal only: CODEKEEP_PAGER, PAGER, less where there is one. Null: none. */
function pagerCommand(environment: NodeJS.ProcessEnv): string | null {
  const { CODEKEEP_PAGER: own, PAGER: pager, PATH: path = '' } = environment;
  const chosen = own ?? pager;
  if (chosen !== undefined) return chosen.trim() === '' || chosen.trim() === 'cat' ? null : chosen;
  const hasLess = path.split(':').some((folder) => existsSync(join(folder, 'less')));
  return hasLess ? 'less -FRX' : null;
}

/**
 * Prints what `work` prints through a pager, where a person reads it. A reader that has seen enough ends the program, as it does
 * that of a pipe.
 */
export async function throughPager(work: () => Promise<void>): Promise<void> {
  const command = isForPeople() ? pagerCommand(process.env) : null;
  if (command === null) return await work();
  const pager = spawn('sh', ['-c', command], {
    stdio: ['pipe', 'inherit', 'inherit'],
    // Colours are carried out; what else is in a patch has been escaped.
    env: { LESS: 'FRX', ...process.env },
  });
  // Ctrl-C is for the pager: it ends with it or goes on.
  const ignore = (): void => void onInterrupt(ignore);
  ignore();
  pager.stdin.on('error', () => undefined);
  let isWritten = false;
  const closed = once(pager, 'close').then(([status]) => {
    const code = notRun.has(status as number | null) ? exitStatus.failed : exitStatus.done;
    if (!isWritten) process.exit(code);
    if (code !== exitStatus.done) process.exitCode = code;
  });
  printTo(pager.stdin);
  try {
    await work();
  } finally {
    isWritten = true;
    pager.stdin.end();
    await closed;
  }
}
