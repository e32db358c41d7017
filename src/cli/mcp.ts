import { type CallToolResult, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import { type LocationFlags, locate } from '../base/locations.js';
import { version } from '../base/version.js';
import { describeError } from './output.js';
import { contract } from '../contract/index.js';
import type { MethodDefinition } from '../contract/method.js';
import { connect } from '../rpc/client/client.js';

/** The methods of the contract that are offered as tools: few, because agents choose better among few. */
const tools = Object.entries<MethodDefinition>(contract).filter(([, method]) => method.tool !== undefined);

/**
 * `codekeep mcp`: a thin bridge from MCP on stdio to the socket. Names, schemas and annotations come from the
 * contract. Each call connects anew, so that the bridge outlives a restart of the daemon.
 */
export async function serveMcp(flags: LocationFlags): Promise<void> {
  const { socket } = locate(flags, process.env);
  const handle = serveStdio(() => createServer(socket), {
    // stdout belongs to the protocol.
    onerror: (error) => process.stderr.write(`${error.message}\n`),
  });
  await new Promise<void>((resolve) => {
    process.stdin.once('end', resolve);
    process.stdin.once('close', resolve);
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  await handle.close();
}

function createServer(socket: string): McpServer {
  const server = new McpServer({ name: 'codekeep', version });
  for (const [name, method] of tools) registerTool(server, name, method, socket);
  return server;
}

function registerTool(server: McpServer, name: string, method: MethodDefinition, socket: string): void {
  const { summary, params, result, tool } = method;
  const config = {
    title: tool?.title ?? name,
    description: summary,
    inputSchema: params,
    annotations: {
      title: tool?.title ?? name,
      readOnlyHint: tool?.readOnly ?? false,
      destructiveHint: tool?.destructive ?? true,
      idempotentHint: tool?.idempotent ?? false,
      // It reaches this machine's daemon only, never an open set of things outside.
      openWorldHint: false,
    },
    // MCP wants an object at the top of an output schema; results of several shapes go without one.
    ...(result instanceof z.ZodObject ? { outputSchema: result } : {}),
  };
  server.registerTool(
    name,
    config,
    async (args: unknown): Promise<CallToolResult> => await callTool(socket, name, args),
  );
}

async function callTool(socket: string, name: string, args: unknown): Promise<CallToolResult> {
  try {
    const client = await connect({ socket });
    try {
      const result = await client.callAny(name, args);
      return {
        content: [{ type: 'text', text: JSON.stringify(result) }],
        structuredContent: result as Record<string, unknown>,
      };
    } finally {
      client.close();
    }
  } catch (error) {
    // The agent reads what was wrong and how to mend it, and can try again.
    return { isError: true, content: [{ type: 'text', text: describeError(error, false) }] };
  }
}
