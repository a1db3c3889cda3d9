/** A receiver of traces over OTLP: in protobuf, as our SDK sends them, and in JSON, as Triton does. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';

export interface ReceivedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentId: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  /** Nanoseconds since 1970. */
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly string[];
  /** 2 for an error. */
  readonly status: { readonly code: number; readonly message: string };
}

export interface Receiver {
  readonly port: number;
  readonly spans: readonly ReceivedSpan[];
  /** What the requests called their bodies. */
  readonly contentTypes: ReadonlySet<string>;
  close(): Promise<void>;
}

/** @param port a free one where absent */
export async function startReceiver(port = 0): Promise<Receiver> {
  const spans: ReceivedSpan[] = [];
  const contentTypes = new Set<string>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const type = request.headers['content-type'] ?? '';
      contentTypes.add(type);
      spans.push(...flatten(decode(Buffer.concat(chunks), type)));
      response.writeHead(200, { 'content-type': type }).end(type.includes('json') ? '{}' : undefined);
    });
  });
  // Triton sends every five seconds. After as long, Node would close the connection just when Triton uses it again, and
  // Triton does not send anew what was lost.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    spans,
    contentTypes,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Value {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly Value[] };
}

interface KeyValue {
  readonly key: string;
  readonly value: Value;
}

interface Export {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly KeyValue[] };
    readonly scopeSpans?: readonly {
      readonly spans?: readonly {
        readonly traceId: Buffer | string;
        readonly spanId: Buffer | string;
        readonly parentSpanId?: Buffer | string;
        readonly name: string;
        readonly kind?: number;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly attributes?: readonly KeyValue[];
        readonly events?: readonly { readonly name: string }[];
        readonly status?: { readonly code?: number; readonly message?: string } | null;
      }[];
    }[];
  }[];
}

const proto = fileURLToPath(new URL('otlp.proto', import.meta.url));
const service = loadSync(proto, { longs: String })[
  'opentelemetry.proto.collector.trace.v1.TraceService'
] as ServiceDefinition;

function decode(body: Buffer, contentType: string): Export {
  if (contentType.includes('json')) return JSON.parse(body.toString()) as Export;
  return service.Export?.requestDeserialize(body) as Export;
}

function* flatten({ resourceSpans = [] }: Export): Generator<ReceivedSpan> {
  for (const { resource, scopeSpans = [] } of resourceSpans) {
    const name = attributesOf(resource?.attributes)['service.name'];
    for (const span of scopeSpans.flatMap(({ spans = [] }) => spans)) {
      yield {
        service: typeof name === 'string' ? name : '',
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentId: hex(span.parentSpanId ?? ''),
        name: span.name,
        kind: span.kind ?? 0,
        start: BigInt(span.startTimeUnixNano),
        end: BigInt(span.endTimeUnixNano),
        attributes: attributesOf(span.attributes),
        events: (span.events ?? []).map((event) => event.name),
        status: { code: span.status?.code ?? 0, message: span.status?.message ?? '' },
      };
    }
  }
}

const hex = (id: Buffer | string) => (typeof id === 'string' ? id : id.toString('hex'));

function attributesOf(pairs: readonly KeyValue[] = []): Record<string, unknown> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, plain(value)]));
}

function plain({ stringValue, boolValue, intValue, doubleValue, arrayValue }: Value): unknown {
  if (arrayValue) return arrayValue.values.map(plain);
  return stringValue ?? boolValue ?? doubleValue ?? Number(intValue);
}
