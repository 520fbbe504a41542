import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authorizedVariable } from './authorizer-variables.ts';

test('who asks, and what an application may be told about it, is for an Authorizer to say (FastCGI 6.3)', () => {
  const names =
    'REMOTE_USER REMOTE_IDENT AUTH_TYPE AUTH_METHOD HTTP_AUTHORIZATION HTTP_COOKIE HTTP_X_USER ACCOUNT _x GROUPS PATH_OF_LIFE ROLE';
  for (const name of names.split(' ')) assert.equal(authorizedVariable(name), name);
});

test('a minus is an underline, before anything is looked at', () => {
  assert.equal(authorizedVariable('X-A-B'), 'X_A_B');
  assert.equal(authorizedVariable('REMOTE-USER'), 'REMOTE_USER');
  assert.equal(authorizedVariable('PHP-ADMIN-VALUE'), undefined);
  assert.equal(authorizedVariable('ld-preload'), undefined);
});

test('what the request is stays as it is', () => {
  const names =
    'CONTENT_TYPE QUERY_STRING REMOTE_ADDR REMOTE_HOST REQUEST_METHOD REQUEST_URI SERVER_NAME SERVER_PORT SERVER_PROTOCOL HTTPS HTTP_HOST FCGI_ROLE REDIRECT_STATUS SCRIPT_FILENAME DOCUMENT_ROOT PATH_INFO';
  for (const name of names.split(' ')) assert.equal(authorizedVariable(name), undefined, name);
});

test('what makes programs run something else is nobody’s to set, in any case', () => {
  const names =
    'LD_PRELOAD LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES GIT_SSH_COMMAND GIT_DIR GIT_CONFIG_COUNT PATH PHPRC PHP_VALUE PHP_INI_SCAN_DIR HTTP_PROXY https_proxy ALL_PROXY BASH_ENV ENV IFS PS4 PERL5OPT PERL5LIB PYTHONPATH PYTHONSTARTUP RUBYOPT RUBYLIB NODE_OPTIONS NODE_PATH JAVA_TOOL_OPTIONS _JAVA_OPTIONS CLASSPATH LUA_INIT GCONV_PATH EDITOR VISUAL PAGER GIT_PAGER MANPAGER LESSOPEN SSH_ASKPASS HOME TMPDIR XDG_CONFIG_HOME OPENSSL_CONF SSL_CERT_FILE CURL_HOME R_PROFILE HGRCPATH SHELLOPTS HOSTALIASES SVN_SSH SUDO_ASKPASS';
  for (const name of names.split(' ')) {
    assert.equal(authorizedVariable(name), undefined, name);
    assert.equal(authorizedVariable(name.toLowerCase()), undefined, name);
  }
});

test('what is no name of a variable is none', () => {
  for (const name of ['', '1A', 'A B', 'A=B', 'Ä']) assert.equal(authorizedVariable(name), undefined);
});
