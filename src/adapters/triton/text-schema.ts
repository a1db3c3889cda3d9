/** Checks a text in protobuf's text format against a message type of a .proto file. */
import { fileURLToPath } from 'node:url';
import { loadSync } from '@grpc/proto-loader';
import { parseText, type TextField, TextFormatError, type TextValue } from './text-format.js';

/** What is wrong with a text, and where. */
export interface TextFault {
  /** Counted from 1. */
  readonly line: number;
  /** Path of the field, such as `input.data_type`; empty where the text cannot be read at all. */
  readonly field: string;
  readonly expected: string;
  readonly given: string;
}

/** The parts of protobuf's DescriptorProto, in the form of proto-loader, that are read here. */
interface MessageType {
  readonly field: readonly FieldType[];
  readonly nestedType: readonly (MessageType & { readonly name: string })[];
  readonly enumType: readonly EnumType[];
  readonly options: { readonly mapEntry?: boolean } | null;
}
interface FieldType {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
}
interface EnumType {
  readonly name: string;
  readonly value: readonly { readonly name: string; readonly number: number }[];
}

type Message = Record<string, unknown>;

const definitions = loadSync('model_config_full.proto', {
  includeDirs: [fileURLToPath(new URL('../../../proto', import.meta.url))],
  keepCase: true,
});
/** At most one field of each list may be given. proto-loader does not say which fields a `oneof` has. */
const ONE_OF: Readonly<Record<string, readonly string[]>> = {
  ModelConfig: ['dynamic_batching', 'sequence_batching', 'ensemble_scheduling'],
  ModelVersionPolicy: ['latest', 'all', 'specific'],
};
const RANGES: Readonly<Record<string, readonly [number, number]>> = {
  TYPE_INT32: [-(2 ** 31), 2 ** 31 - 1],
  TYPE_UINT32: [0, 2 ** 32 - 1],
  TYPE_INT64: [-(2 ** 53), 2 ** 53],
  TYPE_UINT64: [0, 2 ** 53],
};

/**
 * Reads `config.pbtxt`.
 * @returns the configuration in proto-loader's form (camel case, defaults filled in), as Triton's ModelConfig answers it but
 *   not completed; and all faults: what is faulty is left out of the configuration
 */
export function readConfigText(text: string): { readonly config: Message; readonly faults: readonly TextFault[] } {
  const faults: TextFault[] = [];
  let fields: TextField[] = [];
  try {
    fields = parseText(text);
  } catch (error) {
    if (!(error instanceof TextFormatError)) throw error;
    const { line, expected, given } = error;
    faults.push({ line, field: '', expected, given });
  }
  return { config: new Binder(faults).message('ModelConfig', fields, ''), faults };
}

class Binder {
  constructor(private readonly faults: TextFault[]) {}

  message(typeName: string, fields: readonly TextField[], path: string): Message {
    const type = messageType(typeName);
    const message: Message = Object.fromEntries(
      type.field.map((field) => [camel(field.name), absent(typeName, field)]),
    );
    const seen = new Set<string>();
    for (const { name, line, values } of fields) {
      const at = path === '' ? name : `${path}.${name}`;
      const field = type.field.find((one) => one.name === name);
      if (!field) {
        this.#tell(line, at, `a field of ${typeName}`, `the unknown field ${name}`);
        continue;
      }
      const rival = ONE_OF[typeName]?.includes(name) && ONE_OF[typeName].find((one) => one !== name && seen.has(one));
      if (rival) this.#tell(line, at, `no ${name} beside ${rival}`, 'both');
      const isList = field.label === 'LABEL_REPEATED';
      if (!isList && (seen.has(name) || values.length !== 1)) {
        this.#tell(line, at, 'one value', seen.has(name) ? 'the field a second time' : `${values.length} values`);
        continue;
      }
      seen.add(name);
      for (const value of values) this.#put(message, typeName, field, value, at);
    }
    return message;
  }

