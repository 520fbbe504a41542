/**
 * What a `.htaccess` says of who may see its folder: `Order`, `Allow`, `Deny`, `Satisfy` (mod_access_compat), `Require` and its
 * containers (mod_authz_core), a `RewriteRule` or `Redirect` that refuses everything, also in `<Files>`, `<FilesMatch>`, `<IfModule>`,
 * `<IfVersion>` and `<Limit>`. Nothing else of it is obeyed. Pure.
 * It is read as Apache 2.4 reads it for a client of whom nothing is known: who must have an address, a name or a password is
 * refused. Of conditions that we cannot know only what refuses counts.
 */
import { type NamePattern, readExpression, readGlob } from './name-pattern.ts';

/** What one kind of directive decides; undefined where it says nothing. */
interface Access {
  readonly hosts: Verdict | undefined;
  /** `Satisfy Any`, of the hosts' directives: one of the two is enough. */
  readonly anySuffices: boolean;
  readonly requires: Verdict | undefined;
}

type Verdict = 'grant' | 'deny';

interface Section {
  readonly names: NamePattern;
  readonly access: Access;
  readonly requireMerging: Merging;
}

type Merging = 'off' | 'and' | 'or';

/** One file, read. */
export interface AccessFile {
  readonly path: string;
  readonly access: Access;
  readonly requireMerging: Merging;
  /** Undefined: it does not begin to rewrite, so that the rules of the folder above go on. */
  readonly rewrites: Verdict | undefined;
  readonly redirectsAll: boolean;
  readonly sections: readonly Section[];
  /** It is in doubt, for this reason: nothing of the folder, and of those below, is seen. */
  readonly doubt: string | undefined;
}

/** What the files of a folder and of those above it come to. */
export interface FolderAccess extends Access {
  /** That was read last. */
  readonly path: string;
  readonly rewrites: Verdict | undefined;
  readonly redirectsAll: boolean;
  /** Of the outer folders first. */
  readonly sections: readonly Section[];
  readonly doubt: string | undefined;
}

/** Characters of patterns that a name is compared with, for a folder and those above it together. */
const weightMax = 16_384;
const sectionsMax = 500;
const tooMany = 'has, with the folders above, too many patterns of names';
/** Containers in containers. */
const depthMax = 50;

const silent: Access = { hosts: undefined, anySuffices: false, requires: undefined };

/** A file whose folder stays closed. @param problem as `is a directory` */
export function closedBy(path: string, problem: string): AccessFile {
  const doubt = `${path} ${problem}`;
  return {
    path,
    access: silent,
    requireMerging: 'off',
    rewrites: undefined,
    redirectsAll: false,
    sections: [],
    doubt,
  };
}

/** @param text a byte string */
export function readAccessFile(path: string, text: string): AccessFile {
  if (text.includes('\0')) return closedBy(path, 'is no text');
  return new Reader(path).read(text);
}

/** The folder above, and what is said in this one. */
export function enterFolder(
  above: FolderAccess | undefined,
  file: AccessFile | undefined,
): FolderAccess | undefined {
  if (file === undefined) return above;
  const sections = above === undefined ? file.sections : [...above.sections, ...file.sections];
  const weight = sections.reduce((sum, { names }) => sum + names.weight, 0);
  const isTooMuch = weight > weightMax || sections.length > sectionsMax;
  return {
    ...merge(above ?? silent, file.access, file.requireMerging),
    path: file.path,
    rewrites: file.rewrites ?? above?.rewrites,
    redirectsAll: file.redirectsAll || above?.redirectsAll === true,
    sections,
    doubt: above?.doubt ?? file.doubt ?? (isTooMuch ? `${file.path} ${tooMany}` : undefined),
  };
}

/**
 * Why a name in a folder is not for everybody; undefined: it is.
 * @param name of a file; undefined: the folder itself
 */
export function findDenial(folder: FolderAccess | undefined, name: string | undefined): string | undefined {
  if (folder === undefined) return undefined;
  if (folder.doubt !== undefined) return folder.doubt;
  const isClosed = folder.rewrites === 'deny' || folder.redirectsAll;
  return isClosed || denies(accessOf(folder, name)) ? `${folder.path} denies it` : undefined;
}

/** As Apache: sections for names are looked at when all folders have been. */
function accessOf(folder: FolderAccess, name: string | undefined): Access {
  let access: Access = folder;
  for (const section of folder.sections) {
    const { names } = section;
    if (name === undefined ? !names.fitsAll : !names.fits(name)) continue;
    const merged = merge(access, section.access, section.requireMerging);
    access = names.isExact ? merged : stricter(access, merged);
  }
  return access;
}

