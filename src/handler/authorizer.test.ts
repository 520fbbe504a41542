import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { FakeRequest, type FakeRequestOptions } from '../../test/support/fake-request.ts';
import { ManualClock, turnsUntil } from '../../test/support/manual-clock.ts';
import { ScriptedSource } from '../../test/support/scripted-source.ts';
import { createFailover } from '../balancer/failover.ts';
import { SourceError } from '../base/errors.ts';
import { type AuthorizerOptions, createAuthorizer } from './authorizer.ts';
import { testHandler } from './handler.contract.ts';
import type { Handler, RoutedRequest } from './handler.ts';
import { createRedirectHandler } from './redirect.ts';

/** Keeps what it was given. */
class Recorder implements Handler {
  readonly requests: RoutedRequest[] = [];

  handle(request: RoutedRequest): void {
    this.requests.push(request);
  }

  explain() {
    return { action: 'file', path: '/srv/www/a' } as const;
  }
}

function setUp(options: Partial<AuthorizerOptions> = {}, next: Handler = new Recorder()) {
  const source = new ScriptedSource('auth');
  const clock = new ManualClock();
  const handler = createAuthorizer(
    {
      balancer: createFailover([{ source, weight: 1 }]),
      env: new Map(),
      cacheMs: 0,
      cacheKey: undefined,
      serverSoftware: 'fastway/test',
      clock,
      random: () => 0.5,
      spoolDir: tmpdir(),
      ...options,
    },
    next,
  );
  /** Asks, with a client of its own. */
  const send = (request: FakeRequestOptions = {}) => {
    const routed = new FakeRequest({ target: '/a/b?q=1', ...request });
    handler.handle(routed);
    return routed;
  };
  return { source, handler, next: next as Recorder, clock, send };
}

test('200 lets through, with Variable-* for the application and nothing else of the answer (FastCGI 6.3)', () => {
  const { source, next, send } = setUp();
  const request = send();
  source.last.print('Status: 200 OK\r\nVariable-AUTH_METHOD: database lookup\r\nSet-Cookie: a=b\r\n');
  source.last.print('variable-REMOTE_USER: ann\r\n\r\nwelcome');
  assert.equal(next.requests.length, 0, 'an answer counts when it is whole');
  source.last.end();
  assert.deepEqual(next.requests, [request]);
  assert.deepEqual(request.authorization!.variables, [
    'AUTH_METHOD',
    'database lookup',
    'REMOTE_USER',
    'ann',
  ]);
  assert.deepEqual(request.exchange.fields, []);
  assert.deepEqual(request.record, { source: undefined, tries: 0, user: 'ann' });
});

test('an answer without Status is 200', () => {
  const { source, next, send } = setUp();
  send();
  source.last.print('Variable-A: b\r\n\r\n');
  source.last.end();
  assert.equal(next.requests.length, 1);
});

test('anything else is the answer, head and body as generated', async () => {
  for (const status of ['401 Who are you', '302 Found', '204 No Content', '500 Broken', '201 Created']) {
    const { source, next, send } = setUp();
    const request = send();
    source.last.print(`Status: ${status}\r\nWWW-Authenticate: Basic\r\nLocation: /login\r\n\r\nlog in first`);
    source.last.end();
    await request.exchange.whenEnded();
    assert.equal(next.requests.length, 0);
    assert.equal(request.exchange.status, Number.parseInt(status, 10));
    assert.deepEqual(request.exchange.fields, ['WWW-Authenticate', 'Basic', 'Location', '/login']);
    assert.equal(request.exchange.body.toString(), status.startsWith('204') ? '' : 'log in first');
    assert.deepEqual(request.record, { source: 'auth', tries: 1 });
  }
});