  #put(message: Message, typeName: string, field: FieldType, value: TextValue, path: string): void {
    const read = this.#value(typeName, field, value, path);
    if (read === null) return;
    const key = camel(field.name);
    const held = message[key];
    if (isMap(messageType(typeName), field)) {
      const { key: name, value: entry } = read as { key: string; value: unknown };
      const map = held as Message;
      if (Object.hasOwn(map, name)) this.#tell(value.line, path, `each key once`, `a second ${JSON.stringify(name)}`);
      map[name] = entry;
    } else if (Array.isArray(held)) held.push(read);
    else message[key] = read;
  }

  /** @returns null if the value is faulty, which is then told */
  #value(typeName: string, field: FieldType, value: TextValue, path: string): unknown {
    if (field.type === 'TYPE_MESSAGE') {
      const inner = resolve(typeName, field.typeName);
      if (value.kind === 'message') return this.message(inner, value.fields, path);
      return this.#tell(value.line, path, 'a message in { }', shown(value));
    }
    if (value.kind === 'message') return this.#tell(value.line, path, wanted(typeName, field), '{');
    if (field.type === 'TYPE_STRING') {
      return value.kind === 'string' ? value.text : this.#tell(value.line, path, 'a string in quotes', value.text);
    }
    const read = value.kind === 'word' ? scalar(typeName, field, value.text) : undefined;
    return read ?? this.#tell(value.line, path, wanted(typeName, field), shown(value));
  }

  #tell(line: number, field: string, expected: string, given: string): null {
    this.faults.push({ line, field, expected, given });
    return null;
  }
}

function scalar(typeName: string, field: FieldType, text: string): unknown {
  if (field.type === 'TYPE_BOOL')
    return { true: true, t: true, True: true, '1': true, false: false, f: false, False: false, '0': false }[text];
  if (field.type === 'TYPE_ENUM') {
    const { value } = enumType(typeName, field.typeName);
    return value.find(({ name, number }) => name === text || String(number) === text)?.name;
  }
  const range = RANGES[field.type];
  if (!range) {
    const number = Number(text.replace(/[fF]$/, ''));
    return Number.isNaN(number) ? undefined : number;
  }
  const [, minus = '', digits = ''] = /^(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.exec(text) ?? [];
  if (digits === '') return undefined;
  const number = Number(/^0[0-7]+$/.test(digits) ? `0o${digits}` : digits) * (minus === '' ? 1 : -1);
  return number >= range[0] && number <= range[1] ? number + 0 : undefined;
}

function wanted(typeName: string, field: FieldType): string {
  if (field.type === 'TYPE_ENUM')
    return `one of ${enumType(typeName, field.typeName)
      .value.map(({ name }) => name)
      .join(', ')}`;
  if (field.type === 'TYPE_BOOL') return 'true or false';
  if (field.type === 'TYPE_STRING') return 'a string in quotes';
  const range = RANGES[field.type];
  return range ? `a whole number from ${range[0]} to ${range[1]}` : 'a number';
}

const shown = (value: TextValue): string =>
  value.kind === 'message' ? '{' : value.kind === 'string' ? JSON.stringify(value.text) : value.text;

/** What a field is where the text does not give it. */
function absent(typeName: string, field: FieldType): unknown {
  if (isMap(messageType(typeName), field)) return {};
  if (field.label === 'LABEL_REPEATED') return [];
  if (field.type === 'TYPE_MESSAGE') return null;
  if (field.type === 'TYPE_STRING') return '';
  if (field.type === 'TYPE_BOOL') return false;
  return field.type === 'TYPE_ENUM' ? enumType(typeName, field.typeName).value[0]?.name : 0;
}

function isMap(type: MessageType, field: FieldType): boolean {
  return type.nestedType.some(({ name, options }) => options?.mapEntry === true && name === field.typeName);
}

const camel = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Full name, without the package, of a type as a field of `scope` names it. */
function resolve(scope: string, name: string): string {
  for (let at = scope; ; at = at.replace(/\.?[^.]*$/, '')) {
    const full = at === '' ? name : `${at}.${name}`;
    if (find(full) !== undefined || at === '') return full;
  }
}

function find(name: string): unknown {
  const direct = definitions[`inference.${name}`] as { readonly type?: unknown } | undefined;
  if (direct?.type !== undefined) return direct.type;
  const [, outer, inner] = /^(.*)\.([^.]+)$/.exec(name) ?? [];
  if (outer === undefined) return undefined;
  const { nestedType, enumType } = (find(outer) as Partial<MessageType> | undefined) ?? {};
  return [...(nestedType ?? []), ...(enumType ?? [])].find((one) => one.name === inner);
}

const messageType = (name: string): MessageType => find(name) as MessageType;
const enumType = (scope: string, name: string): EnumType => find(resolve(scope, name)) as EnumType;
