/** What a local source may be told: its command, how many processes of it run, when they are replaced, and as whom. */
import type { Address } from '../../base/address.ts';
import type { LaunchOptions } from '../../process/launch.ts';
import type { RunAs } from '../../process/run-as.ts';
import type { StartOptions } from '../../process/spawned-process.ts';
import type { RemoteSourceOptions, RemoteTuning } from '../remote/remote.ts';
import type { SourceDirectory } from './source-directory.ts';

/** How many processes run. */
export interface ProcessesOptions {
  /** Kept even without requests. */
  readonly min: number;
  readonly max: number;
  /** A process beyond `min` that had no request for this long is ended. */
  readonly idleMs: number;
}

/** When a process is replaced: its successor answers before it leaves. Undefined: never for that reason. */
export interface RecycleOptions {
  readonly requests?: number | undefined;
  readonly ageMs?: number | undefined;
  /** Resident memory of a process and its children. */
  readonly memoryMb?: number | undefined;
}

/** What a running source can be told anew. */
export interface LocalTuning extends Omit<RemoteTuning, 'statusAddress'> {
  /** As `address`. */
  readonly statusAddress?: string | undefined;
  /** Default: one, from the first request on. More than one, or `recycle`, needs `{process}` in an `address`. */
  readonly processes?: ProcessesOptions | undefined;
  readonly recycle?: RecycleOptions | undefined;
  /** Longest wait for a started interpreter to answer, default `usualSpawnTimeoutMs`. */
  readonly spawnTimeoutMs?: number | undefined;
}

/** There is never a second process beside the first, so that both could have one address. */
export function isOneAtATime({ processes, recycle }: LocalTuning): boolean {
  return (processes?.max ?? 1) === 1 && recycle === undefined;
}

/**
 * For the exchange with a process the options of a remote source apply, but: `profile` is read off the program's name by
 * default, `capacity` is each process's (default 1 where there may be several).
 */
export interface LocalSourceOptions
  extends LaunchOptions,
    LocalTuning,
    Pick<RemoteSourceOptions, 'name' | 'profile' | 'log' | 'clock' | 'random'> {
  /** Program and arguments; see `fillIn` for the placeholders. */
  readonly interpreter: readonly string[];
  /** May hold `{runtimeDir}` and `{process}`. Undefined: a socket in the runtime directory. */
  readonly address?: string | undefined;
  /**
   * `inherit`: we listen, and it takes the socket as descriptor 0; `own`: it listens at the address.
   * Default: `inherit` for a command that is told no address, unless `address` says that it knows it.
   */
  readonly socket?: 'inherit' | 'own' | undefined;
  /** As whom it runs when we are root; without, `chooseRunAs` decides, by the document root's owner. */
  readonly user?: string | undefined;
  readonly group?: string | undefined;
  /** Supplementary groups. */
  readonly groups?: readonly string[] | undefined;
  readonly documentRoot?: string | undefined;
  /** The answer to that, for a caller that has asked already, and has logged its warning. */
  readonly runAs?: RunAs | undefined;
  /** Its variables besides the inherited ones. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Hands it all of `environment`, not only PATH, language and time zone. */
  readonly inheritEnv?: boolean | undefined;
  /** Our own environment. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly workingDirectory?: string | undefined;
  /**
   * Folder for our private directory (0711), default the system's temporary one;
   * also when the interpreter's user may not enter this one.
   */
  readonly runtimeDir?: string | undefined;
  /** Writes the settings that the interpreter reads, before each start. */
  readonly prepare?:
    | ((directory: Pick<SourceDirectory, 'writeSetting'>, address: Address) => void)
    | undefined;
  /** Tells lines of its stderr that requests already reported: one event, one log line (G12). */
  readonly isRepeated?: StartOptions['isRepeated'];
  /** What is to be made of the configured tuning, at the start and whenever it changes. Undefined: nothing. */
  readonly adapt?: ((tuning: LocalTuning) => LocalTuning) | undefined;
  /** For the start banner; default names the command and the address. */
  readonly description?: string | undefined;
}
