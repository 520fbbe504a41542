/**
 * Writes what is made from the configuration's definition: schema.json and docs/configuration.md (`npm run docs`).
 * A unit test holds the two files against `documents()`.
 */
import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJsonSchema, type JsonSchema, printJsonSchema } from '../src/config/json-schema.ts';

/** Path in the repository -> its text. */
export function documents(): Record<string, string> {
  return { 'schema.json': printJsonSchema(), 'docs/configuration.md': printReference(createJsonSchema()) };
}

const introduction = `# Configuration

<!-- Written by \`npm run docs\` from src/config/definition.ts; change it there. -->

A configuration is \`fastway.config.ts\`, \`.js\`, \`.mjs\`, \`.json\` (comments allowed), \`.yaml\` or \`.yml\`; all have the same shape.
\`fastway check\` finds every problem in it at once, \`fastway print-config\` shows it with all defaults, and with presets as the rules
that they stand for. Relative paths start at the file's directory. A flag beats the environment, the environment the file, the file a default.

\`\`\`ts
import { defineConfig } from 'fastway';

export default defineConfig({
  sources: { php: { php: 'auto', workers: 4 } },
  virtualServers: [{ documentRoot: 'public', preset: 'laravel' }],
});
\`\`\`

One that is code (\`.ts\`, \`.js\`, \`.mjs\`) is run when it lies in the working directory or is named by \`--config\`, never because it lies in
the folder of \`fastway DIR\`, which is only served: Fastway says what it passed over. Data (\`.json\`, \`.yaml\`) in that folder is read, but may
name no program (\`interpreter\`, a path in \`php\`). Root reads a configuration only when it, what it imports, and every folder above belong to
root and can be written by nobody else.

For editors, JSON names its schema: \`"$schema": "./node_modules/fastway/schema.json"\`; YAML: \`# yaml-language-server: $schema=./node_modules/fastway/schema.json\`.

Durations are milliseconds, from 1 to 24 days. A key that is not listed here is an error.
`;

const parts: readonly (readonly [name: string, title: string, text: string])[] = [
  ['Listen', 'listen[]', 'A TCP address, or a unix socket.'],
  [
    'Source',
    'sources.NAME',
    'One of three kinds: `php`, found and run by us; `interpreter`, a FastCGI application that we start; `address` alone, a server that somebody else runs. Each has keys of its own.',
  ],
  ['VirtualServer', 'virtualServers[]', 'Host names, a document root, and rules or a preset.'],
  ['Rule', 'rules[]', 'A match and the handler for it; the first rule that matches answers.'],
  [
    'Authorize',
    'authorize',
    'Who must say 200 before the handler is asked. Its `Variable-NAME` fields become variables of the application.',
  ],
  ['Match', 'match', 'Several keys in one match mean "and".'],
  ['Handler', 'handler', 'By its `type`.'],
  [
    'Metrics',
    'metrics',
    'A listener of its own for those who watch. What is told there: [metrics.md](metrics.md).',
  ],
  ['Limits', 'limits', 'Bytes, milliseconds, counts.'],
];

function printReference(schema: JsonSchema): string {
  const sections = [introduction, '## The whole\n', table(schema)];
  for (const [name, title, text] of parts) {
    const part = schema.$defs![name]!;
    sections.push(`## ${title}\n`, `${text}\n`);
    if (part.oneOf === undefined) sections.push(table(part));
    else sections.push(...printKinds[name]!(part.oneOf));
  }
  return `${sections.join('\n').trimEnd()}\n`;
}

/** Of the parts that there are in several kinds. */
const printKinds: Readonly<Record<string, (options: readonly JsonSchema[]) => string[]>> = {
  Listen: ([tcp, unix]) => ['### A port\n', table(tcp!), '### A unix socket\n', table(unix!)],
  Source: kindsOfSource,
  Handler: kindsOfHandler,
};

