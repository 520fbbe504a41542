/**
 * What is nobody else's business (T94): the one place that decides it, by the name of a value and by its form, for everything that
 * people paste into bug reports: the log, faults, and what commands print. It hides too much rather than too little; it cannot
 * know a password that looks like a word and stands under a name that says nothing.
 */

/** Stands for what is hidden. */
export const hidden = '***';

/**
 * A variable, field, parameter, directive or flag whose value is secret: `DB_PASSWORD`, `APP_KEY`, `Authorization`, `session.id`.
 * Letter case does not matter.
 */
export function isSecretName(name: string): boolean {
  return secretName.test(name) && !harmlessNames.test(name);
}

const secretName =
  /pass|pwd|secret|key|token|cred|salt|pepper|bearer|auth|cookie$|signature|private|webhook|sess(?:ion)?[._-]?id|jwt|otp(?![a-z])|(?:^|[._-])(?:pw|sid|sig|pin)$/i;
/** They say how, and not what. */
const harmlessNames = /^(?:auth_type|http_author|author|keep[-_.]?alive|http_keep_alive)$/i;

/** The value of a name, or `***` in its place or in the places that are secret by their form. */
export function hideValue(name: string, value: string): string {
  if (value === '') return value;
  return isSecretName(name) || isRandom(value) ? hidden : hideInText(value);
}

/**
 * Text in which user and password of URLs, values of secret names (`token=...`, `"password": "..."`, `--password ...`), credentials
 * of HTTP fields, private keys and tokens of known shape are `***`. Linear in the text's length.
 */
export function hideInText(text: string): string {
  if (!mayHoldSecret.test(text)) return text;
  let shown = hideUserInfo(text);
  for (const [name, value, replacement] of named) shown = hideNamed(shown, name, value, replacement);
  return shown
    .replace(privateKeys, hidden)
    .replace(credentialFields, `$1${hidden}`)
    .replace(schemes, `$1 ${hidden}`)
    .replace(tokens, hidden);
}

/** Arguments of a program, one by one: also those that a flag before them makes secret. */
export function hideArguments(args: readonly string[]): string[] {
  return args.map((argument, index) => hideArgument(argument, args[index - 1] ?? ''));
}

