import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';
import { accepts, startService } from '../services.ts';
import { giveToWeb } from '../system-files.ts';

const script = '/usr/share/radicale/radicale.wsgi';

const event = `BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:käse@example.org
DTSTAMP:20200202T020202Z
DTSTART:20200203T100000Z
DTEND:20200203T110000Z
SUMMARY:Käse & Brot
END:VEVENT
END:VCALENDAR
`.replaceAll('\n', '\r\n');

export const application: Application = {
  title: 'Radicale',
  packages: ['radicale', 'uwsgi-core', 'uwsgi-plugin-python3'],

  prepare(place) {
    const { folder } = place;
    const collections = join(folder, 'collections');
    mkdirSync(collections);
    giveToWeb(collections);
    const settings = join(folder, 'config');
    writeFileSync(join(folder, 'users'), 'ann:secret\n');
    writeFileSync(
      settings,
      `[auth]\ntype = htpasswd\nhtpasswd_filename = ${folder}/users\nhtpasswd_encryption = plain\ndelay = 0\n[storage]\nfilesystem_folder = ${collections}\n`,
    );
    const uwsgi = ['uwsgi', '--plugin', 'python3', '--wsgi-file', script, '--threads', '4'];
    const socket = join(folder, 'uwsgi.sock');
    return {
      fastway: {
        sources: {
          radicale: {
            interpreter: [...uwsgi, '--fastcgi-socket', '{path}'],
            env: { RADICALE_CONFIG: settings },
          },
        },
        virtualServers: [
          {
            documentRoot: '/usr/share/radicale',
            rules: [{ handler: { type: 'fastcgi', source: 'radicale', checkFile: false } }],
          },
        ],
      },
      peer: {
        kind: 'Apache',
        source: "with mod_proxy_uwsgi as Debian's conf-available/radicale-uwsgi.conf",
        start: () =>
          startService(
            place,
            [
              ...uwsgi,
              '--uwsgi-socket',
              socket,
              '--chmod-socket=666',
              ...(process.getuid!() === 0 ? ['--uid=www-data', '--gid=www-data'] : []),
            ],
            () => accepts(socket),
            { env: { RADICALE_CONFIG: settings } },
          ),
        directives: () => `
LoadModule proxy_uwsgi_module /usr/lib/apache2/modules/mod_proxy_uwsgi.so
<LocationMatch "^(?!/.well-known/acme-challenge).*">
  ProxyPass        unix:${socket}|uwsgi://radicale
  ProxyPassReverse unix:${socket}|uwsgi://radicale
</LocationMatch>`,
      },
    };
  },

  async use(visitor) {
    const Authorization = `Basic ${Buffer.from('ann:secret').toString('base64')}`;
    const send = (method: string, path: string, body?: string, more: Record<string, string> = {}) =>
      visitor.ask(path, {
        method,
        headers: { Authorization, 'Content-Type': 'application/xml', ...more },
        body,
      });
    visitor.step('its own pages');
    await visitor.page('/.web/');
    visitor.step('asks without a password (401)');
    const refused = await visitor.ask('/ann/', { method: 'PROPFIND' });
    assert.equal(refused.status, 401);
    assert.match(String(refused.headers['www-authenticate']), /^Basic/);
    visitor.step('makes a calendar (MKCALENDAR)');
    const options = await send('OPTIONS', '/ann/');
    assert.match(String(options.headers.dav), /calendar-access/);
    const home = await send('PROPFIND', '/ann/', undefined, { Depth: '1' });
    assert.equal(home.status, 207);
    const made = await send(
      'MKCALENDAR',
      '/ann/calendar/',
      '<C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop><D:displayname>Käse</D:displayname></D:prop></D:set></C:mkcalendar>',
    );
    assert.equal(made.status, 201);
    visitor.step('puts an event whose name has a space, a slash and umlauts, and gets it');
    const path = '/ann/calendar/k%C3%A4se%20%2Bone.ics';
    const put = await send('PUT', path, event, { 'Content-Type': 'text/calendar', 'If-None-Match': '*' });
    assert.equal(put.status, 201);
    const got = await send('GET', path);
    assert.match(got.text, /Käse & Brot/);
    visitor.step('asks for all events (REPORT), and changes the calendar (PROPPATCH)');
    const report = await send(
      'REPORT',
      '/ann/calendar/',
      '<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/><C:calendar-data/></D:prop><C:filter><C:comp-filter name="VCALENDAR"/></C:filter></C:calendar-query>',
      { Depth: '1' },
    );
    assert.equal(report.status, 207);
    assert.match(report.text, /Käse/);
    const patch = await send(
      'PROPPATCH',
      '/ann/calendar/',
      '<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><D:displayname>Brot</D:displayname></D:prop></D:set></D:propertyupdate>',
    );
    assert.equal(patch.status, 207);
    visitor.step('moves and deletes it');
    const moved = await send('MOVE', path, undefined, {
      Destination: `${visitor.origin}/ann/calendar/other.ics`,
    });
    assert.equal(moved.status, 201);
    const deleted = await send('DELETE', '/ann/calendar/other.ics', undefined, {
      'If-Match': got.headers.etag!,
    });
    assert.equal(deleted.status, 200);
    const gone = await send('GET', '/ann/calendar/other.ics');
    assert.equal(gone.status, 404);
    visitor.step('downloads the calendar');
    await send('GET', '/ann/calendar/');
    const head = await send('HEAD', '/ann/calendar/');
    assert.equal(head.body.length, 0);
  },

  volatile: [/[0-9a-f]{32,}/g],
};
