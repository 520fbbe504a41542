/** The JSON Schema that editors use, made from the definition. Published as `fastway/schema.json`. */
import { z } from 'zod';
import { createDefinition } from './definition.ts';

/** A JSON Schema (draft 2020-12), as far as ours goes. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
}

export function createJsonSchema(): JsonSchema {
  const { config, parts } = createDefinition('/', 0);
  const names = z.registry<{ id: string }>();
  for (const [id, part] of Object.entries(parts)) names.add(part, { id });
  const schema = z.toJSONSchema(config, {
    io: 'input',
    metadata: names,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      // Named parts carry `id` only for zod's sake; descriptions live in zod's own registry, which `metadata` replaced.
      delete jsonSchema.id;
      // A source's kind is not written: it is told by the other keys.
      const kind = jsonSchema.properties?.kind;
      if (typeof kind === 'object' && kind.const !== undefined) {
        delete jsonSchema.properties!.kind;
        jsonSchema.required = jsonSchema.required!.filter((key) => key !== 'kind');
      }
      const description = z.globalRegistry.get(zodSchema)?.description;
      if (description !== undefined) jsonSchema.description = description;
    },
  });
  return {
    $schema: schema.$schema,
    $id: 'fastway/schema.json',
    title: 'Fastway configuration',
    ...schema,
  } as JsonSchema;
}

/** The text of `schema.json`. */
export function printJsonSchema(): string {
  return `${JSON.stringify(createJsonSchema(), undefined, 2)}\n`;
}
