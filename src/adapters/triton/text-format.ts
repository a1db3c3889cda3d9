/**
 * The syntax of protobuf's text format, in which config.pbtxt is written
 * (https://protobuf.dev/reference/protobuf/textformat-spec). It knows no schema: text-schema.ts checks the fields.
 */

/** A value with the line on which it begins, counted from 1. */
export type TextValue =
  | { readonly kind: 'string'; readonly text: string; readonly line: number }
  /** A number or a name, such as `TYPE_UINT8`, `true`, `-1` or `0x10`, as it is written. */
  | { readonly kind: 'word'; readonly text: string; readonly line: number }
  | { readonly kind: 'message'; readonly fields: readonly TextField[]; readonly line: number };

export interface TextField {
  readonly name: string;
  readonly line: number;
  /** Several for `name: [a, b]`. */
  readonly values: readonly TextValue[];
}

/** The text is not in the text format. */
export class TextFormatError extends Error {
  override readonly name = 'TextFormatError';
  constructor(
    readonly line: number,
    readonly expected: string,
    readonly given: string,
  ) {
    super(`line ${line}: expected ${expected}, given ${given}`);
  }
}

interface Token {
  readonly kind: 'string' | 'word' | 'sign' | 'end';
  readonly text: string;
  readonly line: number;
}

/** Deeper than any configuration, and not as deep as the stack. */
const MOST_LEVELS = 100;
const BLANK = /(?:[ \t\r\n\f\v]|#[^\n]*)*/y;
const WORD = /-?[ \t]*[A-Za-z0-9_.+][A-Za-z0-9_.]*(?:(?<=[0-9.][eE])[+-]?[0-9]+[fF]?)?/y;
const STRING = /"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'/y;
const SIGN = /[{}<>[\]:,;]/y;
const ESCAPE = /\\(?:([abfnrtv?\\'"])|([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/g;
const SIMPLE: Readonly<Record<string, string>> = {
  ...{ a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' },
  ...{ '?': '?', '\\': '\\', "'": "'", '"': '"' },
};

/** @returns the fields in their order. @throws TextFormatError */
export function parseText(text: string): TextField[] {
  return new Parser(tokensOf(text)).whole();
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  for (;;) {
    line += (take(BLANK) ?? '').split('\n').length - 1;
    if (at >= text.length) break;
    const string = take(STRING);
    const sign = string === undefined ? take(SIGN) : undefined;
    const word = string === undefined && sign === undefined ? take(WORD) : undefined;
    if (string !== undefined) tokens.push({ kind: 'string', text: unescape(string.slice(1, -1), line), line });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign, line });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word.replace(/\s/g, ''), line });
    else throw new TextFormatError(line, 'a name, a value or a bracket', JSON.stringify(text.slice(at, at + 20)));
  }
  return [...tokens, { kind: 'end', text: 'the end of the file', line }];
}

/** Numbers in escapes are bytes of UTF-8. */
function unescape(raw: string, line: number): string {
  if (!raw.includes('\\')) return raw;
  const known = raw.replace(ESCAPE, '');
  if (known.includes('\\')) throw new TextFormatError(line, 'an escape such as \\n or \\"', JSON.stringify(raw));
  const parts: Buffer[] = [];
  let from = 0;
  for (const match of raw.matchAll(ESCAPE)) {
    const [whole, simple, octal, hex, short, long] = match;
    parts.push(Buffer.from(raw.slice(from, match.index)));
    const byte = octal === undefined ? hex && parseInt(hex, 16) : parseInt(octal, 8);
    const point = short ?? long;
    if (simple !== undefined) parts.push(Buffer.from(SIMPLE[simple] ?? ''));
    else if (point === undefined) parts.push(Buffer.from([Number(byte) & 0xff]));
    else if (parseInt(point, 16) > 0x10ffff) throw new TextFormatError(line, 'a code point of Unicode', `\\${point}`);
    else parts.push(Buffer.from(String.fromCodePoint(parseInt(point, 16))));
    from = match.index + whole.length;
  }
  return Buffer.concat([...parts, Buffer.from(raw.slice(from))]).toString();
}

class Parser {
  #at = 0;
  constructor(private readonly tokens: readonly Token[]) {}

  whole(): TextField[] {
    const fields = this.#fields('', 0);
    if (this.#token.kind !== 'end') throw this.#unexpected('a field');
    return fields;
  }

  get #token(): Token {
    return this.tokens[this.#at] ?? { kind: 'end', text: 'the end of the file', line: 0 };
  }

  #is(sign: string): boolean {
    const { kind, text } = this.#token;
    return kind === 'sign' && text === sign;
  }

  #takeIf(...signs: readonly string[]): boolean {
    const found = signs.some((sign) => this.#is(sign));
    if (found) this.#at++;
    return found;
  }

  #unexpected(expected: string): TextFormatError {
    const { kind, text, line } = this.#token;
    return new TextFormatError(line, expected, kind === 'end' ? text : JSON.stringify(text));
  }

  #fields(close: string, level: number): TextField[] {
    if (level > MOST_LEVELS) throw this.#unexpected(`at most ${MOST_LEVELS} messages inside each other`);
    const fields: TextField[] = [];
    while (this.#token.kind === 'word') {
      const { text: name, line } = this.#token;
      if (!/^[A-Za-z_]\w*$/.test(name)) throw this.#unexpected('the name of a field');
      this.#at++;
      const colon = this.#takeIf(':');
      if (!colon && !this.#is('{') && !this.#is('<') && !this.#is('[')) throw this.#unexpected(`: or { after ${name}`);
      fields.push({ name, line, values: this.#values(level) });
      this.#takeIf(',', ';');
    }
    if (close !== '' && !this.#takeIf(close)) throw this.#unexpected(`a field or ${close}`);
    return fields;
  }

  #values(level: number): TextValue[] {
    if (!this.#takeIf('[')) return [this.#value(level)];
    const values: TextValue[] = [];
    if (this.#takeIf(']')) return values;
    do values.push(this.#value(level));
    while (this.#takeIf(','));
    if (!this.#takeIf(']')) throw this.#unexpected(', or ]');
    return values;
  }

  #value(level: number): TextValue {
    const { kind, text, line } = this.#token;
    if (this.#takeIf('{')) return { kind: 'message', fields: this.#fields('}', level + 1), line };
    if (this.#takeIf('<')) return { kind: 'message', fields: this.#fields('>', level + 1), line };
    if (kind === 'word') {
      this.#at++;
      return { kind, text, line };
    }
    let whole = '';
    if (kind !== 'string') throw this.#unexpected('a value');
    for (; this.#token.kind === 'string'; this.#at++) whole += this.#token.text;
    return { kind, text: whole, line };
  }
}
