import {
  type CallToolResult,
  McpServer,
  type ServerContext,
  type StandardSchemaWithJSON,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import * as z from 'zod';
import { clientSocket, type LocationFlags } from '../base/locations.js';
import { version } from '../base/package.js';
import { commandFor } from './own-words.js';
import { describeError, exitStatus } from './output.js';
import { contract } from '../contract/index.js';
import type { MethodDefinition } from '../contract/method.js';
import {
  type CallProgress,
  type Client,
  CodekeepError,
  connect,
  type LongMethod,
} from '../rpc/client/client.js';
import { callLong } from './long-call.js';
import { PatientTransport, wordsFor } from './mcp-transport.js';
import { oneLine } from './text.js';

/** What an agent should know before it looks at any tool. */
const instructions = `codekeep keeps an index of the code in registered projects, true to the files on disk, and can bring lost files back byte for byte.
Use search to find code by words and by meaning; each hit has root_dir and path. "freshness" other than "fresh" means that the answer may be behind the files.
What files were is kept. Call checkpoint before a risky change; list_changes and file_history say what happened since, and rewind brings files back to any moment. undo_repair takes a rewind back, too.
Before repair_database or rewind changes anything, call it with dry_run=true and tell the user what it would do; both stop the workers while they run. No content is lost by them.
Errors say what was wrong and what to do about it.`;

/** The methods of the contract that are offered as tools: few, because agents choose better among few. */
const tools = Object.entries<MethodDefinition>(contract).filter(([, method]) => method.tool !== undefined);

/**
 * `codekeep mcp`: a thin bridge from MCP on stdio to the socket. Names, schemas and annotations come from the
 * contract. Each call connects anew, so that the bridge outlives a restart of the daemon.
 */
export async function serveMcp(flags: LocationFlags): Promise<void> {
  const wire = new PatientTransport();
  // Whoever ends the bridge has not cancelled anything: a repair goes on, as after any client that hangs up.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(exitStatus.done));
  serveStdio(() => createServer(flags, wire), {
    transport: wire,
    // stdout belongs to the protocol.
    onerror: (error) => process.stderr.write(`codekeep: ${oneLine(wordsFor(error))}\n`),
  });
  await wire.closed;
  // Where stdout broke there may be calls that nobody waits for.
  process.exit(wire.hasGivenUp ? exitStatus.failed : exitStatus.done);
}

function createServer(flags: LocationFlags, wire: PatientTransport): McpServer {
  const server = new McpServer({ name: 'codekeep', version }, { instructions });
  for (const [method, definition] of tools) registerTool(server, method, definition, flags, wire);
  return server;
}

function registerTool(
  server: McpServer,
  method: string,
  definition: MethodDefinition,
  flags: LocationFlags,
  wire: PatientTransport,
): void {
  const { result, tool } = definition;
  const name = tool?.name ?? method;
  const config = {
    title: tool?.title ?? name,
    description: describe(definition),
    inputSchema: inputOf(definition),
    annotations: {
      title: tool?.title ?? name,
      readOnlyHint: tool?.readOnly ?? false,
      destructiveHint: tool?.destructive ?? true,
      idempotentHint: tool?.idempotent ?? false,
      // It reaches this machine's daemon only, never an open set of things outside.
      openWorldHint: false,
    },
    // MCP wants an object at the top of an output schema; results of several shapes go without one.
    ...(result instanceof z.ZodObject ? { outputSchema: openSchema(result) } : {}),
  };
  server.registerTool(name, config, async (args: unknown, context): Promise<CallToolResult> => {
    try {
      const client = await connect({ socket: clientSocket(flags, process.env) });
      try {
        const answer = await callTool(client, method, args as Record<string, unknown>, context, wire);
        return {
          content: [{ type: 'text', text: JSON.stringify(answer) }],
          structuredContent: answer as Record<string, unknown>,
        };
      } finally {
        client.close();
      }
    } catch (error) {
      // The agent reads what was wrong and how to mend it, and can try again.
      return { isError: true, content: [{ type: 'text', text: describeError(inTools(error), false) }] };
    }
  });
}

/** An error with its hint in names of tools; what is none of them is a command for a shell. */
function inTools(error: unknown): unknown {
  if (!(error instanceof CodekeepError)) return error;
  const hint = error.hint.replaceAll(/\b[a-z]+(?:_[a-z]+)+\b/gu, (name) => {
    if (!(name in contract)) return name;
    const found = tools.find(([method]) => method === name);
    return found === undefined
      ? `"codekeep ${commandFor(name)}" (in a shell)`
      : (found[1].tool?.name ?? name);
  });
  return new CodekeepError(error.code, error.message, hint, error.details);
}

/** What changes files can be looked at before it is done, and an agent is told to. */
function describe({ summary, params }: MethodDefinition): string {
  if (!('dry_run' in params.shape)) return summary;
  const then = 'plan_id' in params.shape ? 'with nothing but plan_id, which is its run_id' : 'without';
  return `${summary} Dry run first: call it with dry_run=true, show the plan, then call it ${then}.`;
}

/** Without `wait`: an agent always waits, since it has no tool that reads jobs. The daemon checks what belongs together. */
function inputOf({ params }: MethodDefinition): z.ZodObject {
  const { wait: _wait, ...shape } = params.shape;
  return z.strictObject(shape);
}

/**
 * The same schema with fields that it does not name allowed, however deep: a newer daemon may add some. zod allows them
 * in what goes into a schema, and forbids them in what comes out of it, which is what MCP shows to clients.
 */
function openSchema(schema: z.ZodObject): StandardSchemaWithJSON {
  const standard = schema['~standard'];
  const { input } = standard.jsonSchema;
  return { '~standard': { ...standard, jsonSchema: { input, output: input } } };
}

async function callTool(
  client: Client,
  method: string,
  args: Record<string, unknown>,
  { mcpReq }: ServerContext,
  wire: PatientTransport,
): Promise<unknown> {
  const cancelled = new AbortController();
  // The end of the connection aborts, too, and is no wish to cancel.
  mcpReq.signal.addEventListener('abort', () => {
    if (!wire.isClosed) cancelled.abort();
  });
  if (!isLong(method)) return await client.callAny(method, args, { signal: cancelled.signal });
  const { _meta: meta } = mcpReq;
  const steps = new RisingProgress();
  return await callLong(client, method, args, cancelled.signal, (progress) => {
    if (meta?.progressToken === undefined) return;
    const params = { progressToken: meta.progressToken, ...steps.next(progress) };
    // Progress that does not arrive is no reason to end the call.
    mcpReq.notify({ method: 'notifications/progress', params }).catch(() => undefined);
  });
}

function isLong(name: string): name is LongMethod {
  return Object.entries<MethodDefinition>(contract).some(
    ([method, { params }]) => method === name && 'wait' in params.shape,
  );
}

/** MCP wants progress to rise with each notification; the phases of a repair each begin at 0. */
class RisingProgress {
  #last = 0;
  #phase = '';
  /** Where the phase began. */
  #base = 0;

  next({ message, done, total }: CallProgress): { progress: number; total: number; message: string } {
    if (message !== this.#phase) this.#base = this.#last;
    this.#phase = message;
    this.#last = Math.max(this.#last + 1, this.#base + done);
    return { progress: this.#last, total: Math.max(this.#last, this.#base + total), message };
  }
}
