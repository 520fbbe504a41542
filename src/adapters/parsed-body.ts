/**
 * A request body that a parser in front of us has read already, as bytes to send again (Express, Connect, Koa, Fastify, Hono).
 * Only what agrees with the client's Content-Type is sent, and never a guess: everything else is an error that says what to do.
 */
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../base/errors.ts';
import { findField } from '../http/fields.ts';
import type { Fields } from '../http/message.ts';

/** What parsers keep of a body, on the framework's request. */
interface ParsedBody {
  /** The bytes as they came, as many programs keep them through a parser's `verify`; they win. */
  rawBody?: unknown;
  /** Bytes, a text, or values. */
  body?: unknown;
}

/** Puts what a framework keeps of a body where the listener of node:http looks for it. */
export function carryParsedBody(req: IncomingMessage & ParsedBody, from: object): void {
  const { rawBody, body } = from as ParsedBody;
  req.rawBody ??= rawBody;
  req.body ??= body;
}

/**
 * Bytes and texts are sent exactly. Values of JSON and of a form are printed anew: the same values, not the same bytes; what is
 * nested in a form has the brackets that PHP understands.
 * @param from the request that has `rawBody`, `body` or neither
 * @param announced the client's Content-Length; undefined for none
 * @returns GW_ERR_INTERNAL for what cannot be sent again
 */
export function encodeParsedBody(
  from: object,
  fields: Fields,
  announced: number | undefined,
): Uint8Array | GatewayError {
  const { rawBody, body } = from as ParsedBody;
  // Parsers decompress, also before `verify`, and the application would decompress again.
  const coding = findField(fields, 'content-encoding')?.toLowerCase() ?? 'identity';
  if (coding !== 'identity') return unsendable(`its Content-Encoding was ${coding}`);
  const kept = rawBody ?? body;
  if (kept instanceof Uint8Array) return kept;
  const { type, charset } = readContentType(fields);
  if (charset !== 'utf-8') return unsendable(`its charset was ${charset}`);
  if (typeof kept === 'string') return encodeText(kept, announced, kept === rawBody || !isJson(type));
  try {
    const printed = printValues(kept, type);
    return printed === undefined ? unsendable(`nothing is left that is ${type}`) : Buffer.from(printed);
  } catch (error) {
    return unsendable(String(error));
  }
}

function unsendable(reason: string): GatewayError {
  return new GatewayError(
    'GW_ERR_INTERNAL',
    `The request body was already read by a body parser, and cannot be sent again, since ${reason}: mount Fastway before the parser, or keep the bytes as rawBody`,
  );
}

/** @param isSource false: the text may be a value of JSON, without its quotation marks; only the length tells */
function encodeText(
  text: string,
  announced: number | undefined,
  isSource: boolean,
): Uint8Array | GatewayError {
  const bytes = Buffer.from(text);
  // Another length: bytes that are not UTF-8 were lost when the text was made.
  const isExact = announced === undefined ? isSource : announced === bytes.length;
  return isExact ? bytes : unsendable('its text does not have the bytes that came');
}

function readContentType(fields: Fields): { readonly type: string; readonly charset: string } {
  const value = findField(fields, 'content-type') ?? '';
  const type = value.split(';', 1)[0]!.trim().toLowerCase();
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(value)?.[1] ?? 'utf-8';
  return { type: type === '' ? 'of no type' : type, charset: charset.toLowerCase() };
}

function isJson(type: string): boolean {
  return type === 'application/json' || type.endsWith('+json');
}

/** Undefined for what has no text in this type. */
function printValues(values: unknown, type: string): string | undefined {
  if (isJson(type)) return JSON.stringify(values);
  if (type !== 'application/x-www-form-urlencoded' || typeof values !== 'object' || values === null)
    return undefined;
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    // A parser that gives brackets no meaning leaves them in the name, and collects what was repeated.
    if (name.includes('[') && Array.isArray(value)) for (const item of value) form.append(name, item);
    else appendValue(form, name, value);
  }
  return form.toString();
}

function appendValue(form: URLSearchParams, name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) form.append(name, String(value ?? ''));
  else for (const [key, item] of Object.entries(value)) appendValue(form, `${name}[${key}]`, item);
}
