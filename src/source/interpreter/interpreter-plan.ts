/**
 * The interpreter of a local source, as the source's processes share it: its command and environment, where each process
 * listens, a private directory, and the FastCGI exchange with it. Starts nothing by itself.
 */
import { platform } from 'node:os';
import { basename } from 'node:path';
import { type Address, parseAddress, printAddress } from '../../base/address.ts';
import { pass } from '../../base/clock.ts';
import { GatewayError, SourceError } from '../../base/errors.ts';
import { usualSpawnTimeoutMs } from '../../client/timeouts.ts';
import { canWriteIn, chooseRunAs, type RunAs } from '../../process/run-as.ts';
import { defaultPath } from '../../process/spawn-program.ts';
import type { StartOptions } from '../../process/spawned-process.ts';
import type { SourceProfile } from '../remote/profile.ts';
import { createRemoteSource, type RemoteTuning } from '../remote/remote.ts';
import { exitError, InterpreterProcess } from './interpreter-process.ts';
import { isOneAtATime, type LocalSourceOptions, type LocalTuning } from './local-options.ts';
import { fillIn, isToldWhereToListen, type ProcessPlace } from './placeholders.ts';
import { SourceDirectory } from './source-directory.ts';

/** How long the end of a process may be told after its connections were cut. */
const exitReportMs = 1_000;
/** Of our environment, what an interpreter needs to behave (T16). */
const inheritedNames = ['PATH', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'TMPDIR'] as const;
/** Each tells which bytes are a character. */
const localeNames = ['LANG', 'LC_ALL', 'LC_CTYPE'] as const;

export class InterpreterPlan {
  /** For people: of one process, or what the addresses of several are made of. */
  readonly address: string;
  readonly #options: LocalSourceOptions;
  #tuning: LocalTuning;
  readonly #stop: AbortSignal;
  readonly #addressTemplate: string;
  readonly #directory: SourceDirectory;
  readonly #runAs: RunAs | undefined;

  /**
   * @param stop ends starts under way
   * @throws {GatewayError} GW_ERR_ADDRESS; GW_ERR_SOURCE_SPAWN: the configured user is not there or not allowed
   */
  constructor(options: LocalSourceOptions, tuning: LocalTuning, stop: AbortSignal) {
    const { name, address } = options;
    this.#options = options;
    this.#tuning = tuning;
    this.#stop = stop;
    this.#runAs = options.runAs ?? chooseAndWarn(options);
    this.#directory = new SourceDirectory(name, options.runtimeDir, this.#runAs);
    const isAlone = isOneAtATime(tuning);
    // The process that makes the socket has to be able to write there.
    const place = this.#inheritsSocket ? this.#directory.path : this.#directory.ownPath;
    this.#addressTemplate = (
      address ?? `unix:${place}/fastcgi${isAlone ? '' : '-{process}'}.sock`
    ).replaceAll('{runtimeDir}', this.#directory.ownPath);
    if (!isAlone && this.hasOneAddress) {
      throw new GatewayError(
        'GW_ERR_ADDRESS',
        `Several processes of source ${name} cannot listen at one address ${address}; write {process} into it, or leave it out`,
      );
    }
    // Faults in it are told now.
    const first = this.#addressOf(1);
    this.address = isAlone ? printAddress(first) : this.#addressTemplate;
  }

  /** Its processes have to follow each other. */
  get hasOneAddress(): boolean {
    return !this.#addressTemplate.includes('{process}');
  }

  /** Its processes have to be told too, see `tuningOf`; those to come know it. */
  tune(tuning: LocalTuning): void {
    this.#tuning = tuning;
  }

  /** Requests at the same time that the source gives a process; of a single one its own queue decides. */
  get places(): number {
    const { processes, capacity } = this.#tuning;
    return (processes?.max ?? 1) === 1 ? Number.POSITIVE_INFINITY : (capacity ?? 1);
  }

  /** For the exchange with one of its processes. */
  tuningOf(number: number): RemoteTuning {
    return this.#remoteTuning(this.#placeOf(number));
  }

  get spawnTimeoutMs(): number {
    return this.#tuning.spawnTimeoutMs ?? usualSpawnTimeoutMs;
  }

  /**
   * @param number from 1, among the processes of the source
   * @param isSuccessor it replaces another one
   */
  createProcess(number: number, isSuccessor: boolean): InterpreterProcess {
    const options = this.#options;
    const place = this.#placeOf(number);
    return new InterpreterProcess({
      number,
      isSuccessor,
      address: place.address,
      inheritsSocket: this.#inheritsSocket,
      spawnTimeoutMs: this.spawnTimeoutMs,
      program: this.#createProgram(place),
      prepare: () => this.#prepareDirectory(place.address),
      createRemote: () =>
        createRemoteSource({
          ...this.#remoteTuning(place),
          name: options.name,
          profile: options.profile ?? this.#findProfile(),
          address: place.address,
          log: options.log,
          clock: options.clock,
          random: options.random,
        }),
      stop: this.#stop,
      log: options.log,
      clock: options.clock,
    });
  }

