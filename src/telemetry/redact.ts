/**
 * What must not stand in a log, wherever it stands: in a message, a stack, a property of a property. So it works on lines
 * of JSON as they are written, and what comes out is JSON again. It knows secrets by their names and shapes: a net under
 * those who handle them, which others can slip through.
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
/** The same, as the end of a longer name too. */
const ENDINGS = 'password|passwd|passphrase|secret';
/** Names that are common words: secrets only as a parameter of a URL, or as the whole name of a property. */
const WORDS = 'key|token|sig|signature|pwd';

const NAME = `(?:(?:\\b|_)(?:${NAMES})|${ENDINGS})`;
const PROPERTY = String.raw`(?:[\w.-]{0,64}?(?:${NAMES}|${ENDINGS})|${WORDS})`;

/** Inside a JSON string that is itself a text of JSON, quotes have one backslash; those within its strings three. */
const NESTED = String.raw`(?:\\\\\\"|\\[^"]|[^"\\])*`;
/** Of a URL, encoded however often. */
const VALUE = String.raw`(?:(?!%(?:25){0,4}2[26])[^&\s"'\\<>])+`;
/** In plain text, where it may stand in quotes. */
const TEXT = String.raw`(?:(?:\\\\)*\\"(?:\\[^"]|[^"\\])*|${VALUE})`;
const EQUALS = '(?:=|%(?:25){0,4}3D)';
/** What a validation says of a field by such a name, which is no value; more of a cookie must not follow. */
const VERDICT =
  String.raw`\s*(?:unknown field|expected|(?:is )?required|missing|invalid|must be|too (?:small|big|large|short|long|many|few))` +
  String.raw`(?=[\s,;:.!)"\\]|$)(?!;\s*[^\s;=]{1,64}=)`;

/** What follows the scheme in an Authorization header, where it is more than one word. */
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
  // Properties: texts, numbers, lists of texts, and those of JSON within a text.
  [new RegExp(String.raw`("${PROPERTY}"\s*:\s*)"(?:\\.|[^"\\])*"`, 'gi'), `$1"${REDACTED}"`],
  [new RegExp(String.raw`("${PROPERTY}"\s*:\s*)-?\d[\d.e+-]*`, 'gi'), `$1"${REDACTED}"`],
  [new RegExp(String.raw`("${PROPERTY}"\s*:\s*)\[(?:"(?:\\.|[^"\\])*"|[^\]"])*\]`, 'gi'), `$1"${REDACTED}"`],
  [new RegExp(String.raw`(?<!\\)(\\{1,7}"${PROPERTY}\\+"\s*:\s*\\+")${NESTED}`, 'gi'), `$1${REDACTED}`],
  [new RegExp(String.raw`(?<!\\)((\\{1,7}")${PROPERTY}\\+"\s*:\s*)-?\d[\d.e+-]*`, 'gi'), `$1$2${REDACTED}$2`],
  [new RegExp(String.raw`(?<!\\)(\\{1,7}"(?:${NAMES})\\+"\s*:\s*)\[(?:\\.|[^"\\])*`, 'gi'), `$1${REDACTED}`],
  // As node:util prints them, and headers.
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
  // Parameters, of a URL within a URL too.
  [new RegExp(String.raw`((?:%(?:25){0,4}[0-9a-f]{2}(?:${NAMES})|${NAME})${EQUALS})${TEXT}`, 'gi'), `$1${REDACTED}`],
  [new RegExp(String.raw`((?:[?&;]|%(?:25){0,4}(?:3F|26))(?:${WORDS})${EQUALS})${VALUE}`, 'gi'), `$1${REDACTED}`],
  // The same words outside of URLs: not those in the names of objects, nor what no token looks like.
  [
    /((?<!\/)(?:\b|_)(?:token|sig|signature)=(?:(?:\\\\)*\\"|')?)(?=[\w.~+/%-]*\d|[\w.~+/%-]{16})[\w.~+/=%:-]{8,}/gi,
    `$1${REDACTED}`,
  ],
  [new RegExp(String.raw`((?<!\/)(?:\b|_)pwd=)(?!(?:(?:\\\\)*\\")?/)${TEXT}`, 'gi'), `$1${REDACTED}`],
  // Whatever their name: what Google's and Amazon's own look like, JSON Web Tokens, and a password before a host.
  [/\bAIza[\w-]{30,}|\bya29\.[\w.-]+|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*|AKIA[0-9A-Z]{16}/g, REDACTED],
  [/(:\/\/)[^\s/@:"'\\]*:[^\s/"'\\]*(?=@)/g, `$1${REDACTED}`],
];

/** Stands in every line that a rule changes, and in few others: most lines are looked at once instead of by each rule. */
const SUSPECT = new RegExp(
  String.raw`(?:${NAMES}|${ENDINGS}|${WORDS})[\s"'\\:=%]|authorization|Bearer|Digest\s|-----BEGIN` +
    String.raw`|AIza|ya29|eyJ|AKIA|://[^\s/@:"'\\]*:[^\s/"'\\]*@`,
  'i',
);

/** @param line of JSON */
export function redact(line: string): string {
  return SUSPECT.test(line) ? redactUnchecked(line) : line;
}

/** The same by every rule, for lines of any kind: what {@link redact} is held against. */
export function redactUnchecked(line: string): string {
  return RULES.reduce((text, [what, by]) => text.replace(what, by), line);
}
