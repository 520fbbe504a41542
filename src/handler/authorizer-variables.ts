/**
 * Which variables an Authorizer's 200 may set (FastCGI 6.3: its `Variable-NAME: value` fields). It says who asks; what the
 * request is, and which program runs with which settings, is for others to say, and an Authorizer that passes on a part of
 * the request it was asked about must not let a client say so. For a CGI program variables are its environment, and so
 * they are for many a FastCGI application and the programs that it starts.
 */

/** FastCGI 6.3 names four that an Authorizer does not get; which script runs is the handler's business as well. */
export const handlersOwn: ReadonlySet<string> = new Set([
  'CONTENT_LENGTH',
  'PATH_INFO',
  'PATH_TRANSLATED',
  'SCRIPT_FILENAME',
  'SCRIPT_NAME',
]);

/**
 * The request (RFC 3875 4.1, and what everybody adds to it); of it AUTH_TYPE, REMOTE_IDENT and REMOTE_USER say who asks,
 * and are not here.
 */
const requestsOwn: ReadonlySet<string> = new Set([
  ...handlersOwn,
  'CONTENT_TYPE',
  'DOCUMENT_ROOT',
  'DOCUMENT_URI',
  'GATEWAY_INTERFACE',
  'HTTP_CONTENT_LENGTH',
  'HTTP_CONTENT_TYPE',
  'HTTP_HOST',
  'HTTPS',
  'QUERY_STRING',
  'REMOTE_ADDR',
  'REMOTE_HOST',
  'REMOTE_PORT',
  'REQUEST_METHOD',
  'REQUEST_SCHEME',
  'REQUEST_URI',
]);

const requestsOwnFamilies = /^(?:FCGI|REDIRECT|SERVER)_/;

/** What makes a loader, an interpreter or a program run something else, or trust somebody else; by its first word ... */
const ofPrograms =
  /^(?:_?JAVA|BASH|BUNDLE|CURL|DOTNET|DYLD|GCONV|GEM|GIT|GLIBC|HG|LD|LUA|MALLOC|NODE|NPM|OPENSSL|PERL|PHP|PYTHON|R|RUBY|SSH|SSL|SUDO|SVN|TCL|XDG)(?:_|\d|$)/;
/** ... without a word's end ... */
const ofInterpreters = /^(?:BASH|JAVA|LESS|LUA|PERL|PHPRC|PYTHON|RUBY|SHELL)/;
/** ... by its last word ... */
const ofPaths =
  /(?:EDITOR|PAGER|PATH|(?:^|_)(?:ASKPASS|BROWSER|CMD|COMMAND|CONFIG|CONF|DIR|HOME|INIT|OPT|OPTIONS|OPTS|PRELOAD|PROGRAM|PROXY|SHELL|STARTUP|TMP|TEMP|VISUAL))$/;
/** ... and by their whole name. */
const ofShells: ReadonlySet<string> = new Set([
  'COMSPEC',
  'ENV',
  'HOSTALIASES',
  'IFS',
  'LOCALDOMAIN',
  'PATHEXT',
  'PROMPT_COMMAND',
  'PS4',
  'RES_OPTIONS',
  'SYSTEMROOT',
  'TERMCAP',
  'TERMINFO',
  'TMPDIR',
  'TZDIR',
  'WINDIR',
]);

/**
 * The variable that `Variable-NAME` sets: a `-` is a `_` there, since many cannot write a field name with the latter.
 * Undefined: it may not be set so.
 */
export function authorizedVariable(fieldName: string): string | undefined {
  const name = fieldName.replaceAll('-', '_');
  const upper = name.toUpperCase();
  const isFree =
    /^[A-Z_]\w*$/.test(upper) &&
    !requestsOwn.has(upper) &&
    !requestsOwnFamilies.test(upper) &&
    !ofPrograms.test(upper) &&
    !ofInterpreters.test(upper) &&
    !ofPaths.test(upper) &&
    !ofShells.has(upper);
  return isFree ? name : undefined;
}
