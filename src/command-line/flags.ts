/** Reads a command's flags: from the arguments, else from the environment. Unknown ones get a "did you mean". */
import { parseArgs } from 'node:util';
import { printNearest } from '../config/nearest.ts';
import { UsageError } from './terminal.ts';

export interface Flag {
  /** Placeholder of its value; without one it is a switch. */
  readonly value?: string;
  readonly short?: string;
  readonly help: string;
  /** May be given several times. */
  readonly multiple?: boolean;
  /** Environment variables that stand for it, the first one first. */
  readonly env?: readonly string[];
}

export type Flags = Readonly<Record<string, Flag>>;

/** Of commands that print what others wrote. */
export const showSecretsFlag: Flags = {
  'show-secrets': { help: 'Show passwords, keys and tokens, in place of ***' },
};

export interface CommandLine {
  readonly positionals: readonly string[];
  /** The flag's value, from the arguments or the environment. */
  text(name: string): string | undefined;
  /** All values of a flag that may be given several times. */
  texts(name: string): readonly string[];
  /** A whole number. @throws {UsageError} */
  number(name: string, min: number, max: number): number | undefined;
  isOn(name: string): boolean;
}

/** @throws {UsageError} */
export function readFlags(
  flags: Flags,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): CommandLine {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { value, short }]) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: true,
        ...(short && { short }),
      },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const positionals: string[] = [];
  const given = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined;
    if (flag === undefined) {
      const known = Object.keys(flags).map((name) => `--${name}`);
      const nearest = printNearest(token.rawName, known).replaceAll('"', '');
      throw new UsageError(`Unknown flag ${token.rawName}${nearest}`);
    }
    if (flag.value === undefined) {
      if (token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
    } else if (token.value === undefined || (!token.inlineValue && /^--?[A-Za-z]/.test(token.value))) {
      throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${flag.value}`);
    }
    const values = given.get(token.name) ?? [];
    if (values.length > 0 && flag.multiple !== true && flag.value !== undefined) {
      throw new UsageError(`${token.rawName} is there twice; give it once`);
    }
    given.set(token.name, [...values, token.value ?? 'true']);
  }

  /** Where a value came from, to name it in an error. */
  const find = (name: string): { value: string; from: string } | undefined => {
    const value = given.get(name)?.[0];
    if (value !== undefined) return { value, from: `--${name}` };
    const variable = flags[name]?.env?.find((candidate) => (env[candidate] ?? '') !== '');
    return variable === undefined ? undefined : { value: env[variable]!, from: variable };
  };
  return {
    positionals,
    text: (name) => find(name)?.value,
    texts: (name) => given.get(name) ?? [],
    number: (name, min, max) => {
      const found = find(name);
      if (found === undefined) return undefined;
      const number = Number(found.value);
      if (!/^\d{1,15}$/.test(found.value) || number < min || number > max) {
        throw new UsageError(
          `${found.from} is ${JSON.stringify(found.value)}, but must be a whole number from ${min} to ${max}`,
        );
      }
      return number;
    },
    isOn: (name) => {
      const value = find(name)?.value;
      return value !== undefined && !/^(0|false|no|off)$/i.test(value);
    },
  };
}
