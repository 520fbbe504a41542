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
    }),
    {
      method: 'POST',
      url: '/a%20b.php/x?y=1',
      version: '1.0',
      fields: [
        ...['content-type', 'text/plain', 'content-length', '5'],
        ...['host', 'example.com', 'x-forwarded-for', '10.0.0.1'],
      ],
      secure: true,
      remoteAddress: '::1',
      remotePort: 4711,
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
    secure: false,
    remoteAddress: '',
    remotePort: 0,
  });
});
