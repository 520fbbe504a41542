/** CGI (RFC 3875) for both sides, pure: no sockets, no files. The package's `./cgi`. */
export type { Fields } from '../http/message.ts';
export {
  MetaVariables,
  type MetaVariablesInput,
  type MetaVariablesOptions,
  type VariableOrigin,
} from './meta-variables.ts';
export { type CgiRequestHead, type FieldNames, requestFromVariables } from './request-head.ts';
export {
  headBytesMax,
  headLinesMax,
  type InterimListener,
  type ResponseHead,
  ResponseParser,
} from './response-parser.ts';
export {
  findScript,
  type Script,
  type ScriptMapping,
  type ScriptPath,
  type ScriptRoot,
} from './script-path.ts';
