import { CodekeepError } from '../rpc/client/client.js';
import { momentOf } from './when.js';

/** Which of a file's versions is meant, in words of the wire. */
export interface Which {
  at?: string;
  version_id?: string;
}

const versionLike = /^v[\da-z]+-[\da-z]+$/u;

/**
 * Asks for what PATH@WHEN names.
 * @param askWhole asks for a file of that whole name, which is meant first, where there is one: a name may hold an @
 */
export async function askForVersion<T>(
  named: string,
  askWhole: () => Promise<T>,
  ask: (path: string, which: Which) => Promise<T>,
): Promise<T> {
  const at = named.lastIndexOf('@');
  try {
    return await askWhole();
  } catch (error) {
    if (at <= 0 || !isRefusal(error, 'FILE_NOT_FOUND')) throw error;
  }
  const [path, when] = [named.slice(0, at), named.slice(at + 1)];
  const asMoment = { at: momentOf(when, new Date()) };
  if (!versionLike.test(when)) return await ask(path, asMoment);
  try {
    return await ask(path, { version_id: when });
  } catch (error) {
    // A checkpoint may be called so, too.
    if (!isRefusal(error, 'NOT_FOUND')) throw error;
    return await ask(path, asMoment).catch(() => {
      throw error;
    });
  }
}

function isRefusal(error: unknown, code: CodekeepError['code']): boolean {
  return error instanceof CodekeepError && error.code === code;
}