  /** Requests at a time of one process; undefined: no limit. */
  get capacityOfProcess(): number | undefined {
    return Number.isFinite(this.places) ? this.places : (this.#tuning.capacity ?? this.#childrenOfPhp);
  }

  /** What an interpreter that has not answered anything yet did wrong; undefined: the error says it. */
  explain(error: GatewayError, interpreter: InterpreterProcess): Promise<GatewayError> | undefined {
    if (interpreter.hasAnswered || !this.#inheritsSocket || interpreter.exited === undefined)
      return undefined;
    if (!(error instanceof SourceError)) return undefined;
    const { code, delivery } = error;
    if (code === 'GW_ERR_SOURCE_READ_TIMEOUT') {
      const advice = `Source ${this.#options.name} was started with its listening socket as descriptor 0; if its interpreter listens by itself, give it "{address}"`;
      return Promise.resolve(new SourceError(code, `${error.message}. ${advice}`, { delivery }));
    }
    if (code !== 'GW_ERR_SOURCE_CLOSED' && code !== 'GW_ERR_SOURCE_CONNECT') return undefined;
    return Promise.race([
      interpreter.exited.then((report) =>
        exitError(this.#options.name, report, 'before it answered', delivery),
      ),
      pass(this.#options.clock, exitReportMs).then(() => error),
    ]);
  }

  /** The private directory, when there is one. */
  removeDirectory(): void {
    if (this.#directory.remove()) return;
    this.#options.log.warn('A private directory could not be removed whole; remove what is left', {
      source: this.#options.name,
      directory: this.#directory.path,
    });
  }

  /** php-cgi runs as many requests as it was told children, or one (PHP_FCGI_CHILDREN). */
  get #childrenOfPhp(): number | undefined {
    if (this.#findProfile() !== 'php-cgi') return undefined;
    return Math.max(1, Number(this.#options.env?.PHP_FCGI_CHILDREN ?? 0) || 1);
  }

  /** Not asked, but read off the command: it is ours. */
  #findProfile(): SourceProfile {
    return /^php-cgi[\d.]*$/.test(basename(this.#options.interpreter[0]!)) ? 'php-cgi' : 'generic';
  }

  #placeOf(number: number): ProcessPlace {
    return {
      address: this.#addressOf(number),
      runtimeDirectory: this.#directory.ownPath,
      settingsDirectory: this.#directory.settingsPath,
      number,
    };
  }

  #remoteTuning(place: ProcessPlace): RemoteTuning {
    const { statusAddress, ...tuning } = this.#tuning;
    return {
      ...tuning,
      capacity: this.capacityOfProcess,
      statusAddress: statusAddress === undefined ? undefined : parseAddress(fillIn(statusAddress, place)),
    };
  }

  #createProgram(place: ProcessPlace): Omit<StartOptions, 'socket'> {
    const { interpreter, workingDirectory, isRepeated, log } = this.#options;
    return {
      name: this.#options.name,
      command: interpreter.map((text) => fillIn(text, place)),
      env: this.#createEnvironment(place),
      workingDirectory,
      runAs: this.#runAs,
      launch: this.#options,
      list: this.#directory.list,
      isRepeated,
      log,
    };
  }

  #createEnvironment(place: ProcessPlace): Record<string, string> {
    const { environment = {}, inheritEnv = false, env = {} } = this.#options;
    const result: Record<string, string> = { PATH: defaultPath };
    for (const name of inheritEnv ? Object.keys(environment) : inheritedNames) {
      const value = environment[name];
      if (value !== undefined) result[name] = value;
    }
    // Ours may be for us alone, and PHP drops a body without a word to the client where it cannot write one.
    const runAs = this.#runAs;
    if (result.TMPDIR !== undefined && runAs !== undefined && !canWriteIn(result.TMPDIR, runAs))
      delete result.TMPDIR;
    for (const [name, value] of Object.entries(env)) result[name] = fillIn(value, place);
    // Services and containers often have no locale, and names of files would be ASCII then (Python's PEP 538, which uwsgi does not
    // apply). Of glibc since 2.35, of Debian and Red Hat for longer; musl has no other.
    if (platform() === 'linux' && !localeNames.some((name) => name in result)) result.LC_CTYPE = 'C.UTF-8';
    return result;
  }

  #prepareDirectory(address: Address): void {
    const directory = this.#directory;
    try {
      directory.make();
    } catch (cause) {
      throw spawnError(
        `Could not create the runtime directory ${directory.path}: ${(cause as Error).message}; set "runtimeDir" to a folder that may be written`,
        cause,
      );
    }
    this.#options.prepare?.(directory, address);
  }

  get #inheritsSocket(): boolean {
    const { socket, address, interpreter, env } = this.#options;
    if (socket !== undefined) return socket === 'inherit';
    return address === undefined && !isToldWhereToListen(interpreter, env);
  }

  #addressOf(number: number): Address {
    return parseAddress(this.#addressTemplate.replaceAll('{process}', String(number)));
  }
}

/** A start that failed; nothing was sent. */
export function spawnError(message: string, cause?: unknown): SourceError {
  return new SourceError('GW_ERR_SOURCE_SPAWN', message, { cause, delivery: 'unsent' });
}

function chooseAndWarn(options: LocalSourceOptions): RunAs | undefined {
  const runAs = chooseRunAs(options);
  if (runAs?.warning !== undefined) options.log.warn(runAs.warning, { source: options.name });
  return runAs;
}
