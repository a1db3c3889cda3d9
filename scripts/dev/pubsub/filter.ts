/** The language of subscriptions' filters (https://cloud.google.com/pubsub/docs/subscription-message-filter). */
import { invalid } from './refusal.js';

export type Filter = (attributes: Readonly<Record<string, string>>) => boolean;

const MOST_BYTES = 256;
const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z_][\w-]*)|(!=|[=:.,()]))/y;

/**
 * `!=` needs the attribute to be there, as every comparison does; `NOT` before a comparison does not.
 * @throws Refusal INVALID_ARGUMENT, with the place where the text stops being a filter
 */
export function parseFilter(text: string): Filter {
  if (Buffer.byteLength(text) > MOST_BYTES) throw refused(text, `it has more than ${MOST_BYTES} bytes`);
  if (text.trim() === '') return () => true;
  const tokens = tokensOf(text);

  const found = (token: string | undefined) => (token === undefined ? 'its end' : `'${token}'`);
  const accept = (wanted: string) => tokens[0] === wanted && tokens.shift() !== undefined;
  const demand = (wanted: string) => {
    if (!accept(wanted)) throw refused(text, `expected '${wanted}' instead of ${found(tokens[0])}`);
  };
  const string = () => {
    const token = tokens.shift();
    if (!token?.startsWith('"')) throw refused(text, `expected a string in double quotes instead of ${found(token)}`);
    return token.slice(1, -1).replace(/\\(.)/gs, '$1');
  };
  const key = () => {
    if (tokens[0]?.startsWith('"')) return string();
    const token = tokens.shift();
    if (!token || !/^\w/.test(token)) throw refused(text, `expected an attribute's key instead of ${found(token)}`);
    return token;
  };

  function comparison(): Filter {
    if (accept('hasPrefix')) {
      for (const token of ['(', 'attributes', '.']) demand(token);
      const name = key();
      demand(',');
      const prefix = string();
      demand(')');
      return (attributes) => valueOf(attributes, name)?.startsWith(prefix) ?? false;
    }
    demand('attributes');
    if (accept(':')) {
      const name = key();
      return (attributes) => valueOf(attributes, name) !== undefined;
    }
    demand('.');
    const name = key();
    const differs = accept('!=');
    if (!differs) demand('=');
    const wanted = string();
    return (attributes) => {
      const value = valueOf(attributes, name);
      return value !== undefined && (value === wanted) !== differs;
    };
  }

  function operand(): Filter {
    if (accept('NOT')) {
      const negated = operand();
      return (attributes) => !negated(attributes);
    }
    if (!accept('(')) return comparison();
    const inner = expression();
    demand(')');
    return inner;
  }

  /** Operands joined by one operator. The two together need parentheses. */
  function expression(): Filter {
    const operands = [operand()];
    const operator = tokens[0] === 'OR' ? 'OR' : 'AND';
    while (accept(operator)) operands.push(operand());
    return operator === 'OR'
      ? (attributes) => operands.some((matches) => matches(attributes))
      : (attributes) => operands.every((matches) => matches(attributes));
  }

  const filter = expression();
  if (tokens.length > 0) throw refused(text, `did not expect ${found(tokens[0])}`);
  return filter;
}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  for (let end = 0; text.slice(end).trim() !== ''; end = TOKEN.lastIndex) {
    const [, quoted, word, sign] = TOKEN.exec(text) ?? [];
    const token = quoted ?? word ?? sign;
    if (token === undefined) throw refused(text, `cannot read '${text.slice(end).trim()}'`);
    tokens.push(token);
  }
  return tokens;
}

const valueOf = (attributes: Readonly<Record<string, string>>, name: string): string | undefined =>
  Object.hasOwn(attributes, name) ? attributes[name] : undefined;

const refused = (text: string, why: string) => invalid(`Invalid filter: ${why} (filter=${text})`);
