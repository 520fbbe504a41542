import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeExchange, type FakeExchangeOptions } from '../../test/support/fake-exchange.ts';
import { fakeSite } from '../../test/support/fake-request.ts';
import { compileWritten } from '../../test/support/match.ts';
import { type Log, type LogFields, logLevels } from '../base/log.ts';
import { MetricRegistry } from '../base/metrics.ts';
import { createErrorHandler } from '../handler/error.ts';
import type { Handler, RoutedRequest } from '../handler/handler.ts';
import { createRedirectHandler } from '../handler/redirect.ts';
import { AddressSet } from '../http/address-set.ts';
import type { RequestHead } from '../http/message.ts';
import type { AccessLog } from './access-log.ts';
import type { AccessLogEntry } from './access-log-line.ts';
import { RequestMetrics } from './request-metrics.ts';
import { Router } from './router.ts';
import type { Rule } from './rule.ts';
import type { VirtualServer } from './virtual-server.ts';

/** Answers with what `tell` sees of the request. */
function teller(tell: (request: RoutedRequest) => string, seen: RoutedRequest[] = []): Handler {
  return {
    handle(request) {
      seen.push(request);
      request.reply.respond(request.errorPage?.status ?? 200, '', []);
      request.reply.end(Buffer.from(tell(request), 'latin1'));
    },
    explain: (request) => ({ action: 'file', path: request.target.path }),
  };
}

const path = teller((request) => request.target.path);

function rule(handler: Handler, match: Rule['match'] = compileWritten(undefined)): Rule {
  return { match, handler, description: 'a rule' };
}

function server(rules: readonly Rule[], changes: Partial<VirtualServer> = {}): VirtualServer {
  return { hosts: ['*'], site: fakeSite(), rules, accessLog: undefined, ...changes };
}

class Setup {
  readonly logged: string[] = [];
  readonly router: Router;

  constructor(virtualServers: readonly VirtualServer[], trusted?: AddressSet, metrics?: RequestMetrics) {
    const proxies = trusted && {
      trusted,
      field: 'x-forwarded-for',
      protoField: 'x-forwarded-proto',
      hostField: undefined,
      portField: undefined,
    };
    const log = Object.fromEntries(
      logLevels.map((level) => [
        level,
        (message: string, fields: LogFields = {}): void => {
          this.logged.push(`${level} ${fields.request} ${fields.code} ${message}`);
        },
      ]),
    ) as Log;
    let nowMs = 1_000_000;
    const now = () => {
      nowMs += 5;
      return nowMs;
    };
    this.router = new Router({ virtualServers, proxies, log, now, idPrefix: 'x', metrics });
  }

  ask(
    target: string,
    options: FakeExchangeOptions & { readonly head?: object } = {},
  ): FakeExchange & { closes: boolean } {
    const exchange = Object.assign(new FakeExchange({ ...options, target }), { closes: false });
    Object.assign(exchange.request, options.head);
    exchange.closeAfterAnswer = () => {
      exchange.closes = true;
    };
    this.router.handle(exchange);
    return exchange;
  }
}

const rules = (...list: Rule[]) => new Setup([server(list)]);

test('the first rule that matches answers, with what its match found', () => {
  const told = teller(({ directory, captures, extensions }) =>
    JSON.stringify([directory, captures, extensions]),
  );
  const { ask } = bind(
    rules(
      rule(told, compileWritten({ directory: '/a', request: 'b(.)', extensions: ['php'] })),
      rule(path, compileWritten({ directory: '/a' })),
    ),
  );
  assert.equal(ask('/a/bc.php').body.toString(), '["/a",["bc","c"],["php"]]');
  assert.equal(ask('/a/x').body.toString(), '/a/x');
});

test('no rule: 404, or whoever comes next', () => {
  const setup = rules(rule(path, compileWritten({ path: '/a' })));
  assert.equal(setup.ask('/b').status, 404);
  const exchange = new FakeExchange({ target: '/b' });
  let next = 0;
  setup.router.handle(exchange, () => next++);
  assert.deepEqual([next, exchange.headSent], [1, false]);
});

