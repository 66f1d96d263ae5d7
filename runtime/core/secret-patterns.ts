import type { SecretRange } from './known-secrets.ts';

/**
 * How credentials are written where nobody knows their values. Every expression reads a character a bounded number of times: what
 * repeats is one class of characters, followed by something that is not in it, and starts that could overlap are excluded by a look
 * at the character before. Secret is what the last group matched, else the whole match. No match crosses a double quote, so that a
 * JSON text stays one.
 */
interface SecretPattern {
  readonly name: string;
  readonly expression: RegExp;
  /** False: it only looks like one. Default: it is one. */
  readonly isSecret?: (value: string) => boolean;
}

/** Names whose values are secret wherever they stand. */
const NAMES = [
  '(?:access|refresh|id|auth|bearer|session|sas|security)[_-]?token',
  '(?:client[_-]?|app[_-]?)?secret(?:[_-]?(?:access[_-]?)?key)?',
  'pass(?:word|wd|phrase)',
  'pwd',
  '(?:x[_-])?api[_-]?key',
  '(?:subscription|functions|account|master|storage)[_-]?key',
  'shared[_-]?access[_-]?(?:key|signature)',
  '(?:private|sealing|signing|encryption)[_-]?keys?',
  'x-bc',
  'jwt',
].join('|');

/** Words of every day, secret where they are clearly a name: before `=`, or in quotes before a colon. */
const WORDS = 'token|tokens|sign|signature|sig|auth|session(?:[_-]?id)?|sid|csrf|xsrf|hmac|cookie|pass';

/** End of a name, in JSON, in JSON within JSON, in a query, or percent-encoded. */
const END = String.raw`(?:\\{0,8}["']|%22)?`;
const ASSIGNS = String.raw`\s{0,4}(?:=>|[:=]|%3[AD])(?:\s|%20|\+){0,4}(?:\[(?=\\{0,8}["']))?`;
const EQUALS = String.raw`\s{0,4}(?:=|%3D)\s{0,4}`;

/** Not a number, a literal, a list or an object of JSON, which hold no credential and must stay what they are. */
const NO_JSON = String.raw`(?!\s*(?:(?:true|false|null|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*[,\]}]|\{|\[(?!masked\])))`;

/** What stands behind a name: in quotes up to their end, else up to what no credential has. Never fails after a long look. */
const QUOTED = String.raw`"(?:\\[^]|[^"\\])*|'(?:\\[^"]|[^'"\\\r\n])*|\\+["'][^"'\\]*|%22(?:[^\s"'&%]|%(?!22))*`;
const BARE = String.raw`${NO_JSON}[^\s"'&;,<>\\(){}]+`;
const VALUE = `(${QUOTED}|${BARE})`;
const REST = String.raw`${NO_JSON}[^\r\n"']+`;
const LINE = `(${QUOTED}|${REST})`;

const SCHEMES = 'bearer|basic|token|negotiate|ntlm|apikey';

/** A credential behind the name of its scheme. */
const SCHEME_VALUE = String.raw`(?:${SCHEMES})(?:\s|%20|\+){1,4}[\w.~+/=%|:-]+`;

/** Types and references of Azure, and what already stands for a secret. */
const NO_SECRET = /^(?:(?:Role|Policy)(?:Assignment|Definition)|@Microsoft\.KeyVault\b|\[(?:secret|unknown|masked)\]$)/;

/** Said of credentials without being one. */
const NO_VALUES: ReadonlySet<string> = new Set([
  ...['null', 'true', 'false', 'undefined', 'none', 'yes', 'no', '0', '1', '***', '...', '…'],
  ...['token', 'tokens', 'auth', 'authentication', 'authorization', 'credential', 'credentials', 'scheme', 'header'],
  ...['realm', 'error', 'is', 'was', 'and', 'or', 'of', 'in', 'for', 'required', 'missing', 'invalid', 'expired'],
]);

