import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestFromVariables } from './request-head.ts';

const read = (variables: Record<string, string>) => requestFromVariables(new Map(Object.entries(variables)));

test('a request as a web server tells it', () => {
  assert.deepEqual(
    read({
      REQUEST_METHOD: 'POST',
      REQUEST_URI: '/a%20b.php/x?y=1',
      SCRIPT_NAME: '/a b.php',
      PATH_INFO: '/x',
      QUERY_STRING: 'y=1',
      SERVER_PROTOCOL: 'HTTP/1.0',
      CONTENT_TYPE: 'text/plain',
      CONTENT_LENGTH: '5',
      HTTP_HOST: 'example.com',
      HTTP_X_FORWARDED_FOR: '10.0.0.1',
      HTTP_CONTENT_LENGTH: '99',
      HTTPS: 'on',
      REMOTE_ADDR: '::1',
      REMOTE_PORT: '4711',
      SERVER_ADDR: '::2',
      SERVER_PORT: '443',
    }),
    {
      method: 'POST',
      url: '/a%20b.php/x?y=1',
      version: '1.0',
      fields: [
        ...['content-type', 'text/plain', 'content-length', '5'],
        ...['host', 'example.com', 'x-forwarded-for', '10.0.0.1'],
      ],
      bodyLength: 5,
      host: 'example.com',
      secure: true,
      remoteAddress: '::1',
      remotePort: 4711,
      localAddress: '::2',
      localPort: 443,
    },
  );
});

test('without REQUEST_URI the URL is made from the script and the rest', () => {
  assert.equal(read({ SCRIPT_NAME: '/a b', PATH_INFO: '/\xe4', QUERY_STRING: 'q=?' }).url, '/a%20b/%E4?q=?');
  assert.equal(read({ SCRIPT_NAME: '', PATH_INFO: '' }).url, '/');
});

test('nothing told: a plain GET', () => {
  assert.deepEqual(read({ CONTENT_TYPE: '', CONTENT_LENGTH: '', HTTPS: 'off' }), {
    method: 'GET',
    url: '/',
    version: '1.1',
    fields: [],
    bodyLength: undefined,
    host: '',
    secure: false,
    remoteAddress: '',
    remotePort: 0,
    localAddress: '',
    localPort: 0,
  });
});

test('what concerns the connection of the client is left out', () => {
  const fields = read({
    HTTP_CONNECTION: 'keep-alive',
    HTTP_TE: 'trailers',
    HTTP_EXPECT: '100-continue',
    HTTP_TRANSFER_ENCODING: 'chunked',
    HTTP_ACCEPT: '*/*',
    'HTTP_A B': 'no name of a field',
    HTTP_: '',
    CONTENT_LENGTH: '3',
  }).fields;
  assert.deepEqual(fields, ['content-length', '3', 'accept', '*/*']);
});

test('a body of unknown length is announced as chunked', () => {
  const { fields, bodyLength } = read({ HTTP_TRANSFER_ENCODING: 'chunked', CONTENT_LENGTH: '' });
  assert.deepEqual(fields, ['transfer-encoding', 'chunked']);
  assert.equal(bodyLength, undefined);
});

test('the host is the one asked for, else the server', () => {
  assert.equal(read({ HTTP_HOST: 'a:81', SERVER_NAME: 'b', SERVER_PORT: '80' }).host, 'a:81');
  assert.equal(read({ SERVER_NAME: 'b', SERVER_PORT: '80' }).host, 'b:80');
  assert.equal(read({ SERVER_NAME: '::1', SERVER_PORT: '80' }).host, '[::1]:80');
});

test('OPTIONS * keeps its asterisk', () => {
  assert.equal(read({ REQUEST_METHOD: 'OPTIONS', REQUEST_URI: '*' }).url, '*');
});

test('names that are kept for the next request stay few and right', () => {
  const names = new Map<string, string | undefined>();
  for (let i = 0; i < 2000; i++) {
    const { fields } = requestFromVariables(new Map([[`HTTP_X_${i}`, 'v']]), names);
    assert.deepEqual(fields, [`x-${i}`, 'v']);
  }
  assert.equal(names.size, 500);
});