test('virtual server by host: lower case, without port, the absolute form wins (T15)', () => {
  const host = teller((request) => `${request.site.name} ${request.host}`);
  const site = (name: string, ...hosts: string[]) =>
    server([rule(host)], { hosts, site: fakeSite({ name }) });
  const { ask } = bind(new Setup([site('one', '*'), site('two', 'two.test'), site('six', '[::1]')]));
  const asked = (target: string, ...fields: string[]) => ask(target, { fields }).body.toString();
  assert.equal(asked('/', 'Host', 'TWO.test:81'), 'two two.test');
  assert.equal(asked('/', 'Host', 'other'), 'one other');
  assert.equal(asked('/', 'Host', '[::1]:80'), 'six [::1]');
  assert.equal(asked('http://two.test/', 'Host', 'other'), 'two two.test');
  assert.equal(ask('/', { fields: [], head: { version: '1.0' } }).body.toString(), 'one ');
});

test('what is wrong with a head or target is answered and ends the connection', () => {
  const { ask, logged } = bind(rules(rule(path)));
  const status = (target: string, options: Parameters<Setup['ask']>[1] = {}) => {
    const { status, closes } = ask(target, options);
    return [status, closes];
  };
  assert.deepEqual(status('/%00'), [400, true]);
  assert.deepEqual(status('/a#b'), [400, true]);
  assert.deepEqual(status('/../x'), [400, true]);
  assert.deepEqual(status('/', { fields: ['Host', 'a b"<>'] }), [400, true]);
  assert.deepEqual(status('/', { fields: ['Host', 'a', 'Host', 'a'] }), [400, true]);
  assert.deepEqual(status('/', { head: { version: '2.0' } }), [505, true]);
  assert.deepEqual(status('/', { fields: ['Host', 'a', 'Transfer-Encoding', 'gzip, chunked'] }), [501, true]);
  assert.deepEqual(status('/', { fields: ['Host', 'a', ...Array<string>(258).fill('x')] }), [431, true]);
  assert.deepEqual(status('*', { method: 'GET' }), [400, true]);
  assert.deepEqual(status('/a%2f..%2fb'), [404, false]);
  assert.equal(logged.length, 10);
  assert.match(logged[0]!, /^info x0 GW_ERR_HTTP_TARGET Request-target "\/%00" /);
});

test('all who wait for the end of the last request hear of it, and again the next time', async () => {
  const under: RoutedRequest[] = [];
  const handler: Handler = {
    handle: (request) => void under.push(request),
    explain: (request) => ({ action: 'file', path: request.target.path }),
  };
  const answer = () => {
    const { reply } = under.pop()!;
    reply.respond(204, 'No Content', []);
    reply.end();
  };
  const setup = rules(rule(handler));
  const { router } = setup;
  await router.idle();
  for (let round = 0; round < 2; round++) {
    setup.ask('/');
    setup.ask('/');
    let idle = 0;
    const waits = [router.idle(), router.idle()].map((wait) => wait.then(() => idle++));
    answer();
    await Promise.resolve();
    assert.equal(idle, 0);
    answer();
    await Promise.all(waits);
    assert.equal(idle, 2);
  }
});

test('OPTIONS * is answered without a rule', () => {
  const exchange = rules(rule(createErrorHandler(403))).ask('*', { method: 'OPTIONS' });
  assert.deepEqual([exchange.status, exchange.ended], [204, true]);
  assert.ok(exchange.field('allow'));
});

test('trusted proxies are believed', () => {
  const client = teller(({ client }) => `${client.address} ${client.secure}`);
  const { ask } = bind(new Setup([server([rule(client)])], new AddressSet(['192.0.2.7'])));
  const fields = ['Host', 'a', 'X-Forwarded-For', '203.0.113.1', 'X-Forwarded-Proto', 'https'];
  assert.equal(ask('/', { fields }).body.toString(), '203.0.113.1 true');
});

test('an internal redirect runs the rules again; method, body and the first target stay', () => {
  const seen: RoutedRequest[] = [];
  const setup = rules(
    rule(
      createRedirectHandler({ to: '/new?b=2', status: 302, internal: true }),
      compileWritten({ path: '/old' }),
    ),
    rule(teller((request) => `${request.target.path}?${request.target.query}`, seen)),
  );
  const exchange = setup.ask('/old?a=1', { method: 'POST', bodyLength: 3 });
  assert.equal(exchange.body.toString(), '/new?b=2&a=1');
  const [request] = seen;
  assert.deepEqual(
    [request!.method, request!.hasBody, request!.redirectedFrom?.path],
    ['POST', true, '/old'],
  );
  assert.equal(request!.exchange.request.target, '/old?a=1');
});