function denies({ hosts, anySuffices, requires }: Access): boolean {
  return anySuffices ? hosts === 'deny' && requires !== 'grant' : hosts === 'deny' || requires === 'deny';
}

/** What is said of hosts takes the place of all that was said of them before; so does `Require` unless `AuthMerging` says otherwise. */
function merge(before: Access, own: Access, merging: Merging): Access {
  const { hosts, anySuffices } = own.hosts === undefined ? before : own;
  return { hosts, anySuffices, requires: mergeRequires(before.requires, own.requires, merging) };
}

function mergeRequires(
  before: Access['requires'],
  own: Access['requires'],
  merging: Merging,
): Access['requires'] {
  if (own === undefined || before === undefined) return own ?? before;
  if (merging === 'off') return own;
  return own === before ? own : merging === 'and' ? 'deny' : 'grant';
}

/** Of a pattern that may fit too much only what refuses counts. */
function stricter(before: Access, after: Access): Access {
  return !denies(before) && denies(after) ? after : before;
}

/** Whether Apache 2.4 obeys what stands in a container. `unlike`: not for GET. */
type Condition = 'yes' | 'no' | 'unknown' | 'unlike';

interface Container {
  readonly name: string;
  readonly condition: Condition;
  readonly names?: NamePatternStatements;
  readonly requires?: RequireGroup;
}

type NamePatternStatements = { readonly names: NamePattern } & StatementsByCondition;
type StatementsByCondition = Record<'yes' | 'no' | 'unknown', Statements>;

type Outcome = 'granted' | 'denied' | 'neutral';

class RequireGroup {
  readonly kind: 'all' | 'any' | 'none';
  readonly outcomes: (() => Outcome)[] = [];

  constructor(kind: 'all' | 'any' | 'none') {
    this.kind = kind;
  }

  outcome(): Outcome {
    const outcomes = this.outcomes.map((outcome) => outcome()).filter((outcome) => outcome !== 'neutral');
    if (outcomes.length === 0) return 'neutral';
    const isGranted = this.kind === 'all' ? !outcomes.includes('denied') : outcomes.includes('granted');
    return this.kind === 'none' ? negate(isGranted ? 'granted' : 'denied') : isGranted ? 'granted' : 'denied';
  }
}

function negate(outcome: Outcome): Outcome {
  return outcome === 'granted' ? 'denied' : 'neutral';
}

/** The directives about access in one place of a file, in the order that they have no need of. */
class Statements {
  saysHosts = false;
  allowsAll = false;
  deniesAll = false;
  allowsFirst = false;
  anySuffices = false;
  readonly requires = new RequireGroup('any');
  merging: Merging = 'off';

  get isSilent(): boolean {
    return !this.saysHosts && this.requires.outcomes.length === 0;
  }

  access(): Access {
    const isDenied = this.allowsFirst ? !this.allowsAll || this.deniesAll : this.deniesAll && !this.allowsAll;
    return {
      hosts: this.saysHosts ? (isDenied ? 'deny' : 'grant') : undefined,
      anySuffices: this.anySuffices,
      requires:
        this.requires.outcomes.length === 0
          ? undefined
          : this.requires.outcome() === 'granted'
            ? 'grant'
            : 'deny',
    };
  }
}

function createStatements(): StatementsByCondition {
  return { yes: new Statements(), no: new Statements(), unknown: new Statements() };
}

/** A branch that is not taken counts where the ones that are say nothing, and unknown ones always: as far as they refuse. */
function decide({ yes, no, unknown }: StatementsByCondition): Access {
  const access = yes.access();
  const others = yes.isSilent ? [unknown.access(), no.access()] : [unknown.access()];
  const refused = (kind: 'hosts' | 'requires') =>
    others.some((other) => denies(other) && other[kind] === 'deny') ? 'deny' : access[kind];
  return { hosts: refused('hosts'), anySuffices: access.anySuffices, requires: refused('requires') };
}

class Reader {
  readonly #path: string;
  readonly #statements = createStatements();
  readonly #sections: NamePatternStatements[] = [];
  readonly #open: Container[] = [];
  #rewrites: Verdict | undefined;
  #rewriteIsOff = false;
  /** Conditions stand before the next RewriteRule. */
  #isConditional = false;
  /** An earlier rule has taken everything. */
  #isRewritten = false;
  #weight = 0;
  #redirectsAll = false;

  constructor(path: string) {
    this.#path = path;
  }

