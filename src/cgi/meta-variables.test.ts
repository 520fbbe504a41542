import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MetaVariables, type MetaVariablesInput, type MetaVariablesOptions } from './meta-variables.ts';
import type { Script } from './script-path.ts';

const script: Script = {
  kind: 'script',
  scriptName: '/a b.php',
  scriptFilename: '/srv/www/a b.php',
  pathInfo: '/x',
  pathTranslated: '/srv/www/x',
  documentRoot: '/srv/www',
  localFilename: '/srv/www/a b.php',
};

const plain: MetaVariablesInput = {
  method: 'GET',
  version: '1.1',
  requestUri: '/a%20b.php/x?q=1',
  path: '/a b.php/x',
  query: 'q=1',
  fields: ['Host', 'Example.com:8080', 'Accept', '*/*'],
  authority: undefined,
  host: 'example.com',
  secure: false,
  remoteAddress: '192.0.2.7',
  remotePort: 4711,
  localAddress: '192.0.2.1',
  localPort: 8080,
  script,
  contentLength: undefined,
  redirectedFrom: undefined,
  redirectStatus: 200,
};

function createVariables(options: Partial<MetaVariablesOptions> = {}): MetaVariables {
  return new MetaVariables({
    env: new Map(),
    passRequestHeaders: true,
    serverSoftware: 'fastway/0.1.0',
    ...options,
  });
}

/** The variables by name; fails when a name comes twice. */
function build(
  input: Partial<MetaVariablesInput> = {},
  options: Partial<MetaVariablesOptions> = {},
  variables = createVariables(options),
): Record<string, string> {
  const flat = variables.build({ ...plain, ...input });
  const byName = new Map<string, string>();
  for (let i = 0; i < flat.length; i += 2) {
    assert.ok(!byName.has(flat[i]!), `${flat[i]} comes twice`);
    assert.equal(typeof flat[i + 1], 'string');
    byName.set(flat[i]!, flat[i + 1]!);
  }
  return Object.fromEntries(byName);
}

/** The HTTP_* variables of these fields. */
function fieldsOf(fields: string[], options: Partial<MetaVariablesOptions> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(build({ fields }, options)).filter(([name]) => name.startsWith('HTTP_')),
  );
}

test("what authorizers say: over the client's fields and ours, below the configuration (FastCGI 6.3)", () => {
  const authorized = [
    'REMOTE_USER',
    'ann',
    'HTTP_X_ROLE',
    'admin',
    'REMOTE_ADDR',
    '192.0.2.9',
    'TEAM',
    'red',
  ];
  const fields = ['Host', 'a', 'X-Role', 'root'];
  const variables = build({ authorized, fields }, { env: new Map([['TEAM', 'blue']]) });
  assert.equal(variables.REMOTE_USER, 'ann');
  assert.equal(variables.HTTP_X_ROLE, 'admin');
  assert.equal(variables.REMOTE_ADDR, '192.0.2.9');
  assert.equal(variables.TEAM, 'blue');
});

test('a field with _ passes when it is named, and its spelling with - does not: nobody can speak in its name', () => {
  const ignored: string[] = [];
  const options = { underscoreHeaders: ['api_key'], ignoredField: (name: string) => ignored.push(name) };
  const variables = createVariables(options);
  const fields = ['Host', 'a', 'Api_Key', 'right', 'Api-Key', 'wrong', 'x_other', '1', 'a.b', '2'];
  for (let round = 0; round < 2; round++) {
    const built = build({ fields }, {}, variables);
    assert.equal(built.HTTP_API_KEY, 'right');
    assert.equal(built.HTTP_X_OTHER, undefined);
  }
  // Once for each name.
  assert.deepEqual(ignored, ['Api-Key', 'x_other', 'a.b']);
  const few = build({ fields: ['API_KEY', 'right'] }, { ...options, passRequestHeaders: false });
  assert.equal(few.HTTP_API_KEY, 'right');
  const origin = variables.explain({ ...plain, fields }).find(({ name }) => name === 'HTTP_API_KEY')?.origin;
  assert.equal(origin, 'request field Api_Key');
  // What never passes does not by this spelling, either.
  const framing = { underscoreHeaders: ['transfer_encoding', 'proxy_connection'] };
  const hostile = build({ fields: ['Transfer_Encoding', 'chunked', 'proxy_connection', 'x'] }, framing);
  assert.deepEqual(
    Object.keys(hostile).filter((name) => /TRANSFER|PROXY/.test(name)),
    [],
  );
});