function hideArgument(argument: string, before: string): string {
  const isFlag = /^--?[A-Za-z][\w.-]*(?:=|$)/.test(argument);
  if (!isFlag && /^--?[A-Za-z][\w.-]*$/.test(before) && isSecretName(before)) return hidden;
  // mysql's and ssh's: a port or a path is none.
  if (before === '-p' && !isFlag && !/^\d+$|[/={]/.test(argument)) return hidden;
  if (/^-p[^-\d]/.test(argument) && !/[/={]/.test(argument)) return `-p${hidden}`;
  if (/^(?:-u|--user)$/.test(before) && argument.includes(':')) {
    return `${argument.slice(0, argument.indexOf(':'))}:${hidden}`;
  }
  const [, start, name, value] = /^((?:-[A-Za-z])?-{0,2}([\w.-]+)=)(.*)$/s.exec(argument) ?? [];
  if (value !== undefined) return start + hideValue(name!, value);
  return isRandom(argument) ? hidden : hideInText(argument);
}

/**
 * What stands between `://` and the last `@` before the path; or before the last `@` at all when what follows the first colon is
 * no port, for people put a slash into a password.
 */
function hideUserInfo(text: string): string {
  let start = text.indexOf('://');
  if (start === -1) return text;
  let shown = text.slice(0, start);
  while (start !== -1) {
    const next = text.indexOf('://', start + 3);
    const url = text.slice(start + 3, next === -1 ? undefined : next);
    const end = url.search(/[\s"'<>`]/);
    const word = end === -1 ? url : url.slice(0, end);
    const [authority] = /^[^/?#]*/.exec(word)!;
    const isCut = !authority.includes('@') && /^[^[:]*:(?!\d{1,5}$)/.test(authority);
    const at = (isCut ? word : authority).lastIndexOf('@');
    shown += `://${at === -1 ? url : `${hidden}${url.slice(at)}`}`;
    start = next;
  }
  return shown;
}

/** One look that most text passes; whatever is hidden below has one of these. */
const mayHoldSecret = /[=@:]|-----BEGIN|--?[A-Za-z]|Bearer|Basic|eyJ|AKIA|ASIA|AIza|_|\./;

const privateKeys =
  /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[\s\S]*?-----END [A-Z ]{0,40}PRIVATE KEY-----|[\s\S]*)/g;
const credentialFields =
  /\b((?:proxy-)?authorization\s{0,8}[:=]\s{0,8}|(?:set-)?cookie2?\s{0,8}:\s{0,8})[^\r\n]+/gi;
/** What tells a name in its first group, what then is the value (sticky), and what takes its place. */
const named: readonly (readonly [RegExp, RegExp, string])[] = [
  // A flag; the value of another one may hold a command line, and is looked at too.
  [
    /(?<![\w-])(--?[A-Za-z][\w.-]{0,64})\s{1,8}/g,
    /"[^"]{0,1024}"|'[^']{0,1024}'|[^\s"'-][^\s"']{0,1024}/y,
    hidden,
  ],
  [/(?<![\w.[\]%-])([\w.[\]%-]{1,128})=/g, /"[^"]{0,1024}"|'[^']{0,1024}'|[^\s&;"'<>]{1,4096}/y, hidden],
  // A member of JSON, with the `regex` of a match.
  [/"([\w.-]{1,128})"\s{0,8}:\s{0,8}(?:\{"regex":)?/g, /"(?:[^"\\]|\\.){0,4096}"/y, `"${hidden}"`],
];

function hideNamed(text: string, name: RegExp, value: RegExp, replacement: string): string {
  let shown = '';
  let end = 0;
  for (const match of text.matchAll(name)) {
    const start = match.index + match[0].length;
    if (match.index < end || !isSecretName(match[1]!)) continue;
    value.lastIndex = start;
    if (!value.test(text)) continue;
    shown += text.slice(end, start) + replacement;
    end = value.lastIndex;
  }
  return shown + text.slice(end);
}

const schemes = /\b(Bearer|Basic)\s{1,8}[\w+/=.~-]{8,}/gi;
const tokens = new RegExp(
  [
    // JSON Web Token
    /(?<![\w-])eyJ[\w-]{8,4096}\.[\w-]{8,4096}(?:\.[\w-]{0,4096})?/,
    // AWS, Google
    /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{30,}/,
    // GitHub, GitLab, npm
    /\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|(?<![\w-])glpat-[\w-]{16,}|\bnpm_\w{30,}/,
    // Slack, Stripe, OpenAI, SendGrid, Vault, DigitalOcean
    /(?<![\w-])xox[abeoprs]-[\w-]{10,}|\b[sr]k_(?:live|test)_\w{10,}|(?<![\w-])sk-[\w-]{20,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bhvs\.\w{20,}|\bdop_v1_\w{30,}/,
    // Laravel
    /\bbase64:[A-Za-z0-9+/]{30,}={0,2}/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
);

/**
 * The value as a whole is a random token: 20 characters or more of an alphabet for such, in which small letters, capitals and digits
 * take turns as they do not in words. Paths and URLs are none.
 */
function isRandom(value: string): boolean {
  if (!/^[\w+/=.~:-]{20,512}$/.test(value) || /^[./~]|:\/\//.test(value)) return false;
  if (/^(?:[0-9a-f]{32,}|[0-9A-F]{32,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i.test(value))
    return true;
  if (!/\d/.test(value) || !/[A-Za-z]/.test(value)) return false;
  let length = 0;
  let turns = 0;
  let before = '';
  for (const character of value) {
    const kind = /\d/.test(character) ? 'digit' : /[A-Z]/.test(character) ? 'capital' : 'small';
    if (!/[A-Za-z0-9]/.test(character)) continue;
    length++;
    if (before !== '' && before !== kind) turns++;
    before = kind;
  }
  return length >= 16 && turns / length >= 0.35;
}