  read(text: string): AccessFile {
    // A byte order mark; lines that go on behind a backslash.
    const lines = text
      .replace(/^\xef\xbb\xbf/, '')
      .replace(/\\\r?\n/g, '')
      .split(/\r\n|\n|\r/);
    for (const line of lines) {
      const written = line.trim();
      if (written === '' || written.startsWith('#')) continue;
      if (written.startsWith('<')) {
        if (!this.#readContainer(written))
          return closedBy(this.#path, 'has containers that do not fit together');
        if (this.#open.length > depthMax)
          return closedBy(this.#path, 'has too many containers in each other');
        if (this.#weight > weightMax || this.#sections.length > sectionsMax)
          return closedBy(this.#path, tooMany);
      } else {
        const [name, ...values] = splitWords(written);
        this.#readDirective(name!.toLowerCase(), values);
      }
    }
    if (this.#open.length > 0) return closedBy(this.#path, `does not end its <${this.#open.at(-1)!.name}>`);
    return {
      path: this.#path,
      access: decide(this.#statements),
      requireMerging: this.#statements.yes.merging,
      rewrites: this.#rewriteIsOff ? 'grant' : this.#rewrites,
      redirectsAll: this.#redirectsAll,
      sections: this.#sections.map((section) => ({
        names: section.names,
        access: decide(section),
        requireMerging: section.yes.merging,
      })),
      doubt: undefined,
    };
  }

  #readContainer(written: string): boolean {
    const end = /^<\/\s*(\w+)\s*>/.exec(written);
    if (end !== null) {
      const container = this.#open.pop();
      return container?.name === end[1]!.toLowerCase();
    }
    const [, word, rest] = /^<\s*(\w+)\s*(.*?)>?\s*$/.exec(written) ?? [];
    if (word === undefined) return false;
    const name = word.toLowerCase();
    this.#open.push(this.#openContainer(name, splitWords(rest!)));
    return true;
  }

  #openContainer(name: string, values: readonly string[]): Container {
    switch (name) {
      case 'files':
      case 'filesmatch': {
        const isExpression = name === 'filesmatch' || values[0] === '~';
        const pattern = values[0] === '~' ? values[1] : values[0];
        const names = isExpression ? readExpression(pattern ?? '') : readGlob(pattern ?? '*');
        this.#weight += names.weight;
        const section = { names, ...createStatements() };
        this.#sections.push(section);
        return { name, condition: 'yes', names: section };
      }
      case 'requireall':
      case 'requireany':
      case 'requirenone': {
        const group = new RequireGroup(name.slice(7) as RequireGroup['kind']);
        this.#requirements(false)?.outcomes.push(() => group.outcome());
        return { name, condition: 'yes', requires: group };
      }
      case 'limit':
        return { name, condition: takesGet(values) ? 'yes' : 'unlike' };
      case 'limitexcept':
        return { name, condition: takesGet(values) ? 'unlike' : 'yes' };
      case 'ifmodule':
        return { name, condition: askModule(values[0] ?? '') };
      case 'ifversion':
        return { name, condition: askVersion(values) };
      default:
        return { name, condition: 'unknown' };
    }
  }

  #condition(): Condition {
    const conditions = this.#open.map(({ condition }) => condition);
    for (const condition of ['unlike', 'no', 'unknown'] as const)
      if (conditions.includes(condition)) return condition;
    return 'yes';
  }

  /** Where a directive about access belongs; undefined: nowhere. */
  #current(): Statements | undefined {
    const condition = this.#condition();
    if (condition === 'unlike') return undefined;
    return (this.#open.findLast(({ names }) => names !== undefined)?.names ?? this.#statements)[condition];
  }

  /** In what group a requirement stands; undefined: it does not count. */
  #requirements(isGranted: boolean): RequireGroup | undefined {
    const at = this.#open.findLastIndex(({ requires }) => requires !== undefined);
    if (at === -1) return this.#current()?.requires;
    // Of a condition within a group only what refuses counts.
    const isSure = this.#open.slice(at).every(({ condition }) => condition === 'yes');
    return isSure || !isGranted ? this.#open[at]!.requires : undefined;
  }

  #readDirective(name: string, values: readonly string[]): void {
    switch (name) {
      case 'order':
      case 'allow':
      case 'deny':
      case 'satisfy': {
        const statements = this.#current();
        if (statements !== undefined) readHosts(statements, name, values.join(' ').toLowerCase());
        break;
      }
      case 'require': {
        const outcome = readRequire(values.map((value) => value.toLowerCase()));
        this.#requirements(outcome === 'granted')?.outcomes.push(() => outcome);
        break;
      }
      case 'authmerging': {
        const statements = this.#current();
        const value = values[0]?.toLowerCase();
        if (statements !== undefined && (value === 'and' || value === 'or')) statements.merging = value;
        break;
      }
      default:
        if (
          !this.#open.some((container) => container.names !== undefined || container.condition === 'unlike')
        )
          this.#readMoving(name, values);
    }
  }