/** Keys that several kinds share are printed once. A kind is named by the key that it has to have. */
function kindsOfSource(options: readonly JsonSchema[]): string[] {
  const groups = new Map<string, { readonly option: JsonSchema; readonly keys: string[] }>();
  for (const option of options) {
    for (const [key, value] of Object.entries(option.properties!)) {
      const text = JSON.stringify(value);
      const holders = options.filter(({ properties }) => JSON.stringify(properties![key]) === text);
      const title =
        holders.length === options.length
          ? 'every kind'
          : holders.map(({ required }) => required![0]).join(' and ');
      const group = groups.get(title) ?? { option, keys: [] };
      groups.set(title, group);
      if (!group.keys.includes(key)) group.keys.push(key);
    }
  }
  const own = options.map(({ required }) => required![0]!);
  const order = [...own, ...[...groups.keys()].filter((title) => !own.includes(title))];
  return order.flatMap((title) => {
    const { option, keys } = groups.get(title)!;
    return [`### ${title}\n`, table(option, keys)];
  });
}

/** Handlers share most keys: those of `fastcgi` and `cgi` are printed once, and of `filter` only the names. */
function kindsOfHandler(options: readonly JsonSchema[]): string[] {
  const [fastcgi, cgi, filter, ...others] = options;
  const shared = Object.keys(cgi!.properties!);
  const own = Object.keys(fastcgi!.properties!).filter((key) => !shared.includes(key));
  return [
    `### fastcgi\n\n${fastcgi!.properties!.type!.description}\n`,
    table(fastcgi!, own),
    `### fastcgi and cgi\n\nThe Common CGI Options, and how bodies are handled. \`cgi\` is a program that is started for each request.\n`,
    table(
      cgi!,
      shared.filter((key) => key !== 'type'),
    ),
    `### filter\n\n${filter!.properties!.type!.description} Its keys are those of \`fastcgi\` above: ${namesOf(filter!)}.\n`,
    ...others.flatMap((option) => {
      const { type, ...rest } = option.properties!;
      return [`### ${type!.const}\n\n${type!.description}\n`, table(option, Object.keys(rest))];
    }),
  ];
}

function namesOf({ properties }: JsonSchema): string {
  const names = Object.keys(properties!).filter((key) => key !== 'type');
  return names.map(code).join(', ');
}

function table(schema: JsonSchema, keys = Object.keys(schema.properties ?? {})): string {
  const lines = ['| key | type | default | |', '|---|---|---|---|'];
  const add = (prefix: string, from: JsonSchema, names: readonly string[]): void => {
    for (const key of names) {
      const value = from.properties![key]!;
      const fallback = from.required?.includes(key)
        ? 'required'
        : value.default === undefined || value.properties !== undefined
          ? ''
          : code(JSON.stringify(value.default));
      lines.push(
        `| \`${prefix}${key}\` | ${cell(type(value))} | ${fallback} | ${cell(value.description ?? '')} |`,
      );
      if (value.properties !== undefined) add(`${prefix}${key}.`, value, Object.keys(value.properties));
    }
  };
  add('', schema, keys);
  return `${lines.join('\n')}\n`;
}

function type(schema: JsonSchema): string {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.replace('#/$defs/', '');
    const title = parts.find(([part]) => part === name)?.[1] ?? name;
    return `[${title}](#${title.toLowerCase().replace(/[^a-z0-9-]/g, '')})`;
  }
  if (schema.enum !== undefined) return schema.enum.map((value) => code(String(value))).join(', ');
  if (schema.const !== undefined) return code(String(schema.const));
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return [...new Set(options.map(type))].join(' or ');
  if (schema.type === 'array') return `list of ${type(schema.items!)}`;
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object') {
    return `name: ${type(schema.additionalProperties)}`;
  }
  if (schema.type === 'object' && Object.keys(schema.properties ?? {}).length < 4) {
    return `{ ${Object.keys(schema.properties ?? {}).join(', ')} }`;
  }
  return schema.type ?? 'any';
}

function code(text: string): string {
  return `\`${text}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
  for (const [path, text] of Object.entries(documents())) writeFileSync(join(root, path), text);
}