test('closed when in doubt: failures, cut answers, exit statuses, silence', async () => {
  const cut = new SourceError('GW_ERR_SOURCE_CLOSED', 'cut', { delivery: 'maybe' });
  const failures = {
    502: [
      (source: ScriptedSource) => {
        source.last.print('Status: 200\r\nVariable-A: b\r\n\r\n');
        source.last.fail(cut);
      },
      (source: ScriptedSource) => {
        source.last.print('Status: 200\r\n\r\n');
        source.last.end(255);
      },
      (source: ScriptedSource) => {
        source.last.print('Status: 200\r\n');
        source.last.end();
      },
      (source: ScriptedSource) => source.last.end(),
      (source: ScriptedSource) => {
        source.last.print('no head\r\n\r\n');
      },
    ],
    503: [
      (source: ScriptedSource) =>
        source.last.fail(new SourceError('GW_ERR_SOURCE_CONNECT', 'refused', { delivery: 'unsent' })),
    ],
    504: [
      (source: ScriptedSource) =>
        source.last.fail(new SourceError('GW_ERR_SOURCE_READ_TIMEOUT', 'silent', { delivery: 'maybe' })),
    ],
  };
  for (const [status, plays] of Object.entries(failures)) {
    for (const play of plays) {
      const { source, next, clock, send } = setUp({ cacheMs: 1000 });
      const request = send();
      // The same source may be asked once more, after a moment.
      let asked = 0;
      await turnsUntil(() => {
        if (source.exchanges.length > asked) play(source);
        asked = source.exchanges.length;
        clock.advance(10);
        return request.exchange.ended;
      });
      assert.equal(request.exchange.status, Number(status), String(play));
      assert.equal(next.requests.length, 0, String(play));
    }
  }
});

