/** What a situation is, and the stages that they are played on. */
import { mock } from 'node:test';
import {
  type ScriptedApplication,
  type ScriptedApplicationOptions,
  startScriptedApplication,
} from '../support/scripted-application.ts';
import { type FaultGateway, startFaultGateway } from './fault-gateway.ts';

/** A fault that needs a stage of its own. */
export interface Situation {
  /** Numbers of the faults, as `F1, F41`. */
  readonly rows: string;
  readonly title: string;
  readonly promise: string;
  /** Plays it and asserts the promise. @returns what was seen */
  readonly run: () => Promise<string>;
}

type SourceSettings = Parameters<typeof startFaultGateway>[0][string];
type GatewaySettings = NonNullable<Parameters<typeof startFaultGateway>[2]>;

export interface Stage {
  readonly gateway: FaultGateway;
  /** In the order of the sources `a`, `b` ... that the gateway asks. */
  readonly applications: readonly ScriptedApplication[];
}

/** Gives `run` a gateway over so many applications. */
export async function onStage(
  applications: readonly ScriptedApplicationOptions[],
  source: Partial<SourceSettings>,
  run: (stage: Stage) => Promise<string>,
  options: GatewaySettings = {},
): Promise<string> {
  const started: ScriptedApplication[] = [];
  for (const one of applications) started.push(await startScriptedApplication(one));
  const names = ['a', 'b', 'c'].slice(0, started.length);
  const sources = Object.fromEntries(
    names.map((name, i) => [name, { address: started[i]!.address, ...source }]),
  );
  try {
    return await withGateway(
      sources,
      { '/': names },
      (gateway) => run({ gateway, applications: started }),
      options,
    );
  } finally {
    for (const application of started) await application.close();
  }
}

/** Gives `run` a gateway over any sources, and closes it. */
export async function withGateway(
  sources: Parameters<typeof startFaultGateway>[0],
  routes: Parameters<typeof startFaultGateway>[1],
  run: (gateway: FaultGateway) => Promise<string>,
  options: GatewaySettings = {},
): Promise<string> {
  const gateway = await startFaultGateway(sources, routes, options);
  try {
    return await run(gateway);
  } finally {
    await gateway.close();
  }
}

/** Stops the monotonic clock of this process while `run` plays, which puts it forward; timers go on. */
export async function withStoppedClock(
  run: (forward: (ms: number) => void) => Promise<string>,
): Promise<string> {
  // Whole, so that sums and differences are exact.
  let time = Math.ceil(performance.now());
  const clock = mock.method(performance, 'now', () => time);
  try {
    return await run((ms) => {
      time += ms;
    });
  } finally {
    clock.mock.restore();
  }
}