test('a redirect that does not keep the method is a GET without body; an error page keeps its status', () => {
  const seen: RoutedRequest[] = [];
  const site = fakeSite({ errorPages: new Map([[403, '/sorry.html']]) });
  const setup = new Setup([
    server(
      [
        rule(createErrorHandler(403), compileWritten({ directory: '/secret' })),
        rule(teller((request) => `sorry ${request.method} ${request.hasBody}`, seen)),
      ],
      { site },
    ),
  ]);
  const exchange = setup.ask('/secret', { method: 'POST', bodyLength: 3 });
  assert.deepEqual([exchange.status, exchange.body.toString()], [403, 'sorry GET false']);
  assert.equal(seen[0]!.redirectedFrom?.path, '/secret');
});

test('an index is the directory and the name, without a redirect in sight', () => {
  const seen: RoutedRequest[] = [];
  const index: Handler = {
    handle: (request) => request.serveIndex('in dex.php'),
    explain: () => ({ action: 'index', name: 'in dex.php' }),
  };
  const setup = rules(
    rule(index, (input) => (input.target.path.endsWith('/') ? compileWritten(undefined)(input) : undefined)),
    rule(teller((request) => `${request.target.path} ${request.target.query}`, seen)),
  );
  assert.equal(setup.ask('/a/?q=1').body.toString(), '/a/in dex.php q=1');
  assert.equal(seen[0]!.redirectedFrom, undefined);
});

test('T67: the eleventh internal redirect is a 500', () => {
  let runs = 0;
  const loop: Handler = {
    handle(request) {
      runs++;
      request.redirect('/again', { keepMethod: true });
    },
    explain: () => ({ action: 'rewrite', to: '/again' }),
  };
  const setup = rules(rule(loop));
  const exchange = setup.ask('/');
  assert.deepEqual([exchange.status, runs], [500, 11]);
  assert.match(setup.logged[0]!, /GW_ERR_CGI_REDIRECT_LOOP/);
  const steps = setup.router.explain(exchange.request);
  assert.equal(steps.length, 12);
  assert.equal(steps.at(-1)!.explanation.action, 'error');
});

test('an error page that cannot be reached is asked for once, and our own tells the error', () => {
  const pageOf = (status: number, page: string, handler: Handler) => {
    const errorPages = new Map([[status, page]]).set(500, page);
    return new Setup([server([rule(handler)], { site: fakeSite({ errorPages }) })]);
  };
  const loop = createRedirectHandler({ to: '/again', status: 302, internal: true });
  for (const [setup, status] of [
    [pageOf(404, '/%zz', createErrorHandler(404)), 404],
    [pageOf(500, '/500.html', loop), 500],
  ] as const) {
    const exchange = setup.ask('/');
    assert.deepEqual([exchange.status, exchange.ended], [status, true]);
    assert.match(exchange.body.toString(), new RegExp(`<title>${status} `));
    assert.ok(setup.logged.length <= 2, `${setup.logged.length} lines`);
  }
});

test("a handler that throws is a 500, or a cut once the head is sent; a bad redirect is the configuration's fault", () => {
  const bug = (early: boolean): Handler => ({
    handle(request) {
      if (!early) request.reply.respond(200, '', []);
      throw new Error('a bug');
    },
    explain: () => ({ action: 'file', path: '' }),
  });
  const setup = rules(
    rule(bug(true), compileWritten({ path: '/early' })),
    rule(bug(false), compileWritten({ path: '/late' })),
    rule(createRedirectHandler({ to: 'no path', status: 302, internal: true })),
  );
  assert.equal(setup.ask('/early').status, 500);
  const late = setup.ask('/late');
  assert.deepEqual([late.status, late.wasCut], [200, true]);
  assert.equal(setup.ask('/bad').status, 500);
  assert.match(setup.logged[0]!, /^error x0 GW_ERR_INTERNAL .*a bug$/);
});

test("each exchange is one line in its virtual server's access log", () => {
  const lines: AccessLogEntry[] = [];
  const accessLog = { write: (entry: AccessLogEntry) => lines.push(entry) } as unknown as AccessLog;
  const setup = new Setup([server([rule(path)], { accessLog })]);
  setup.ask('/a');
  setup.ask('/%00');
  assert.deepEqual(
    lines.map(({ id, exchange, host, durationMs }) => [id, exchange.reply.status, host, durationMs]),
    [
      ['x0', 200, 'site.test', 5],
      ['x1', 400, '', 5],
    ],
  );
});

