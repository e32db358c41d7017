import assert from 'node:assert/strict';
import { Client, type RequestOptions } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { program, type Sandbox } from './sandbox.js';

export interface Agent {
  client: Client;
  stderr: () => string;
}

/** `codekeep mcp` as an agent starts it, by the official client. */
export async function startBridge(sandbox: Sandbox, socket: string): Promise<Agent> {
  const env = Object.entries(sandbox.environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [program, 'mcp', '--socket', socket],
    env: Object.fromEntries(env),
    stderr: 'pipe',
  });
  let stderr = '';
  transport.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const client = new Client({ name: 'codekeep-test', version: '0' });
  await client.connect(transport);
  return { client, stderr: () => stderr };
}

/** With a bridge that is closed afterwards, however that went. */
export async function withBridge(
  sandbox: Sandbox,
  socket: string,
  work: (agent: Agent) => Promise<void>,
): Promise<void> {
  const agent = await startBridge(sandbox, socket);
  try {
    await work(agent);
  } finally {
    await agent.client.close();
  }
}

export interface ToolResult {
  isError: boolean;
  text: string;
  structured: Record<string, unknown> | undefined;
}

export async function callTool(
  { client }: Agent,
  name: string,
  args: Record<string, unknown> = {},
  options: RequestOptions = {},
): Promise<ToolResult> {
  const { isError, content, structuredContent } = await client.callTool({ name, arguments: args }, options);
  const [first] = content;
  assert.ok(first?.type === 'text');
  return {
    isError: isError === true,
    text: first.text,
    structured: structuredContent as Record<string, unknown> | undefined,
  };
}
