/** Reads JSON and YAML so that each key keeps its line. Loads jsonc-parser and yaml, each when it is needed. */
import { ConfigError } from '../base/errors.ts';
import type { ConfigPath } from './check.ts';

/** A file's value, and where its parts are. */
export interface PositionedValue {
  readonly value: unknown;
  /** 1-based line of the key (or list item) at `path`, or of the nearest part around it that exists. */
  readonly lineOf: (path: ConfigPath, unknownKey: string | undefined) => number | undefined;
}

/**
 * JSON with comments and trailing commas.
 * @throws {ConfigError} GW_ERR_CONFIG with every syntax error and every key that is there twice
 * @throws {RangeError} nested too deeply
 */
export async function readJson(text: string, file: string): Promise<PositionedValue> {
  const { getNodeValue, parseTree, printParseErrorCode } = await import('jsonc-parser');
  type Node = NonNullable<ReturnType<typeof parseTree>>;
  const lineAt = createLineFinder(text);
  const errors: { error: number; offset: number; length: number }[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true });
  const problems = errors.map(({ error, offset }) => ({
    path: '',
    message: `The JSON is broken: ${words(printParseErrorCode(error))}`,
    file,
    line: lineAt(offset),
  }));
  if (root === undefined) {
    throw new ConfigError(
      problems.length > 0 ? problems : [{ path: '', message: 'The file is empty; write at least {}', file }],
    );
  }
  const check = (node: Node): void => {
    const seen = new Set<string>();
    for (const child of node.children ?? []) {
      const key = child.type === 'property' ? (child.children![0]!.value as string) : undefined;
      // jsonc-parser would make __proto__ the object's prototype, where no schema sees it.
      if (key !== undefined && (seen.has(key) || key === '__proto__')) {
        const message = seen.has(key) ? `Key "${key}" is there twice; remove one` : `Unknown key "${key}"`;
        problems.push({ path: '', message, file, line: lineAt(child.offset) });
      }
      if (key !== undefined) seen.add(key);
      check(child);
    }
  };
  check(root);
  if (problems.length > 0) throw new ConfigError(problems);

  const step = (node: Node, part: PropertyKey): Node | undefined =>
    node.type === 'array'
      ? node.children?.[part as number]
      : node.children?.find((child) => child.children?.[0]?.value === part)?.children?.[1];
  return {
    value: getNodeValue(root),
    lineOf: (path, unknownKey) => {
      let node = root;
      for (const part of unknownKey === undefined ? path : [...path, unknownKey]) {
        const next = step(node, part);
        if (next === undefined) break;
        node = next;
      }
      return lineAt(node.parent?.type === 'property' ? node.parent.offset : node.offset);
    },
  };
}

/** @throws {ConfigError} GW_ERR_CONFIG with every syntax error @throws {RangeError} nested too deeply */
export async function readYaml(text: string, file: string): Promise<PositionedValue> {
  const { isMap, isScalar, isSeq, LineCounter, parseDocument, visit } = await import('yaml');
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, logLevel: 'error' });
  // The parser reports its own lack of stack as if it were an error of the text.
  const overflow = document.errors.find(({ message }) => message.includes('call stack'));
  if (overflow !== undefined) throw new RangeError(overflow.message);
  const problems = document.errors.map(({ message, pos }) => ({
    path: '',
    message: `The YAML is broken: ${message.split('\n')[0]}`,
    file,
    line: counter.linePos(pos[0]).line,
  }));
  if (problems.length > 0) throw new ConfigError(problems);
  visit(document, {
    Pair(_, { key, value }) {
      // A version loses its zeros as a number: 8.10 would be 8.1.
      if (isScalar(key) && key.value === 'php' && isScalar(value) && typeof value.value === 'number')
        value.value = value.source;
    },
  });
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    if (error instanceof RangeError) throw error;
    // `hosts: [*.example.com]` is read as an alias.
    const hint = '; a value that starts with "*" or "&" has to be in quotes';
    throw new ConfigError([
      { path: '', message: `The YAML is broken: ${(error as Error).message}${hint}`, file },
    ]);
  }
  return {
    value: value ?? {},
    lineOf: (path, unknownKey) => {
      let node: unknown = document.contents;
      let offset = 0;
      for (const part of unknownKey === undefined ? path : [...path, unknownKey]) {
        let next: unknown;
        if (isMap(node)) {
          const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part);
          if (pair === undefined) break;
          offset = (pair.key as { range?: readonly number[] }).range?.[0] ?? offset;
          next = pair.value;
        } else if (isSeq(node)) {
          next = node.items[part as number];
          if (next === undefined) break;
          offset = (next as { range?: readonly number[] }).range?.[0] ?? offset;
        } else break;
        node = next;
      }
      return counter.linePos(offset).line;
    },
  };
}

function createLineFinder(text: string): (offset: number) => number {
  return (offset) => {
    let line = 1;
    for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++;
    return line;
  };
}

/** `CommaExpected` -> `comma expected` */
function words(code: string): string {
  return code.replace(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
}
