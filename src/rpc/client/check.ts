import * as z from 'zod';
import { contract, type MethodName, type Result } from '../../contract/index.js';
import { RpcError, versionHint } from './errors.js';

/**
 * The result itself and not what zod makes of it, which would lack the fields that a newer supervisor adds.
 * @throws RpcError where it is not what this version's contract says
 */
export function checkedResult<N extends MethodName>(name: N, result: unknown): Result<N> {
  if (fitsContract(name, result)) return result;
  const problem = z.safeParse(contract[name].result, result).error?.issues[0];
  const where = problem === undefined ? '' : ` (${problem.path.join('.')}: ${problem.message})`;
  throw new RpcError(-32603, `The result of ${name} is not what the contract says${where}.`, versionHint);
}

function fitsContract<N extends MethodName>(name: N, result: unknown): result is Result<N> {
  return z.safeParse(contract[name].result, result).success;
}
