/** Plays a scripted application against any web server, case by case. */
import type { Address } from '../base/address.ts';
import { type CaseResult, runCases } from './case.ts';
import { startScriptedApplication } from './scripted-application.ts';
import { webServerCaseList } from './web-server-cases.ts';
import { WebServerTarget } from './web-server-target.ts';

export interface CheckWebServerOptions {
  /** Where the web server expects its application: `tcp://127.0.0.1:9000`, `unix:/run/app.sock`. */
  readonly listen: Address | string;
  /** A URL (http) that the web server passes to the application, with its query. */
  readonly url: string;
  /** The longest wait for an answer; default 10 000. */
  readonly timeoutMs?: number | undefined;
  /** Parts of case ids; default all. */
  readonly only?: readonly string[] | undefined;
  /** Hears each result as it comes. */
  readonly onResult?: ((result: CaseResult) => void) | undefined;
}

/** The ids of all cases, in order. */
export const webServerCases: readonly string[] = webServerCaseList.map(({ id }) => id);

/**
 * Never rejects because of what the web server does: that is a result.
 * @throws {GatewayError} GW_ERR_ADDRESS: it is invalid, or cannot be listened on
 * @throws {TypeError} the URL is invalid
 */
export async function checkWebServer(options: CheckWebServerOptions): Promise<CaseResult[]> {
  const { listen, timeoutMs = 10_000, only, onResult } = options;
  const url = new URL(options.url);
  const application = await startScriptedApplication({ listen });
  try {
    const target = new WebServerTarget(application, url, timeoutMs);
    const cases = webServerCaseList.map((each) => ({
      ...each,
      run: async (found: WebServerTarget) => {
        try {
          await each.run(found);
        } finally {
          // What a broken answer left on a kept connection belongs to its own case. The web server needs a moment to
          // see that it is gone.
          application.closeConnections();
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      },
    }));
    return await runCases(cases, target, only, onResult);
  } finally {
    await application.close();
  }
}
