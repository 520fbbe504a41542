/**
 * The patterns of `<Files>` and `<FilesMatch>` in a `.htaccess`, as far as they can be told without an engine for regular
 * expressions: someone who may write such a file must not be able to stop this process with one (a backtracking engine can take for ever).
 * What cannot be told exactly is widened, so that it fits at least all names that the pattern itself fits.
 */

export interface NamePattern {
  /** It fits the pattern's names and no others. Else it fits those and maybe more. */
  readonly isExact: boolean;
  readonly fitsAll: boolean;
  /** Characters that were read, and that a name is compared with. */
  readonly weight: number;
  /** In time proportional to the product of the lengths. @param name of a file, without its folder; a byte string */
  fits(name: string): boolean;
}

/** Of names (byte strings) no unit is one of these. */
const Any = '\ue000';
const One = '\ue001';
const Start = '\ue002';
const End = '\ue003';

/** So many alternatives, and characters of them, are told apart; more fit everything. */
const alternativesMax = 500;
const weightMax = 4096;
const patternBytesMax = 4096;

/** A pattern with `*`, `?` and `[...]`, over the whole name. */
export function readGlob(glob: string): NamePattern {
  if (glob.length > patternBytesMax) return everything(glob);
  let isExact = true;
  const text = glob.replace(/\\(.)|(\[[!^]?\]?[^\]]*\])|([*?])/gs, (_, escaped, set, wildcard) => {
    if (escaped !== undefined) return escaped;
    if (set === undefined) return wildcard === '*' ? Any : One;
    isExact = false;
    return One;
  });
  return fromAlternatives(glob, [text], false, isExact);
}

/** A regular expression (PCRE), found anywhere in the name. */
export function readExpression(expression: string): NamePattern {
  if (expression.length > patternBytesMax) return everything(expression);
  const flags = /^\(\?([ims]+)\)/.exec(expression);
  const reader = new ExpressionReader(expression, flags?.[0].length ?? 0);
  const alternatives = reader.read();
  if (alternatives === undefined) return everything(expression);
  return fromAlternatives(
    expression,
    alternatives.map(unanchor),
    flags?.[1]?.includes('i') ?? false,
    reader.isExact,
  );
}

function everything({ length }: string): NamePattern {
  return { isExact: false, fitsAll: true, weight: length, fits: () => true };
}

function fromAlternatives(
  written: string,
  texts: readonly string[],
  ignoresCase: boolean,
  isExact: boolean,
): NamePattern {
  const weight = texts.reduce((sum, { length }) => sum + length, written.length);
  // An anchor inside cannot be told.
  if (weight > weightMax || texts.some((text) => text.includes(Start) || text.includes(End)))
    return everything(written);
  const wildcards = ignoresCase ? texts.map((text) => text.toLowerCase()) : texts;
  return {
    isExact,
    fitsAll: wildcards.some((text) => text.includes(Any) && /^\ue000*\ue001?\ue000*$/.test(text)),
    weight,
    fits(name) {
      const compared = ignoresCase ? name.toLowerCase() : name;
      return wildcards.some((text) => fitsWildcards(compared, text));
    },
  };
}

/** Without an anchor anything may stand there. */
function unanchor(text: string): string {
  const from = text.startsWith(Start) ? text.slice(1) : Any + text;
  return from.endsWith(End) ? from.slice(0, -1) : from + Any;
}

function fitsWildcards(name: string, pattern: string): boolean {
  let at = 0;
  let p = 0;
  let star = -1;
  let retry = 0;
  while (at < name.length) {
    if (p < pattern.length && (pattern[p] === One || pattern[p] === name[at])) {
      at++;
      p++;
    } else if (pattern[p] === Any) {
      star = p++;
      retry = at;
    } else if (star !== -1) {
      p = star + 1;
      at = ++retry;
    } else return false;
  }
  while (pattern[p] === Any) p++;
  return p === pattern.length;
}

/** Reads an expression as the list of what its alternatives fit. */
class ExpressionReader {
  isExact = true;
  readonly #text: string;
  #at: number;
  #failed = false;

