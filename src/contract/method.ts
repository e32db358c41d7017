import * as z from 'zod';

/**
 * One JSON-RPC method, declared once: validation, types, the OpenRPC document, the CLI's help and the MCP
 * tools all derive from this. Params by position follow the order of the keys in `params`.
 */
export interface MethodDefinition<
  P extends z.ZodObject = z.ZodObject,
  R extends z.ZodType = z.ZodType,
  O extends Owner = Owner,
> {
  /** Which process answers: the supervisor itself, or index_service on its behalf. */
  owner: O;
  /** One sentence in the imperative. */
  summary: string;
  /**
   * Set where the method changes the index or the project: it is refused while a repair or the end of the daemon holds
   * them, it is not cancelled half way, and it is not asked again after a crash.
   */
  writes?: true;
  params: P;
  result: R;
  /** Set where the method is offered to agents over MCP, under its own name or `name`; the hints are MCP's tool annotations. */
  tool?: { name?: string; title: string; readOnly: boolean; destructive: boolean; idempotent: boolean };
}

export type Owner = 'supervisor' | 'index';

export function defineMethod<P extends z.ZodObject, R extends z.ZodType, const O extends Owner>(
  definition: MethodDefinition<P, R, O>,
): MethodDefinition<P, R, O> {
  return definition;
}

export type ParamsOf<M> = M extends MethodDefinition<infer P> ? z.output<P> : never;
export type InputOf<M> = M extends MethodDefinition<infer P> ? z.input<P> : never;
export type ResultOf<M> = M extends MethodDefinition<z.ZodObject, infer R> ? z.output<R> : never;
