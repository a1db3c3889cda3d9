/**
 * What must not stand in a log, wherever it stands: in a message, a stack, a property of a property. So it works on lines
 * of JSON as they are written, and what comes out is JSON again.
 */

const REDACTED = '[redacted]';

/** Names whose value is a secret in a URL, in a header or as a property. */
const NAMES = [
  'x-(?:goog|amz)-(?:signature|credential|security-token|api-key)',
  '(?:access|refresh|id)[_-]?token',
  '(?:client|api)[_-]?(?:secret|key)',
  'private[_-]?key(?:[_-]?id)?',
  '(?:proxy-)?authorization',
  '(?:set-)?cookie',
].join('|');
/** Names that are common words: secrets only as a parameter of a URL, or as the whole name of a property. */
const WORDS = 'key|token|sig|signature|secret|password|passwd|pwd';

/** Inside a JSON string that is itself a text of JSON, quotes have one backslash; those within its strings three. */
const NESTED = String.raw`(?:\\\\\\"|\\[^"]|[^"\\])*`;
/** Of a URL, encoded once more or not. */
const VALUE = String.raw`(?:(?!%26|%22)[^&\s"'\\<>])+`;

const RULES: readonly (readonly [RegExp, string])[] = [
  // A key in PEM, whole or cut off.
  [
    /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END)(?:\\[^"]|[^"\\]))*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g,
    REDACTED,
  ],
  // Properties: texts, lists of texts, and those of JSON within a text.
  [new RegExp(String.raw`("(?:${NAMES}|${WORDS})"\s*:\s*)"(?:\\.|[^"\\])*"`, 'gi'), `$1"${REDACTED}"`],
  [new RegExp(String.raw`("(?:${NAMES}|${WORDS})"\s*:\s*)\[(?:"(?:\\.|[^"\\])*"|[^\]"])*\]`, 'gi'), `$1"${REDACTED}"`],
  [new RegExp(String.raw`(?<!\\)(\\{1,7}"(?:${NAMES}|${WORDS})\\+"\s*:\s*\\+")${NESTED}`, 'gi'), `$1${REDACTED}`],
  [new RegExp(String.raw`(?<!\\)(\\{1,7}"(?:${NAMES})\\+"\s*:\s*)\[(?:\\.|[^"\\])*`, 'gi'), `$1${REDACTED}`],
  // As node:util prints them, and headers.
  [new RegExp(String.raw`\b((?:${NAMES})'?\s*:\s*)\[(?:\\[^"]|[^\]"\\])*`, 'gi'), `$1${REDACTED}`],
  [new RegExp(String.raw`\b((?:${NAMES})'?\s*:\s*')(?:\\[^"]|[^'"\\])*'`, 'gi'), `$1${REDACTED}'`],
  [/\b(Bearer(?:\s|%20|\+)+)[\w.~+/=%-]{8,}/gi, `$1${REDACTED}`],
  [/\b(authorization\W{1,8}Basic\s+)[\w+/=-]+/gi, `$1${REDACTED}`],
  [/\b(cookie:\s*)[^"\\]+/gi, `$1${REDACTED}`],
  [new RegExp(String.raw`\b((?:${NAMES})\s*:\s*)(?!Bearer\b|Basic\b|\[redacted)${VALUE}`, 'gi'), `$1${REDACTED}`],
  // Parameters, of a URL within a URL too.
  [new RegExp(String.raw`((?:\b|_|%[0-9a-f]{2})(?:${NAMES})(?:=|%3D))${VALUE}`, 'gi'), `$1${REDACTED}`],
  [new RegExp(String.raw`((?:[?&;]|%3F|%26)(?:${WORDS})(?:=|%3D))${VALUE}`, 'gi'), `$1${REDACTED}`],
  // Whatever their name: what Google's own look like, JSON Web Tokens, and a password before a host.
  [/\bAIza[\w-]{30,}|\bya29\.[\w.-]+|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, REDACTED],
  [/(:\/\/)[^\s/@:"'\\]*:[^\s/@"'\\]*(?=@)/g, `$1${REDACTED}`],
];

/** @param line of JSON */
export function redact(line: string): string {
  return RULES.reduce((text, [what, by]) => text.replace(what, by), line);
}