test('it gets what is known of the request but the body and what only a script has', () => {
  const { source, send } = setUp({ env: new Map([['REALM', 'staff']]) });
  send({
    method: 'POST',
    bodyLength: 5,
    fields: [
      'Host',
      'site.test',
      'Content-Length',
      '5',
      'Content-Type',
      'text/plain',
      'Authorization',
      'Basic eA==',
    ],
  });
  const { variables, body, role } = source.last;
  assert.equal(role, 'Authorizer');
  assert.equal(body, undefined);
  for (const name of ['CONTENT_LENGTH', 'PATH_INFO', 'PATH_TRANSLATED', 'SCRIPT_NAME', 'SCRIPT_FILENAME']) {
    assert.equal(variables.has(name), false, name);
  }
  const expected = {
    REQUEST_METHOD: 'POST',
    REQUEST_URI: '/a/b?q=1',
    DOCUMENT_URI: '/a/b',
    QUERY_STRING: 'q=1',
    REMOTE_ADDR: '192.0.2.7',
    CONTENT_TYPE: 'text/plain',
    HTTP_AUTHORIZATION: 'Basic eA==',
    REALM: 'staff',
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(variables.get(name), value, name);
});

test('the body stays for the handler', () => {
  const { source, next, send } = setUp();
  const request = send({ method: 'POST', bodyLength: 5 });
  assert.equal(request.exchange.bodyReads, 0);
  source.last.print('Status: 200\r\n\r\n');
  source.last.end();
  assert.equal(next.requests[0]!.hasBody, true);
  assert.equal(request.exchange.bodyReads, 0);
});

test('a configured SCRIPT_FILENAME is for authorizers that run scripts', () => {
  const { source, send } = setUp({ env: new Map([['SCRIPT_FILENAME', '/srv/auth.php']]) });
  send();
  assert.equal(source.last.variables.get('SCRIPT_FILENAME'), '/srv/auth.php');
});

test('no Variable-* decides what runs, and badly named ones are left out', () => {
  const { source, send } = setUp();
  const request = send();
  for (const name of [
    'SCRIPT_FILENAME',
    'PHP_VALUE',
    'php_admin_value',
    'HTTP_PROXY',
    'X-A-B',
    '1A',
    'PHP-VALUE',
    'GIT_SSH_COMMAND',
    'REMOTE_ADDR',
    'LD_PRELOAD',
    'PERL5OPT',
    'Path',
    'GOOD',
    'PATH_OF_LIFE',
  ]) {
    source.last.print(`Variable-${name}: x\r\n`);
  }
  source.last.print('\r\n');
  source.last.end();
  assert.deepEqual(request.authorization!.variables, ['X_A_B', 'x', 'GOOD', 'x', 'PATH_OF_LIFE', 'x']);
  assert.equal(request.logged.length, 11);
  assert.equal(
    request.logged[0],
    'warn An authorizer may not set the variable SCRIPT_FILENAME; it was left out',
  );
});

test('several in a row: each must say 200, and hears what the ones before said', () => {
  const inner = setUp();
  const outer = setUp({}, inner.handler);
  const request = outer.send();
  assert.equal(inner.source.exchanges.length, 0);
  outer.source.last.print('Variable-A: 1\r\nVariable-B: 1\r\n\r\n');
  outer.source.last.end();
  assert.equal(inner.source.last.variables.get('A'), '1');
  inner.source.last.print('Variable-B: 2\r\nVariable-C: 2\r\n\r\n');
  inner.source.last.end();
  assert.deepEqual(inner.next.requests, [request]);
  assert.deepEqual(request.authorization!.variables, ['A', '1', 'B', '2', 'C', '2']);
});

test('nobody is asked twice for a directory and its index', () => {
  const { source, handler, next, send } = setUp();
  const request = send();
  source.last.print('Status: 200\r\n\r\n');
  source.last.end();
  handler.handle(request);
  assert.equal(source.exchanges.length, 1);
  assert.equal(next.requests.length, 2);
});

test('a client that leaves ends the question', () => {
  const { source, next, send } = setUp();
  const request = send();
  request.exchange.leave();
  assert.ok(source.last.aborted);
  source.last.print('Status: 200\r\n\r\n');
  source.last.end();
  assert.equal(next.requests.length, 0);
});

test('a 200 is remembered for as long as configured; what differs in any variable is another question', () => {
  const { source, next, clock, send } = setUp({ cacheMs: 1000 });
  const allow = () => {
    source.last.print('Variable-A: b\r\n\r\n');
    source.last.end();
  };
  send();
  allow();
  const again = send();
  assert.equal(source.exchanges.length, 1);
  assert.deepEqual(again.authorization!.variables, ['A', 'b']);
  assert.equal(next.requests.length, 2);
  send({ target: '/a/b?q=2' });
  send({ method: 'POST' });
  send({ fields: ['Host', 'site.test', 'Cookie', 'user=eve'] });
  assert.equal(source.exchanges.length, 4);
  clock.advance(1000);
  send();
  assert.equal(source.exchanges.length, 5);
});

test('a denial is not remembered', async () => {
  const { source, send } = setUp({ cacheMs: 1000 });
  for (let asked = 1; asked <= 2; asked++) {
    const request = send();
    assert.equal(source.exchanges.length, asked);
    source.last.print('Status: 403\r\n\r\n');
    source.last.end();
    await request.exchange.whenEnded();
  }
});

test('cacheKey names what the decision hangs on', () => {
  const { source, send } = setUp({ cacheMs: 1000, cacheKey: ['HTTP_COOKIE'] });
  const fields = ['Host', 'site.test', 'Cookie', 'user=ann'];
  send({ fields });
  source.last.print('Status: 200\r\n\r\n');
  source.last.end();
  send({ fields, target: '/other', method: 'POST' });
  assert.equal(source.exchanges.length, 1);
  send({ fields: ['Host', 'site.test', 'Cookie', 'user=eve'] });
  assert.equal(source.exchanges.length, 2);
  for (let asked = 3; asked <= 4; asked++) {
    // Without any of them nothing is known of who asks.
    send({ fields: ['Host', 'site.test'] });
    assert.equal(source.exchanges.length, asked);
    source.last.print('Status: 200\r\n\r\n');
    source.last.end();
  }
});

test('a request that has no one set of variables is refused before anybody is asked', async () => {
  for (const cacheMs of [0, 1000]) {
    const { source, next, send } = setUp({ cacheMs });
    const request = send({ fields: ['Host', 'a', 'Authorization', 'x', 'Authorization', 'y'] });
    await request.exchange.whenEnded();
    assert.equal(request.exchange.status, 400);
    assert.equal(source.exchanges.length + next.requests.length, 0);
  }
});

test('explain names whom it would ask, in order', () => {
  const inner = setUp();
  const outer = setUp({}, inner.handler);
  const auth = 'auth (tcp://192.0.2.1:9000)';
  assert.deepEqual(outer.handler.explain(new FakeRequest()), {
    action: 'file',
    path: '/srv/www/a',
    authorizers: [auth, auth],
  });
});

for (const says of ['Status: 200', 'Status: 403']) {
  testHandler(`authorizer that says ${says}`, () => {
    const source = new ScriptedSource('auth', (application) => {
      application.print(`${says}\r\nContent-Type: text/plain\r\n\r\n`);
      application.end();
    });
    const clock = new ManualClock();
    const { handler } = setUp(
      { balancer: createFailover([{ source, weight: 1 }]), clock },
      createRedirectHandler({ to: '/in', status: 302, internal: false }),
    );
    return {
      handler,
      answered: { target: '/a' },
      denies: says.endsWith('403'),
      asked: () => source.exchanges.length,
      pass: () => clock.advance(1),
    };
  });
}
