import * as z from 'zod';
import { CodekeepError } from '../../base/errors.js';

/** One wrong param: where it is (`paths[0]`, or `params` for all together) and what is wrong with it. */
export interface ParamIssue {
  param: string;
  message: string;
}

/**
 * Checks the params of a call against their declaration and fills in defaults.
 * @param raw by name, by position in the order of the declaration, or left out
 * @throws CodekeepError INVALID_PARAMS, with one ParamIssue per wrong param in `details.issues`
 */
export function readParams<S extends z.ZodObject>(method: string, schema: S, raw: unknown): z.output<S> {
  const names = Object.keys(schema.shape);
  if (Array.isArray(raw) && raw.length > names.length) {
    const surplus = raw.slice(names.length, names.length + issuesMax).map((_, index) => ({
      param: `[${names.length + index}]`,
      message: `there are only ${names.length} params`,
    }));
    throw invalidParams(method, names, surplus);
  }
  const tooMany = tooManyOf(names, raw);
  if (tooMany.length > 0) throw invalidParams(method, names, tooMany);
  const parsed = z.safeParse(schema, Array.isArray(raw) ? byName(schema, names, raw) : (raw ?? {}));
  if (parsed.success) return parsed.data;
  throw invalidParams(method, names, parsed.error.issues.flatMap(issuesOf));
}

/**
 * Positional params by their names. JSON has no way to leave out one in the middle, so null stands for
 * "not given" where the param does not take null itself.
 */
function byName(schema: z.ZodObject, names: string[], values: unknown[]): Record<string, unknown> {
  const given = new Map<string, unknown>();
  for (const [index, name] of names.entries()) {
    if (index >= values.length) break;
    const value = values[index];
    const field = schema.shape[name];
    const isLeftOut = value === null && field !== undefined && !z.safeParse(field, null).success;
    if (!isLeftOut) given.set(name, value);
  }
  return Object.fromEntries(given);
}

function issuesOf(issue: z.core.$ZodIssue): ParamIssue[] {
  const param = paramName(issue.path);
  if (issue.code !== 'unrecognized_keys')
    return [{ param: param === '' ? 'params' : param, message: issue.message }];
  return issue.keys.map((key) => ({
    param: param === '' ? key : `${param}.${key}`,
    message: 'there is no such param',
  }));
}

/** `['paths', 0]` as `paths[0]`. */
function paramName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const part of path) {
    if (typeof part === 'number') name += `[${part}]`;
    else name += name === '' ? String(part) : `.${String(part)}`;
  }
  return name;
}

/** Items of a list that is a param; the contract needs no more. */
const itemsMax = 1_000;
/** Params beyond those that there are: each of so few is named. */
const unknownMax = 20;

/** What is too much is refused before each part of it is looked at: that, and naming it, holds everybody up. */
function tooManyOf(names: readonly string[], raw: unknown): ParamIssue[] {
  if (typeof raw !== 'object' || raw === null) return [];
  const given = Object.keys(raw).length;
  if (given > names.length + unknownMax)
    return [{ param: 'params', message: `there are ${given}, and only ${names.length} are known` }];
  return Object.entries(raw).flatMap(([param, value]) =>
    Array.isArray(value) && value.length > itemsMax && names.includes(param)
      ? [{ param, message: `Too big: ${value.length} items, at most ${itemsMax} are allowed` }]
      : [],
  );
}

/** Names are the client's own text: as many are repeated in the message as one can read. */
const namedIssuesMax = 5;
/** Of a thousand wrong ones the first are enough to see what is wrong. */
const issuesMax = 20;

function invalidParams(method: string, names: string[], issues: ParamIssue[]): CodekeepError {
  const named = issues
    .slice(0, namedIssuesMax)
    .map(({ param, message }) => `${param.slice(0, 100)}: ${message}`);
  if (issues.length > namedIssuesMax) named.push(`and ${issues.length - namedIssuesMax} more`);
  const takes = names.length === 0 ? 'takes no params' : `takes ${names.join(', ')}`;
  return new CodekeepError(
    'INVALID_PARAMS',
    `Invalid params: ${named.join('; ')}`,
    `Mend the params named in data.issues; ${method} ${takes} (see rpc.discover).`,
    { issues: issues.slice(0, issuesMax) },
  );
}