  #readMoving(name: string, values: readonly string[]): void {
    switch (name) {
      case 'rewriteengine':
        this.#rewriteIsOff = values[0]?.toLowerCase() === 'off';
        this.#rewrites ??= 'grant';
        break;
      case 'rewritecond':
        this.#isConditional = true;
        break;
      case 'rewriterule': {
        const takesAll = !this.#isConditional && takesEverything(values[0] ?? '');
        if (
          takesAll &&
          !this.#isRewritten &&
          /^\[(?:.*,)?\s*(?:f|forbidden|g|gone|r(?:edirect)?=4\d\d)\s*(?:,.*)?\]$/i.test(values[2] ?? '')
        )
          this.#rewrites = 'deny';
        if (takesAll && values[1] !== '-') this.#isRewritten = true;
        this.#isConditional = false;
        this.#rewrites ??= 'grant';
        break;
      }
      case 'redirectmatch':
        if (refuses(values[0]) && takesEverything(values[1] ?? '')) this.#redirectsAll = true;
        break;
      case 'redirect':
        if (refuses(values[0]) && (values[1] === undefined || values[1] === '/')) this.#redirectsAll = true;
        break;
    }
  }
}

function readHosts(statements: Statements, name: string, value: string): void {
  statements.saysHosts = true;
  switch (name) {
    case 'order':
      // `Mutual-failure` is as `Allow,Deny`.
      statements.allowsFirst = value.replaceAll(' ', '') !== 'deny,allow';
      break;
    case 'satisfy':
      statements.anySuffices = value === 'any';
      break;
    default: {
      const hosts = value.split(/\s+/);
      if (name === 'allow') statements.allowsAll ||= hosts.includes('all');
      else statements.deniesAll ||= hosts.some((host) => everyHost.has(host));
    }
  }
}

const everyHost = new Set(['all', '0/0', '0.0.0.0/0', '0.0.0.0/0.0.0.0', '::/0']);

function readRequire(values: readonly string[]): Outcome {
  if (values[0] === 'not') return negate(readRequire(values.slice(1)));
  const isGranted =
    values.join(' ') === 'all granted' || (values[0] === 'method' && takesGet(values.slice(1)));
  return isGranted || (values[0] === 'ip' && values.slice(1).some((value) => everyHost.has(value)))
    ? 'granted'
    : 'denied';
}

function takesGet(methods: readonly string[]): boolean {
  return methods.some((method) => method.toLowerCase() === 'get');
}

/** What every Apache 2.4 that obeys a `.htaccess` has; others are unknown. */
const modules = /^(?:mod_)?(?:authz_core|authz_host|access_compat|version|core|so)(?:\.c|_module)?$/;

function askModule(written: string): Condition {
  const isNegated = written.startsWith('!');
  const isKnown = modules.test(written.replace(/^!\s*/, '').toLowerCase());
  return !isKnown ? 'unknown' : isNegated ? 'no' : 'yes';
}

function askVersion(values: readonly string[]): Condition {
  const [operator, version] = values.length === 1 ? ['=', values[0]!] : values;
  const parts = /^(\d+)(?:\.(\d+))?(?:\.(\d+))?$/.exec(version ?? '')?.slice(1);
  const comparison = /^(!?)(=|==|>|>=|<|<=)$/.exec(operator ?? '');
  if (parts === undefined || comparison === null) return 'unknown';
  const difference =
    [2, 4, 60].map((own, index) => own - Number(parts[index] ?? own)).find((one) => one !== 0) ?? 0;
  const holds =
    (comparison[2]!.includes('=') && difference === 0) ||
    (comparison[2]!.startsWith('>') && difference > 0) ||
    (comparison[2]!.startsWith('<') && difference < 0);
  return holds === (comparison[1] === '') ? 'yes' : 'no';
}

function takesEverything(pattern: string): boolean {
  const names = readExpression(pattern);
  return (names.isExact && names.fitsAll) || /^\^?\/(?:\.\*\$?)?$/.test(pattern);
}

function refuses(status: string | undefined): boolean {
  return status !== undefined && /^(?:gone|4\d\d)$/i.test(status);
}

/** Words, of which one may stand in quotes. */
function splitWords(text: string): string[] {
  return Array.from(
    text.matchAll(/"((?:\\.|[^"\\])*)"?|'((?:\\.|[^'\\])*)'?|\S+/g),
    ([whole, double, single]) => (double ?? single)?.replace(/\\(["'])/g, '$1') ?? whole,
  );
}