const PATTERNS: readonly SecretPattern[] = [
  { name: 'assigned', expression: regular(`(?:${NAMES})${END}${ASSIGNS}${VALUE}`), isSecret: isValue },
  {
    name: 'assigned word',
    expression: regular(`(?<![a-z])(?:${WORDS})${END}${EQUALS}${VALUE}`),
    isSecret: isValue,
  },
  {
    name: 'quoted word',
    expression: regular(String.raw`(?<![a-z])(?:${WORDS})(?:\\{0,8}["']|%22)\s{0,4}(?::|%3A)\s{0,4}\[?(${QUOTED})`),
    isSecret: isValue,
  },
  {
    name: 'word before something random',
    expression: regular(String.raw`(?<![a-z])(?:${WORDS})\s{0,4}(?::|%3A)(?:\s|%20|\+){0,4}(${BARE})`),
    isSecret: isRandom,
  },
  {
    name: 'key of a query',
    expression: regular(String.raw`(?:[?&;]|%3F|%26)(?:code|key|token|sig|sign|auth)${EQUALS}(${BARE})`),
    isSecret: isValue,
  },
  { name: 'cookie', expression: regular(`(?<![a-z])(?:set-)?cookie2?${END}${ASSIGNS}${LINE}`), isSecret: isValue },
  {
    name: 'authorization',
    expression: regular(`(?<![a-z])authorization${END}${ASSIGNS}(${QUOTED}|${SCHEME_VALUE}|${REST})`),
    isSecret: isValue,
  },
  {
    name: 'bearer',
    expression: regular(String.raw`(?<![a-z])bearer(?:\s|%20|\+|:){1,4}([\w.~+/=%|:-]{4,})`),
    isSecret: isValue,
  },
  {
    name: 'basic',
    expression: regular(String.raw`(?<![a-z])basic(?:\s|%20|\+){1,4}([\w+/=%-]{8,})`),
    isSecret: isRandom,
  },
  {
    name: 'shared access signature',
    expression: regular(String.raw`SharedAccessSignature(?:\s|%20|\+|%3D|=){1,4}([^\s"'<>]+)`),
  },
  {
    name: 'jwt',
    expression: regular(String.raw`(?<![\w-])(?:eyJ|eyA|ewo)[\w-]{6,}(?:(?:\.|%2E)[\w-]*)+`),
  },
  { name: 'graph token', expression: /(?<![A-Za-z0-9])EAA[A-Za-z0-9]{20,}/g },
  { name: 'app token', expression: regular(String.raw`(?<![\w|])\d{6,}(?:\||%7C)[\w-]{16,}`) },
  { name: 'userinfo', expression: regular(String.raw`:(?:\\?/){2}([^\s/\\?#"'<>]+)@`) },
  { name: 'encoded userinfo', expression: regular(String.raw`%3A%2F%2F((?:[^\s/?#"'<>%]|%(?!40|2F))+)%40`) },
  {
    name: 'private key',
    expression:
      /-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----(?:[^"-]|-(?!----END))*(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----)?/g,
  },
  {
    name: 'key in base64',
    expression: /(?<![A-Za-z0-9+/=_-])(?:[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{43}=)(?![A-Za-z0-9+/=])/g,
  },
  { name: 'SASL PLAIN', expression: /(?:\0|\\u0000|%00)([^\s"'\0\\%]{1,512}(?:\0|\\u0000|%00)[^\s"'\0\\%]{1,512})/g },
  { name: 'redis AUTH', expression: /(?<![A-Za-z])AUTH ([^\s"'<]+(?: [^\s"'<]+)?)/g, isSecret: isValue },
];

/** Where texts shaped like credentials stand, in no order; ranges may overlap. Time grows with the length of the text. */
export function findSecretPatterns(text: string): readonly SecretRange[] {
  const ranges: SecretRange[] = [];
  for (const { expression, isSecret } of PATTERNS) {
    expression.lastIndex = 0;
    for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
      const whole = match[0];
      const value = match.length > 1 ? (match.at(-1) ?? whole) : whole;
      const at = whole.lastIndexOf(value);
      const open = /^(?:\\*["']|%22)/.exec(value)?.[0].length ?? 0;
      if (isSecret !== undefined && !isSecret(value.slice(open))) continue;
      const start = match.index + at + open;
      const end = match.index + at + value.length;
      if (end > start) ranges.push({ start, end });
    }
  }
  return ranges;
}

/** Names that are secret as a key of an object, in any spelling: their values are masked whole. */
const SECRET_KEY =
  /(?:token|secret|password|passwd|pwd|passphrase|apikey|accesskey|accountkey|functionskey|subscriptionkey|privatekey|sealingkeys?|signature|authorization|cookie|credentials?)$|^(?:sign|sig|xbc|auth|jwt|pass|sas|session|sessionid)$/;

/** Whether what an object holds under this name is a secret. */
export function isSecretKey(name: string): boolean {
  return SECRET_KEY.test(name.toLowerCase().replaceAll(/[^a-z0-9]/g, ''));
}

function regular(source: string): RegExp {
  return new RegExp(source, 'gi');
}

function isValue(value: string): boolean {
  return value !== '' && !NO_SECRET.test(value) && !NO_VALUES.has(value.toLowerCase().replace(/[.:!?]+$/, ''));
}

/** Long enough and mixed enough that it is no word: digits and letters, or capitals within. */
function isRandom(value: string): boolean {
  return value.length >= 6 && (/\d/.test(value) ? /[A-Za-z]/.test(value) : /[a-z][A-Z]|[A-Z]{2}[a-z]/.test(value));
}