test('the file of a Filter: bytes, and whole seconds since 1970 (FastCGI 6.4)', () => {
  const { FCGI_DATA_LENGTH, FCGI_DATA_LAST_MOD } = build({
    data: { length: 12, modifiedMs: 1_700_000_000_900 },
  });
  assert.deepEqual([FCGI_DATA_LENGTH, FCGI_DATA_LAST_MOD], ['12', '1700000000']);
});

test('a plain request: complete, and nothing else', () => {
  assert.deepEqual(build(), {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: 'fastway/0.1.0',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_NAME: 'example.com',
    SERVER_PORT: '8080',
    SERVER_ADDR: '192.0.2.1',
    REMOTE_ADDR: '192.0.2.7',
    REMOTE_PORT: '4711',
    REQUEST_METHOD: 'GET',
    REQUEST_SCHEME: 'http',
    REQUEST_URI: '/a%20b.php/x?q=1',
    QUERY_STRING: 'q=1',
    DOCUMENT_ROOT: '/srv/www',
    DOCUMENT_URI: '/a b.php/x',
    SCRIPT_NAME: '/a b.php',
    SCRIPT_FILENAME: '/srv/www/a b.php',
    PATH_INFO: '/x',
    PATH_TRANSLATED: '/srv/www/x',
    REDIRECT_STATUS: '200',
    HTTP_HOST: 'Example.com:8080',
    HTTP_ACCEPT: '*/*',
  });
});

test('what is only there sometimes', () => {
  const variables = build({
    version: '1.0',
    method: 'POST',
    secure: true,
    contentLength: 0,
    fields: ['content-type', 'text/plain', 'CONTENT-LENGTH', '99'],
    redirectedFrom: { path: '/old', query: 'o' },
    redirectStatus: 404,
    script: { ...script, pathInfo: '', pathTranslated: undefined },
    remotePort: 0,
    localAddress: '',
  });
  assert.equal(variables.SERVER_PROTOCOL, 'HTTP/1.0');
  assert.equal(variables.HTTPS, 'on');
  assert.equal(variables.REQUEST_SCHEME, 'https');
  assert.equal(variables.CONTENT_TYPE, 'text/plain');
  assert.equal(variables.CONTENT_LENGTH, '0');
  assert.equal(variables.REDIRECT_URL, '/old');
  assert.equal(variables.REDIRECT_QUERY_STRING, 'o');
  assert.equal(variables.REDIRECT_STATUS, '404');
  assert.equal(variables.PATH_INFO, '');
  for (const name of [
    'HTTP_CONTENT_TYPE',
    'HTTP_CONTENT_LENGTH',
    'PATH_TRANSLATED',
    'REMOTE_PORT',
    'SERVER_ADDR',
  ]) {
    assert.ok(!(name in variables), name);
  }
  assert.ok(!('HTTPS' in build()));
  assert.equal(build({ fields: ['Authorization', 'x'] }).HTTP_AUTHORIZATION, 'x');
});

test('with a PATH_INFO nothing tells of a redirect: PHP would drop PATH_INFO and run PATH_TRANSLATED', () => {
  const redirected = build({ redirectedFrom: { path: '/old', query: '' } });
  assert.equal(redirected.PATH_INFO, '/x');
  assert.equal(redirected.PATH_TRANSLATED, '/srv/www/x');
  assert.ok(!('REDIRECT_URL' in redirected));
});

