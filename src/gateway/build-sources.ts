/** Makes the source of a plan. Nothing is started; which PHP there is, and whose a document root is, is read. */
import { systemClock } from '../base/clock.ts';
import { chooseRunAs } from '../process/run-as.ts';
import { SupervisedSource } from '../source/health/supervised.ts';
import { createLocalSource } from '../source/interpreter/local-source.ts';
import { createPhpSource } from '../source/php/php.ts';
import { createRemoteSource } from '../source/remote/remote.ts';
import type { Source } from '../source/source.ts';
import type { SourcePlan } from './plan.ts';
import { rightsToGive } from './rights.ts';
import type { Shelf } from './shelf.ts';

/** @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: no PHP is there; GW_ERR_SOURCE_SPAWN: no such user */
export function buildSource(plan: SourcePlan, shelf: Shelf): SupervisedSource {
  const { log, sourceMetrics } = shelf;
  const { state, check } = plan.config;
  const source = new SupervisedSource(createSource(plan, shelf), {
    state,
    check,
    meter: sourceMetrics.meterOf(plan.name),
    log,
    clock: systemClock,
  });
  sourceMetrics.show(source);
  return source;
}

function createSource(plan: SourcePlan, { log, environment, runtimeDirectory }: Shelf): Source {
  const { name, config, documentRoot, runs } = plan;
  const clocks = { clock: systemClock, random: Math.random };
  if (config.kind === 'remote') {
    return createRemoteSource({ ...clocks, ...config, name, log });
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
  if (config.kind === 'php') return createPhpSource({ ...options, php: config.php, documentRoot, runs });
  const runAs = chooseRunAs({ ...rights, documentRoot });
  if (runAs?.warning !== undefined) log.warn(runAs.warning, { source: name });
  return createLocalSource({ ...options, interpreter: config.interpreter, runAs });
}
