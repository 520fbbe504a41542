/**
 * The `filter` handler: a FastCGI Filter makes the answer out of a file (FastCGI 6.4). The file is found by the rules of the
 * `files` handler and goes to the application as a stream of its own, besides the request's body.
 */
import type { Balancer } from '../balancer/balancer.ts';
import { GatewayError } from '../base/errors.ts';
import type { Script } from '../cgi/script-path.ts';
import type { FileEntry } from './document-root.ts';
import { explainRun } from './explain-run.ts';
import { FilterData } from './filter-data.ts';
import { answerWithoutFile, explainWithoutFile, type FileRules, findFile } from './find-file.ts';
import type { Handler, RoutedRequest } from './handler.ts';
import { type ApplicationOptions, withoutScript } from './script-options.ts';
import { ScriptPlanner } from './script-plan.ts';
import { createScriptContext, runScript } from './script-request.ts';

export interface FilterHandlerOptions extends ApplicationOptions, Pick<FileRules, 'isProgram'> {
  readonly balancer: Balancer;
}

/** Makes the handler of one rule. It owns no source: the caller that made them closes them. */
export function createFilterHandler(options: FilterHandlerOptions): Handler {
  const { documentRoot, rootIsDirectory, guard, isProgram } = options;
  const rules: FileRules = {
    documentRoot,
    rootIsDirectory,
    methods: ['GET', 'HEAD', 'POST'],
    sendLeftovers: false,
    guard,
    isProgram,
  };
  const complete = { ...withoutScript, ...options };
  const planner = new ScriptPlanner(complete);
  const context = createScriptContext(complete, planner, 'Filter');
  const scriptOf = (request: RoutedRequest, entry: FileEntry): Script => ({
    kind: 'script',
    scriptName: request.target.path,
    scriptFilename: entry.path,
    pathInfo: '',
    pathTranslated: undefined,
    documentRoot: request.pin(options.documentRoot ?? request.site.documentRoot).path,
    localFilename: entry.path,
  });

  return {
    handle(request) {
      const found = findFile(request, rules);
      if (found.kind !== 'file') {
        answerWithoutFile(request, found, rules);
        return;
      }
      try {
        const data = new FilterData(found.entry);
        runScript(context, request, scriptOf(request, found.entry), { data });
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        request.fail(error);
      }
    },
    explain(request) {
      const found = findFile(request, rules);
      if (found.kind !== 'file') return explainWithoutFile(request, found);
      const { entry } = found;
      const data = { length: entry.size, modifiedMs: entry.modifiedMs };
      return explainRun(planner, options.balancer, request, scriptOf(request, entry), data);
    },
  };
}