test('server name and port when the socket does not know them', () => {
  assert.equal(build({ host: '', localAddress: '::1' }).SERVER_NAME, '[::1]');
  assert.equal(build({ host: '', localAddress: '' }).SERVER_NAME, 'localhost');
  assert.equal(build({ host: '[::1]' }).SERVER_NAME, '[::1]');
  assert.equal(build({ localPort: 0 }).SERVER_PORT, '8080');
  assert.equal(build({ localPort: 0, fields: ['host', 'a'], secure: true }).SERVER_PORT, '443');
  assert.equal(build({ localPort: 0, fields: [] }).SERVER_PORT, '80');
  assert.equal(build({ localPort: 0, authority: 'a:81' }).SERVER_PORT, '81');
});

test('an absolute-form target takes the place of Host', () => {
  assert.equal(build({ fields: ['Host', 'b'], authority: 'a' }).HTTP_HOST, 'a');
  assert.equal(build({ fields: [], authority: 'a' }).HTTP_HOST, 'a');
});

test('field names become variables; `-` and `_` never meet (T2 to T4)', () => {
  assert.deepEqual(fieldsOf(['xx-yy123', 'foo', 'X-Forwarded-For', 'good', 'X_Forwarded_For', 'evil']), {
    HTTP_XX_YY123: 'foo',
    HTTP_X_FORWARDED_FOR: 'good',
  });
  assert.deepEqual(
    fieldsOf(['X.Dot', 'd', 'Content_Length', '99', 'User_Agent', 'x', 'a b', 'c', '\xe4', 'x', '', 'x']),
    {},
  );
  assert.deepEqual(fieldsOf(['__proto__', 'x', 'constructor', 'y']), { HTTP_CONSTRUCTOR: 'y' });
});

test('a field that is called like a variable is dropped, also when that variable is known already', () => {
  const fields = [
    'Host',
    'a',
    'Cookie',
    'b',
    'HTTP_HOST',
    'evil',
    'HTTP_COOKIE',
    'evil',
    'CONTENT_TYPE',
    'evil',
  ];
  const variables = createVariables();
  build({ fields: ['Content-Type', 'x', 'Host', 'a', 'Cookie', 'b'] }, {}, variables);
  const again = build({ fields }, {}, variables);
  assert.equal(again.HTTP_HOST, 'a');
  assert.equal(again.HTTP_COOKIE, 'b');
  assert.ok(!('CONTENT_TYPE' in again));
});

test('fields of one connection, of framing, and words of proxies and interpreters never pass', () => {
  for (const name of [
    'pRoXy',
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authorization',
    'TE',
    'Trailer',
    'Transfer-Encoding',
    'Upgrade',
    'HTTP2-Settings',
    'Content-Length',
    'X-Accel-Mapping',
    'X-Sendfile-Type',
  ]) {
    assert.deepEqual(fieldsOf([name, 'x']), {}, name);
  }
  const names = ['PHP-VALUE', 'SCRIPT-FILENAME', 'REMOTE-USER', 'REDIRECT-STATUS'];
  const variables = build({ fields: names.flatMap((name) => [name, 'evil']) });
  assert.equal(variables.HTTP_PHP_VALUE, 'evil');
  assert.equal(variables.SCRIPT_FILENAME, '/srv/www/a b.php');
  for (const name of ['PHP_VALUE', 'REMOTE_USER']) assert.ok(!(name in variables), name);
});

test('a repeated field is joined, Cookie with a semicolon; in any letter case', () => {
  assert.deepEqual(fieldsOf(['X-Foo', '1', 'Cookie', 'a=1', 'x-foo', '2', 'COOKIE', 'b=2', 'X-FOO', '3']), {
    HTTP_X_FOO: '1, 2, 3',
    HTTP_COOKIE: 'a=1; b=2',
  });
});

