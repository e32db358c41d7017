import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import type { Daemon } from '../harness/daemon.js';
import { program, Sandbox } from '../harness/sandbox.js';
