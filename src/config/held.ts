/** Holds the types that people read, and that the program runs on, to the schemas that check them. */
import type { z } from 'zod';
import type { AddressSet } from '../http/address-set.ts';

/**
 * The schema itself, if it says the same as the two types, key by key; else the call does not compile, and names the keys
 * that only one side has. As `held<Config, ConfigInput>()(schema)`: what the compiler finds out stands in parentheses of its own.
 */
export function held<Output, Input>(): <Schema extends z.ZodType<Output, Input>>(
  schema: Schema & Same<z.output<Schema>, Output, 'output'> & Same<z.input<Schema>, Input, 'input'>,
) => z.ZodType<Output, Input> {
  return (schema) => schema;
}

type Same<Schema, Type, Side extends string> = [EveryKey<Schema>, EveryKey<Type>] extends [
  EveryKey<Type>,
  EveryKey<Schema>,
]
  ? unknown
  : {
      readonly [Name in `${Side} differs`]: Exclude<
        KeysOf<Schema> | KeysOf<Type>,
        KeysOf<Schema> & KeysOf<Type>
      >;
    };

/** Optional keys as required ones: a type without a key would do for one in which it is optional. */
type EveryKey<T> = T extends RegExp | AddressSet | ReadonlyMap<unknown, unknown>
  ? T
  : T extends object
    ? { readonly [Key in keyof T]-?: [EveryKey<T[Key]>] }
    : T;

/** As people write it: the kind of each is told by its other keys. */
export type WithoutKind<Kinds> = Kinds extends unknown ? Omit<Kinds, 'kind'> : never;

type KeysOf<T> = T extends unknown ? keyof T : never;