test('what one request brought is not in the next', () => {
  const variables = createVariables();
  build({ fields: ['X-Foo', '1', 'Cookie', 'a=1'] }, {}, variables);
  const next = build({ fields: ['x-foo', '2'] }, {}, variables);
  assert.equal(next.HTTP_X_FOO, '2');
  assert.ok(!('HTTP_COOKIE' in next));
});

test('Host, Authorization, Content-Type and Content-Length may come once', () => {
  const variables = createVariables();
  for (const name of ['Host', 'Authorization', 'Content-Type', 'Content-Length']) {
    assert.throws(
      () => variables.build({ ...plain, fields: [name, 'a', 'X', 'y', name.toLowerCase(), 'a'] }),
      { name: 'HttpRequestError', code: 'GW_ERR_HTTP_REQUEST', message: new RegExp(name.toLowerCase()) },
    );
    assert.equal(build({ fields: [name, 'a'] }, {}, variables).REQUEST_METHOD, 'GET');
  }
});

test('configured variables win, 20 times over', () => {
  const env = new Map([
    ['HTTP_FOO', 'configured'],
    ['HTTP_PROXY', 'http://proxy'],
    ['APP_ENV', 'production'],
    ['HTTPS', 'on'],
    ['SCRIPT_NAME', ''],
    ['HTTP_HOST', 'own'],
  ]);
  const variables = createVariables({ env });
  for (let i = 0; i < 20; i++) {
    const all = build(
      { fields: ['Foo', 'client', 'FOO', 'b', 'Proxy', 'evil', 'Host', 'x'], authority: 'y' },
      {},
      variables,
    );
    for (const [name, value] of env) assert.equal(all[name], value);
  }
  const simple = build({}, { env: new Map([['APP_ENV', 'production']]) });
  assert.equal(simple.APP_ENV, 'production');
});

test('passRequestHeaders off: only the well-known fields', () => {
  const known = [
    ...['Accept', 'Accept-Charset', 'Accept-Encoding', 'Accept-Language', 'Authorization', 'Cookie', 'Host'],
    ...['If-Modified-Since', 'If-None-Match', 'If-Range', 'Range', 'Referer', 'User-Agent'],
    ...['X-Forwarded-For', 'X-Forwarded-Host'],
  ];
  const fields = [...known, 'X-Foo', 'Origin'].flatMap((name) => [name, 'v']);
  const off = { passRequestHeaders: false };
  assert.deepEqual(
    Object.keys(fieldsOf(fields, off)).sort(),
    known.map((name) => `HTTP_${name.toUpperCase().replaceAll('-', '_')}`).sort(),
  );
  assert.equal(build({ fields: ['Content-Type', 'a/b'] }, off).CONTENT_TYPE, 'a/b');
});

test('a client with ever new names does not fill the memory', () => {
  const variables = createVariables();
  const name = 'x'.repeat(4000);
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 20_000; i++) {
    build({ fields: [`${name}-${i}`, 'v', `${name}-${i}`, 'w'] }, {}, variables);
  }
  collectGarbage();
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 32 * 1024 * 1024, `${grown} bytes`);
  assert.equal(build({ fields: ['X-Foo', '1', 'x-foo', '2'] }, {}, variables).HTTP_X_FOO, '1, 2');
});

test('explain: who decided each value', () => {
  const explained = createVariables({ env: new Map([['APP_ENV', 'x']]) }).explain({
    ...plain,
    fields: ['Host', 'a', 'x-foo', '1', 'Content-Type', 't'],
  });
  const origin = (name: string) => explained.find((variable) => variable.name === name)?.origin;
  assert.equal(origin('APP_ENV'), 'configuration');
  assert.equal(origin('HTTP_X_FOO'), 'request field x-foo');
  assert.equal(origin('CONTENT_TYPE'), 'request field Content-Type');
  assert.equal(origin('SCRIPT_NAME'), 'script path');
  assert.equal(origin('SERVER_PORT'), 'listener');
  assert.deepEqual(
    explained.filter((variable) => variable.origin === 'request'),
    [],
  );
});
