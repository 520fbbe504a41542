/** Fills in what an interpreter has to know of its place: where to listen, where it may write, which process it is. */
import { type Address, printAddress } from '../../base/address.ts';

/** Says where to listen; a command without any of these can only take the socket that it inherits. */
const addressPlaceholder = /\{(address|path|host|port)\}/;

export interface ProcessPlace {
  readonly address: Address;
  /** The interpreter's user may write there. */
  readonly runtimeDirectory: string;
  /** Its user may only read there. */
  readonly settingsDirectory: string;
  /** From 1; the numbers of ended processes are given again. */
  readonly number: number;
}

/**
 * `{address}` (as `/path` or `host:port`), `{path}`, `{host}`, `{port}`, `{runtimeDir}`, `{process}`; other braces stay.
 * `{settingsDir}` is for the presets, which write there.
 */
export function fillIn(
  text: string,
  { address, runtimeDirectory, settingsDirectory, number }: ProcessPlace,
): string {
  const values: Readonly<Record<string, string>> = {
    '{runtimeDir}': runtimeDirectory,
    '{settingsDir}': settingsDirectory,
    '{process}': String(number),
    '{address}':
      address.kind === 'tcp'
        ? printAddress(address).slice('tcp://'.length)
        : address.kind === 'unix'
          ? address.path
          : `@${address.name}`,
    ...(address.kind === 'tcp' ? { '{host}': address.host, '{port}': String(address.port) } : {}),
    ...(address.kind === 'unix' ? { '{path}': address.path } : {}),
  };
  return text.replace(/\{\w+\}/g, (name) => values[name] ?? name);
}

/** Whether a command, or a variable of its environment, is told where to listen. */
export function isToldWhereToListen(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): boolean {
  return [...command, ...Object.values(env)].some((text) => addressPlaceholder.test(text));
}
