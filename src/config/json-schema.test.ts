import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { documents } from '../../scripts/write-docs.ts';
import { createJsonSchema, type JsonSchema } from './json-schema.ts';

test('schema.json and docs/configuration.md are what the definition says; `npm run docs` writes them', () => {
  for (const [path, text] of Object.entries(documents())) {
    assert.equal(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'), text, path);
  }
});

test('every key has a description, and unknown keys are refused everywhere', () => {
  const visit = (schema: JsonSchema, path: string): void => {
    for (const [key, value] of Object.entries(schema.properties ?? {})) {
      assert.ok(value.description, `${path}.${key} has no description`);
      visit(value, `${path}.${key}`);
    }
    if (schema.properties !== undefined) assert.equal(schema.additionalProperties, false, path);
    for (const option of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) visit(option, path);
    if (schema.items !== undefined) visit(schema.items, `${path}[]`);
    for (const [name, part] of Object.entries(schema.$defs ?? {})) visit(part, name);
  };
  visit(createJsonSchema(), 'Config');
});
