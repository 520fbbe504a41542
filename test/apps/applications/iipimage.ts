import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Application } from '../application.ts';
import { accepts, startService } from '../services.ts';
import { commandOf } from '../system-files.ts';

const program = '/usr/lib/iipimage-server/iipsrv.fcgi';

export const application: Application = {
  title: 'IIPImage',
  packages: ['iipimage-server', 'imagemagick'],

  prepare(place) {
    const { folder } = place;
    commandOf(
      'convert',
      '-size',
      '1000x800',
      'gradient:red-blue',
      '-define',
      'tiff:tile-geometry=256x256',
      '-compress',
      'jpeg',
      `ptif:${folder}/image.tif`,
    );
    const env = { FILESYSTEM_PREFIX: `${folder}/`, LOGFILE: '/dev/null', MAX_CVT: '5000' };
    const socket = join(folder, 'iip.sock');
    return {
      fastway: {
        sources: { iip: { interpreter: [program], env } },
        virtualServers: [
          {
            documentRoot: folder,
            rules: [
              {
                match: { directory: '/iipsrv/iipsrv.fcgi' },
                handler: { type: 'fastcgi', source: 'iip', scriptAlias: program },
              },
            ],
          },
        ],
      },
      peer: {
        kind: 'nginx',
        source: "with fastcgi_pass for the path of Debian's mods-available/iipsrv.conf",
        start: () =>
          startService(
            place,
            ['sh', '-c', `umask 0; exec ${program} --bind ${socket}`],
            () => accepts(socket),
            { env },
          ),
        directives: () => `
location /iipsrv/iipsrv.fcgi {
  include /etc/nginx/fastcgi_params;
  fastcgi_pass unix:${socket};
}`,
      },
    };
  },

  async use(visitor) {
    const base = '/iipsrv/iipsrv.fcgi';
    visitor.step('what it says of the picture, in three protocols');
    const size = await visitor.ask(`${base}?FIF=image.tif&obj=IIP,1.0&obj=Max-size&obj=Tile-size`);
    assert.match(size.text, /Max-size:1000 800/);
    const info = await visitor.ask(`${base}?IIIF=image.tif/info.json`);
    assert.match(info.text, /"width" ?: ?1000/);
    const zoom = await visitor.ask(`${base}?DeepZoom=image.tif.dzi`);
    assert.match(zoom.text, /Width="1000"/);
    visitor.step('tiles, and the picture in other sizes');
    for (const query of [
      'FIF=image.tif&JTL=2,0',
      'DeepZoom=image.tif_files/10/0_0.jpg',
      'IIIF=image.tif/full/200,/0/default.jpg',
      'FIF=image.tif&WID=300&CVT=jpeg',
    ]) {
      const tile = await visitor.ask(`${base}?${query}`);
      assert.equal(tile.headers['content-type'], 'image/jpeg', query);
    }
    visitor.step('a picture that is not there (404)');
    const none = await visitor.ask(`${base}?FIF=none.tif&WID=300&CVT=jpeg`);
    assert.equal(none.status, 404);
  },

  // Debian's parameters for nginx give the host without its port.
  volatile: [/http:\/\/(?:HOST|127\.0\.0\.1)\//g],
};
