/** Makes the source of a plan. Nothing is started; which PHP there is, and whose a document root is, is read. */
import type { Log } from '../base/log.ts';
import type { SourceConfig } from '../config/types.ts';
import { chooseRunAs } from '../process/run-as.ts';
import { SupervisedSource } from '../source/health/supervised.ts';
import { createLocalSource, type LocalSource } from '../source/interpreter/local-source.ts';
import { createPhpSource } from '../source/php/php.ts';
import { createRemoteSource } from '../source/remote/remote.ts';
import type { Source } from '../source/source.ts';
import { compareThings } from './compare-plans.ts';
import type { SourcePlan } from './plan.ts';
import { rightsToGive } from './rights.ts';
import type { Shelf } from './shelf.ts';

/** A source on the shelf, and how it follows the plan of the generation that started last. */
export class ShelvedSource {
  readonly source: SupervisedSource;
  readonly #tune: (config: SourceConfig) => void;
  readonly #log: Log;
  #plan: SourcePlan;

  /** @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: no PHP is there; GW_ERR_SOURCE_SPAWN: no such user */
  constructor(plan: SourcePlan, shelf: Shelf) {
    const { log, sourceMetrics, clock } = shelf;
    const { source, tune } = createSource(plan, shelf);
    const { state, check } = plan.config;
    const meter = sourceMetrics.meterOf(plan.name);
    this.source = new SupervisedSource(source, { state, check, meter, log, clock });
    this.#tune = tune;
    this.#log = log;
    this.#plan = plan;
    sourceMetrics.show(this.source);
  }

  /** @param plan with the same key */
  follow(plan: SourcePlan): void {
    const change = compareThings(this.#plan, plan);
    this.#plan = plan;
    if (change !== 'tuned') return;
    this.#log.info('The source follows a changed configuration', { source: plan.name });
    this.source.tune(plan.config);
    this.#tune(plan.config);
  }
}

interface CreatedSource {
  readonly source: Source;
  /** @param config of the same kind */
  readonly tune: (config: SourceConfig) => void;
}

function createSource(plan: SourcePlan, { log, environment, runtimeDirectory, clock }: Shelf): CreatedSource {
  const { name, config, documentRoot, runs } = plan;
  const clocks = { clock, random: Math.random };
  if (config.kind === 'remote') {
    const source = createRemoteSource({ ...clocks, ...config, name, log });
    return { source, tune: (next) => next.kind === 'remote' && source.tune(next) };
  }
  const rights = rightsToGive({ ...plan, groups: config.groups });
  const options = {
    ...clocks,
    ...config,
    ...rights,
    name,
    log,
    environment,
    runtimeDir: runtimeDirectory.path,
  };
  const tuned = (source: LocalSource): CreatedSource => ({
    source,
    tune: (next) => next.kind !== 'remote' && source.tune(next),
  });
  if (config.kind === 'php')
    return tuned(createPhpSource({ ...options, php: config.php, documentRoot, runs }));
  const runAs = chooseRunAs({ ...rights, documentRoot });
  if (runAs?.warning !== undefined) log.warn(runAs.warning, { source: name });
  return tuned(createLocalSource({ ...options, interpreter: config.interpreter, runAs }));
}
