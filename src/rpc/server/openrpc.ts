import * as z from 'zod';
import { errorCodes } from '../../base/errors.js';
import { contract } from '../../contract/index.js';
import type { MethodDefinition } from '../../contract/method.js';
import type { ContractShape } from './dispatch.js';
import { protocolErrors } from '../protocol.js';

/** A JSON Schema (draft 2020-12), as z.toJSONSchema gives it. */
type Schema = Record<string, unknown>;

interface ContentDescriptor {
  name: string;
  description?: string;
  required?: boolean;
  schema: Schema;
}

interface Method {
  name: string;
  summary: string;
  paramStructure: 'either';
  /** In the order in which they are given by position. */
  params: ContentDescriptor[];
  result: ContentDescriptor;
}

// A type and not an interface: only a type can be passed where an index signature is asked for.
/** An OpenRPC document (specification 1.3). */
export type OpenRpcDocument = {
  openrpc: string;
  info: { title: string; description: string; version: string };
  methods: Method[];
  components: { errors: Record<string, { code: number; message: string }> };
};

/**
 * Describes the service for rpc.discover. Its errors are those of components; any method can give any of them.
 * @param version of the program
 */
export function openRpcDocument(version: string, methods: ContractShape = contract): OpenRpcDocument {
  return {
    openrpc: '1.3.2',
    info: {
      title: 'codekeep',
      description: 'Keeps a code index true to the files on disk, and mends both when they part.',
      version,
    },
    methods: Object.entries(methods).map(([name, definition]) => describeMethod(name, definition)),
    components: { errors: describeErrors() },
  };
}

function describeMethod(name: string, definition: MethodDefinition): Method {
  return {
    name,
    summary: definition.summary,
    paramStructure: 'either',
    params: Object.entries(definition.params.shape).map(([param, field]) => describeParam(param, field)),
    result: { name: `${name}_result`, schema: schemaOf(definition.result, 'output') },
  };
}

function describeParam(name: string, field: z.core.$ZodType): ContentDescriptor {
  const { description, ...schema } = schemaOf(field, 'input');
  const required = !z.safeParse(field, undefined).success;
  const descriptor: ContentDescriptor = { name, required, schema };
  if (typeof description === 'string') descriptor.description = description;
  return descriptor;
}

function schemaOf(type: z.core.$ZodType, io: 'input' | 'output'): Schema {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(type, { io });
  return schema;
}

function describeErrors(): Record<string, { code: number; message: string }> {
  const numbers = Object.entries({ ...protocolErrors, ...errorCodes });
  return Object.fromEntries(
    numbers.map(([name, code]) => [name, { code, message: name.toLowerCase().replaceAll('_', ' ') }]),
  );
}
