/**
 * `fastway/testing`: checks FastCGI programs that others wrote. `checkApplication` plays a web server against any
 * application, `checkWebServer` a scripted application against any web server.
 */
export type { Case, CaseResult, Outcome } from './case.ts';
export { applicationCases, type CheckApplicationOptions, checkApplication } from './check-application.ts';
export { type CheckWebServerOptions, checkWebServer, webServerCases } from './check-web-server.ts';
export {
  type Played,
  type PlayedRequest,
  type ScriptedApplication,
  type ScriptedApplicationOptions,
  scenarioNames,
  startScriptedApplication,
} from './scripted-application.ts';