test('requests are counted for their virtual server, and in flight until they end or somebody else has them', () => {
  const registry = new MetricRegistry();
  const metrics = new RequestMetrics(registry);
  const later: RoutedRequest[] = [];
  const handler: Handler = {
    handle: (request) => later.push(request),
    explain: (request) => ({ action: 'file', path: request.target.path }),
  };
  const add = (name: string, ...hosts: string[]) =>
    server([rule(handler, compileWritten({ directory: '/later' }))], {
      hosts,
      site: fakeSite({ name }),
      meter: metrics.meterOf(name),
    });
  const setup = new Setup([add('one', '*'), add('two', 'two.test')], undefined, metrics);
  const lines = (pattern: RegExp) =>
    registry.print('text').match(new RegExp(`^fastway_http_${pattern.source}.* [^0].*$`, 'gm'));

  setup.ask('/later');
  const leaving = setup.ask('/later', { fields: ['Host', 'two.test'] });
  const cut = setup.ask('/later', { method: 'BREW' });
  setup.router.handle(new FakeExchange({ target: '/else' }), () => {});
  setup.router.explain(new FakeExchange({ target: '/later' }).request as RequestHead);
  assert.equal(metrics.inFlight, 3);
  later[0]!.reply.respond(200, '', []);
  later[0]!.reply.end(Buffer.from('hello'));
  leaving.leave();
  cut.respond(200, '', []);
  cut.cut();
  assert.equal(setup.ask('/%00').status, 400);
  assert.equal(metrics.inFlight, 0);
  assert.deepEqual(lines(/requests_total/), [
    'fastway_http_requests_total{server="one",method="GET",status="2xx"} 1',
    'fastway_http_requests_total{server="one",method="GET",status="4xx"} 1',
    'fastway_http_requests_total{server="one",method="other",status="2xx"} 1',
    'fastway_http_requests_total{server="two",method="GET",status="499"} 1',
  ]);
  assert.deepEqual(lines(/(client_aborts|cut_answers|errors)_total/), [
    'fastway_http_client_aborts_total{server="two"} 1',
    'fastway_http_cut_answers_total{server="one"} 1',
    'fastway_http_errors_total{code="GW_ERR_HTTP_TARGET"} 1',
  ]);
});

test('explain says which rule, follows rewrites, and refuses as handle would', () => {
  const setup = rules(
    rule(createRedirectHandler({ to: '/b', status: 302, internal: true }), compileWritten({ path: '/a' })),
    rule(path, compileWritten({ path: '/b' })),
  );
  const explain = (target: string) =>
    setup.router.explain(new FakeExchange({ target }).request as RequestHead);
  assert.deepEqual(
    explain('/a').map(({ ruleIndex, virtualServer, target, explanation }) => [
      ruleIndex,
      virtualServer,
      target.path,
      explanation.action,
    ]),
    [
      [0, 'default', '/a', 'rewrite'],
      [1, 'default', '/b', 'file'],
    ],
  );
  assert.deepEqual(explain('/c')[0]!.explanation, {
    action: 'error',
    status: 404,
    reason: 'No rule of default matches',
  });
  assert.equal((explain('/%00')[0]!.explanation as { status: number }).status, 400);
});

function bind(setup: Setup): { ask: Setup['ask']; logged: string[] } {
  return { ask: setup.ask.bind(setup), logged: setup.logged };
}

test('what authorizers said stays with a request; another target is another question, an index is not', () => {
  const allowing = (by: object, next: (request: RoutedRequest) => void): Handler => ({
    handle(request) {
      request.authorization = { variables: ['USER', 'ann'], by: [by] };
      next(request);
    },
    explain: (request) => ({ action: 'file', path: request.target.path }),
  });
  const [redirecting, indexing] = [{}, {}];
  const told = teller(({ authorization }) =>
    [...authorization!.variables, authorization!.by.includes(indexing), authorization!.by.length].join(' '),
  );
  const { ask } = bind(
    rules(
      rule(
        allowing(redirecting, (request) => request.redirect('/new', { keepMethod: true })),
        compileWritten({ path: '/old' }),
      ),
      rule(
        allowing(indexing, (request) => request.serveIndex('index.html')),
        compileWritten({ path: '/' }),
      ),
      rule(told),
    ),
  );
  assert.equal(ask('/old').body.toString(), 'USER ann false 0');
  assert.equal(ask('/').body.toString(), 'USER ann true 1');
});
