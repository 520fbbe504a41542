/** What the program that starts the embedded PHP may set: one JSON object in one environment variable. */
import { z } from 'zod';
import { ConfigError } from '../base/errors.ts';

/** The environment variable that holds the settings. */
export const settingsVariable = 'FASTWAY_EMBEDDED_PHP';

export interface EmbeddedPhpSettings {
  /** Where to listen, as `unix:/path` or `tcp://host:port`. */
  readonly address: string;
  /** Most worker processes; each runs one request at a time and takes about 250 MB. */
  readonly workers: number;
  /** php.ini settings by name; they win over ours. */
  readonly ini: Readonly<Record<string, string>>;
  /** Of PHP, as `8.4`. */
  readonly version: string;
  /** The package of that version, and the one that it depends on: absolute paths of modules, or names to look for beside Fastway. */
  readonly loader: string;
  readonly universal: string;
  /** A worker that holds more memory than this is replaced after its request. WebAssembly memory never shrinks. */
  readonly recycleRssMb: number;
}

const schema: z.ZodType<EmbeddedPhpSettings> = z.object({
  address: z.string().min(1),
  workers: z.int().min(1).max(64),
  // A line feed would begin another setting.
  ini: z.record(z.string().regex(/^[\w.]+$/), z.string().regex(/^[^\r\n\0]*$/)).default({}),
  version: z.string().default('8.4'),
  loader: z.string().default('@php-wasm/node-8-4'),
  universal: z.string().default('@php-wasm/universal'),
  recycleRssMb: z.number().positive().default(600),
});

/** @throws {ConfigError} the text is not JSON of that shape */
export function parseSettings(text: string | undefined): EmbeddedPhpSettings {
  const result = schema.safeParse(parseJson(text ?? ''));
  if (result.success) return result.data;
  throw new ConfigError(
    result.error.issues.map(({ path, message }) => ({
      path: [settingsVariable, ...path.map(String)].join('.'),
      message,
    })),
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
