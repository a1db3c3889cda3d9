/**
 * Removes secrets from logs, wherever they are: in a message, a stack, or a nested property. It therefore works on the lines
 * of JSON as they are written, and its output is JSON again. It recognises secrets by name and form. It is only a safety net
 * behind the code that handles secrets, and some can pass.
 */

const REDACTED = '[redacted]';

/** Names whose value is a secret in a URL, in a header or as a property. */
const NAMES = [
  'x-(?:goog|amz)-(?:signature|credential|security-token|api-key)',
  '(?:access|refresh|id|auth|session)[_-]?token',
  '(?:client|api)[_-]?(?:secret|key)',
  'private[_-]?key(?:[_-]?id)?',
  '(?:aws[_-]?)?(?:secret[_-]?)?access[_-]?key(?:[_-]?id)?',
  '(?:proxy-)?authorization',
  '(?:set-)?cookie',
].join('|');
/** Names that also count as the end of a longer name. */
const ENDINGS = 'password|passwd|passphrase|secret';
/** Common words. They count as secrets only as a parameter of a URL, or as the whole name of a property. */
const WORDS = 'key|token|sig|signature|pwd';

const NAME = `(?:(?:\\b|_)(?:${NAMES})|${ENDINGS})`;
const PROPERTY = String.raw`(?:[\w.-]{0,64}?(?:${NAMES}|${ENDINGS})|${WORDS})`;

/**
 * Text inside a JSON string that itself contains JSON. Its quotes have one backslash; those within its strings have three.
 */
const NESTED = String.raw`(?:\\\\\\"|\\[^"]|[^"\\])*`;
/** A value in a URL, percent-encoded any number of times. */
const VALUE = String.raw`(?:(?!%(?:25){0,4}2[26])[^&\s"'\\<>])+`;
/** A value in plain text, perhaps in quotes. */
const TEXT = String.raw`(?:(?:\\\\)*\\"(?:\\[^"]|[^"\\])*|${VALUE})`;
const EQUALS = '(?:=|%(?:25){0,4}3D)';
/** A validation message about a field with such a name. It is no value, unless more of a cookie follows. */
const VERDICT =
  String.raw`\s*(?:unknown field|expected|(?:is )?required|missing|invalid|must be|too (?:small|big|large|short|long|many|few))` +
  String.raw`(?=[\s,;:.!)"\\]|$)(?!;\s*[^\s;=]{1,64}=)`;

/** The part of an Authorization header after the scheme, if it is more than one word. */
const PARAMS =
  String.raw`(?:(?:\s*,\s*)?[\w*-]{1,64}\s*=\s*` +
  String.raw`(?:(?<quote>(?:\\\\)*\\")(?:(?!\k<quote>|Digest\s)(?:\\[^"]|[^"\\]))*(?:\k<quote>)?|[^\s,"\\]+))+`;
const DIGEST = String.raw`Digest\s+(?=(?:username|realm|nonce|uri|response|algorithm|cnonce|nc|qop|opaque|userhash)\*?\s*=)`;

