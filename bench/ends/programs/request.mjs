/** What every client of the bench asks for. */

/** Bytes of a POST's body. */
export const upload = Buffer.alloc(4096, 'u');

/** As a web server tells them, for each load. */
export const variables = {
  page: describe('/index.php', { REQUEST_METHOD: 'GET' }),
  post: describe('/index.php', { REQUEST_METHOD: 'POST', CONTENT_LENGTH: String(upload.length) }),
  file: describe('/stream.php', { REQUEST_METHOD: 'GET' }),
};

function describe(script, more) {
  return {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: 'bench',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_NAME: 'localhost',
    SERVER_ADDR: '127.0.0.1',
    SERVER_PORT: '80',
    REMOTE_ADDR: '127.0.0.1',
    REMOTE_PORT: '54321',
    REQUEST_SCHEME: 'http',
    QUERY_STRING: '',
    REDIRECT_STATUS: '200',
    HTTP_HOST: 'localhost',
    HTTP_USER_AGENT: 'bench',
    SCRIPT_NAME: script,
    REQUEST_URI: script,
    SCRIPT_FILENAME: `/srv/www${script}`,
    DOCUMENT_ROOT: '/srv/www',
    ...more,
  };
}