  constructor(text: string, at: number) {
    this.#text = text;
    this.#at = at;
  }

  /** Undefined: it cannot be read, or has too many. */
  read(): string[] | undefined {
    const found = this.#alternatives(0);
    return this.#failed || this.#at < this.#text.length ? undefined : found;
  }

  #alternatives(depth: number): string[] {
    if (depth > 20) this.#failed = true;
    const found: string[] = [];
    do {
      let texts = [''];
      while (!this.#failed && this.#at < this.#text.length && !'|)'.includes(this.#text[this.#at]!)) {
        texts = this.#join(texts, this.#quantified(this.#atom(depth)));
      }
      found.push(...texts);
      if (found.length > alternativesMax) this.#failed = true;
    } while (!this.#failed && this.#take('|'));
    return found;
  }

  #join(heads: string[], tails: readonly string[]): string[] {
    if (heads.length * tails.length > alternativesMax) this.#failed = true;
    return this.#failed ? [] : heads.flatMap((head) => tails.map((tail) => head + tail));
  }

  #atom(depth: number): readonly string[] {
    const character = this.#text[this.#at++]!;
    switch (character) {
      case '^':
        return [Start];
      case '$':
        return [End];
      case '.':
        return [One];
      case '[':
        return this.#set();
      case '(':
        return this.#group(depth);
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        this.#failed = true;
        return [];
      default:
        return [character];
    }
  }

  /** Followed by how often. What comes more than once is widened, but for `.`. */
  #quantified(atom: readonly string[]): readonly string[] {
    const quantifier = /[*+?]|\{[0-9]+(?:,[0-9]*)?\}/y;
    quantifier.lastIndex = this.#at;
    const found = quantifier.exec(this.#text)?.[0];
    if (found === undefined) return atom;
    this.#at += found.length;
    if (this.#text[this.#at] === '?' || this.#text[this.#at] === '+') this.#at++;
    const isPoint = atom.length === 1 && atom[0] === One;
    if (found === '?') return [...atom, ''];
    if (isPoint && found === '*') return [Any];
    if (isPoint && found === '+') return [One + Any];
    this.isExact = false;
    return [Any];
  }

  /** The listed bytes one by one when they are few; ranges, classes and what is excluded are widened. */
  #set(): readonly string[] {
    const set = /\^?\]?(?:\\.|\[:[a-z^]+:\]|[^\]\\])*\]/sy;
    set.lastIndex = this.#at;
    const written = set.exec(this.#text)?.[0];
    if (written === undefined) {
      this.#failed = true;
      return [];
    }
    this.#at += written.length;
    const members = written.slice(0, -1).replace(/\\([^A-Za-z0-9])/g, '$1');
    if (!/^[^^\\[\]-]{1,16}$/.test(members)) {
      this.isExact = false;
      return [One];
    }
    return [...members];
  }

  #group(depth: number): readonly string[] {
    let isAssertion = false;
    if (this.#take('?')) {
      const kind = /:|[=!]|<[=!]|>|\||P?<[A-Za-z_]\w*>/y;
      kind.lastIndex = this.#at;
      const found = kind.exec(this.#text)?.[0];
      if (found === undefined) this.#failed = true;
      else this.#at += found.length;
      isAssertion = found !== undefined && /^<?[=!]$/.test(found);
      if (found !== ':') this.isExact = false;
    }
    const found = this.#failed ? [] : this.#alternatives(depth + 1);
    if (!this.#take(')')) this.#failed = true;
    // What must, or must not, follow narrows the names that fit.
    return isAssertion ? [''] : found;
  }

  #escape(): readonly string[] {
    const character = this.#text[this.#at++];
    if (character === undefined) this.#failed = true;
    else if (!/[A-Za-z0-9]/.test(character)) return [character];
    else if ('dDwWsShHvVNtnrfae'.includes(character)) {
      this.isExact = false;
      return [One];
    } else if ('bB'.includes(character)) {
      this.isExact = false;
      return [''];
    } else this.#failed = true;
    return [];
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }
}