const RULES: readonly (readonly [RegExp, string])[] = [
  // A key in PEM, whole or cut off.
  [
    /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END)(?:\\[^"]|[^"\\]))*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g,
    REDACTED,
  ],
  // Properties: texts, numbers, lists of texts, and properties of JSON within a text.
  [new RegExp(String.raw`("${PROPERTY}"\s*:\s*)"(?:\\.|[^"\\])*"`, 'gi'), `$1"${REDACTED}"`],
  [new RegExp(String.raw`("${PROPERTY}"\s*:\s*)-?\d[\d.e+-]*`, 'gi'), `$1"${REDACTED}"`],
  [new RegExp(String.raw`("${PROPERTY}"\s*:\s*)\[(?:"(?:\\.|[^"\\])*"|[^\]"])*\]`, 'gi'), `$1"${REDACTED}"`],
  [new RegExp(String.raw`(?<!\\)(\\{1,7}"${PROPERTY}\\+"\s*:\s*\\+")${NESTED}`, 'gi'), `$1${REDACTED}`],
  [new RegExp(String.raw`(?<!\\)((\\{1,7}")${PROPERTY}\\+"\s*:\s*)-?\d[\d.e+-]*`, 'gi'), `$1$2${REDACTED}$2`],
  [new RegExp(String.raw`(?<!\\)(\\{1,7}"(?:${NAMES})\\+"\s*:\s*)\[(?:\\.|[^"\\])*`, 'gi'), `$1${REDACTED}`],
  // Properties in the format of node:util, and headers.
  [new RegExp(String.raw`(${NAME}'?\s*:\s*)\[(?:\\[^"]|[^\]"\\])*`, 'gi'), `$1${REDACTED}`],
  [new RegExp(String.raw`(${NAME}'?\s*:\s*')(?:\\[^"]|[^'"\\])*'`, 'gi'), `$1${REDACTED}'`],
  [/\b(Bearer(?:\s|%20|\+)+)[\w.~+/=%-]{8,}/gi, `$1${REDACTED}`],
  [
    new RegExp(String.raw`\b(authorization\s*:(?!${VERDICT})\s*(?!Basic\b)[\w-]+\s+|${DIGEST})${PARAMS}`, 'gi'),
    `$1${REDACTED}`,
  ],
  [new RegExp(String.raw`\b(authorization\s*:(?!${VERDICT})\s*)(?:[\w-]+\s+)?${VALUE}`, 'gi'), `$1${REDACTED}`],
  [/\b(authorization\W{1,8}Basic\s+)[\w+/=-]+/gi, `$1${REDACTED}`],
  [new RegExp(String.raw`\b(cookie:(?!${VERDICT})\s*)[^"\\]+`, 'gi'), `$1${REDACTED}`],
  [new RegExp(String.raw`(${NAME}\s*:(?!${VERDICT})\s*)(?!\[redacted)${TEXT}`, 'gi'), `$1${REDACTED}`],
  // Parameters, also those of a URL within a URL.
  [new RegExp(String.raw`((?:%(?:25){0,4}[0-9a-f]{2}(?:${NAMES})|${NAME})${EQUALS})${TEXT}`, 'gi'), `$1${REDACTED}`],
  [new RegExp(String.raw`((?:[?&;]|%(?:25){0,4}(?:3F|26))(?:${WORDS})${EQUALS})${VALUE}`, 'gi'), `$1${REDACTED}`],
  // The same words outside URLs, except in object names and where the value does not look like a token.
  [
    /((?<!\/)(?:\b|_)(?:token|sig|signature)=(?:(?:\\\\)*\\"|')?)(?=[\w.~+/%-]*\d|[\w.~+/%-]{16})[\w.~+/=%:-]{8,}/gi,
    `$1${REDACTED}`,
  ],
  [new RegExp(String.raw`((?<!\/)(?:\b|_)pwd=)(?!(?:(?:\\\\)*\\")?/)${TEXT}`, 'gi'), `$1${REDACTED}`],
  // Secrets under any name: Google's and Amazon's own formats, JSON Web Tokens, and a password before a host.
  [/\bAIza[\w-]{30,}|\bya29\.[\w.-]+|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*|AKIA[0-9A-Z]{16}/g, REDACTED],
  [/(:\/\/)[^\s/@:"'\\]*:[^\s/"'\\]*(?=@)/g, `$1${REDACTED}`],
];

/** Matches every line that a rule changes, and few others. Most lines are therefore tested once instead of by each rule. */
const SUSPECT = new RegExp(
  String.raw`(?:${NAMES}|${ENDINGS}|${WORDS})[\s"'\\:=%]|authorization|Bearer|Digest\s|-----BEGIN` +
    String.raw`|AIza|ya29|eyJ|AKIA|://[^\s/@:"'\\]*:[^\s/"'\\]*@`,
  'i',
);

/** @param line of JSON */
export function redact(line: string): string {
  return SUSPECT.test(line) ? redactUnchecked(line) : line;
}

/** Applies every rule to any line. The tests compare {@link redact} with it. */
export function redactUnchecked(line: string): string {
  return RULES.reduce((text, [what, by]) => text.replace(what, by), line);
}
