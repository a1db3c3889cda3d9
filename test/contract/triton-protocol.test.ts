import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  loadSync,
  type EnumTypeDefinition,
  type MessageTypeDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader';
import { describe, expect, it } from 'vitest';
import { cacheDir } from '../../scripts/dev/stack/paths.js';

/** A descriptor in protobuf's own JSON form; both sides speak it. */
interface Message {
  readonly name: string;
  readonly field?: readonly Field[];
  readonly nestedType?: readonly Message[];
  readonly enumType?: readonly Enum[];
  readonly options?: { readonly mapEntry?: boolean } | null;
}
interface Field {
  readonly name: string;
  readonly number: number;
  readonly label: string;
  readonly type: string;
  readonly typeName?: string;
}
interface Enum {
  readonly name: string;
  readonly value?: readonly { readonly name: string; readonly number?: number }[];
}
interface Method {
  readonly name: string;
  readonly inputType: string;
  readonly outputType: string;
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
}
interface File {
  readonly messageType?: readonly Message[];
  readonly enumType?: readonly Enum[];
  readonly service?: readonly { readonly name: string; readonly method: readonly Method[] }[];
}

const SERVICE = 'inference.GRPCInferenceService';

const PRINT_DESCRIPTORS = `
import json
from google.protobuf import descriptor_pb2, json_format
from tritonclient.grpc import model_config_pb2, service_pb2
files = []
for module in (service_pb2, model_config_pb2):
    proto = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(proto)
    files.append(json_format.MessageToDict(proto))
print(json.dumps(files))`;

const lastPart = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

/** One line for everything that counts on the wire: `ModelIndex.version = 2 LABEL_OPTIONAL TYPE_STRING`. */
function linesOfMessage(message: Message, prefix = ''): string[] {
  const path = `${prefix}${message.name}`;
  const { field = [], nestedType = [], enumType = [] } = message;
  // A map is a repeated message of a key and a value, and what that message is called is the compiler's own affair.
  const maps = nestedType.filter(({ options }) => options?.mapEntry);
  const typeOf = ({ type, typeName }: Field): string => {
    if (!typeName) return type;
    const entry = maps.find(({ name }) => name === lastPart(typeName));
    return entry ? `map<${(entry.field ?? []).map(typeOf).join(', ')}>` : `${type} ${lastPart(typeName)}`;
  };
  return [
    ...field.map((own) => `${path}.${own.name} = ${own.number} ${own.label} ${typeOf(own)}`),
    ...nestedType.filter((nested) => !maps.includes(nested)).flatMap((nested) => linesOfMessage(nested, `${path}.`)),
    ...enumType.flatMap((nested) => linesOfEnum(nested, `${path}.`)),
  ];
}

function linesOfEnum({ name, value = [] }: Enum, prefix = ''): string[] {
  return value.map((entry) => `${prefix}${name}.${entry.name} = ${entry.number ?? 0}`);
}

const lineOfMethod = (name: string, input: string, output: string, clientStreams = false, serverStreams = false) =>
  `rpc ${name}(${clientStreams ? 'stream ' : ''}${input}) returns (${serverStreams ? 'stream ' : ''}${output})`;

function ourLines(file = 'inference.proto'): string[] {
  const proto = loadSync(file, {
    includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))],
    keepCase: true,
  });
  const { [SERVICE]: service, ...types } = proto;
  const isTopLevel = (name: string) => name.split('.').length === 2;
  return [
    ...Object.entries(types)
      .filter(([name]) => isTopLevel(name))
      .flatMap(([, definition]) => {
        const { format, type } = definition as MessageTypeDefinition<object, object> | EnumTypeDefinition;
        return format.includes('Enum') ? linesOfEnum(type as Enum) : linesOfMessage(type as Message);
      }),
    ...Object.entries((service ?? {}) as ServiceDefinition).map(
      ([name, { requestType, responseType, requestStream, responseStream }]) =>
        lineOfMethod(name, nameOf(requestType), nameOf(responseType), requestStream, responseStream),
    ),
  ];
}

const nameOf = (definition: { readonly type: object }): string => (definition.type as Message).name;

function theirLines(): string[] {
  const output = execFileSync(join(cacheDir, 'triton/bin/python'), ['-c', PRINT_DESCRIPTORS], { encoding: 'utf8' });
  return (JSON.parse(output) as File[]).flatMap(({ messageType = [], enumType = [], service = [] }) => [
    ...messageType.flatMap((message) => linesOfMessage(message)),
    ...enumType.flatMap((entry) => linesOfEnum(entry)),
    ...service.flatMap(({ method }) =>
      method.map(({ name, inputType, outputType, clientStreaming, serverStreaming }) =>
        lineOfMethod(name, lastPart(inputType), lastPart(outputType), clientStreaming, serverStreaming),
      ),
    ),
  ]);
}

describe('proto/', () => {
  it("says nothing that NVIDIA's own client does not say", () => {
    const ours = ourLines();
    expect(ours.length).toBeGreaterThan(150);
    expect(ours).toContain('ModelInferRequest.raw_input_contents = 7 LABEL_REPEATED TYPE_BYTES');
    const theirs = new Set(theirLines());
    expect(ours.filter((line) => !theirs.has(line))).toEqual([]);
  });

  it('knows the whole configuration of a model', () => {
    const ours = ourLines('model_config_full.proto');
    const theirs = theirLines().filter((line) => !line.startsWith('rpc '));
    const messages = new Set(ours.map((line) => line.replace(/[. ].*/, '')));
    expect(messages.size).toBeGreaterThan(20);
    expect(new Set(ours)).toEqual(new Set(theirs.filter((line) => messages.has(line.replace(/[. ].*/, '')))));
  });

  it('defines every method that imagen uses', () => {
    const methods = ourLines().filter((line) => line.startsWith('rpc '));
    expect(methods).toHaveLength(15);
    expect(methods).toContain(
      'rpc ModelStreamInfer(stream ModelInferRequest) returns (stream ModelStreamInferResponse)',
    );
  });
});
