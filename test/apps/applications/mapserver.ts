import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';

const program = '/usr/lib/cgi-bin/mapserv';

const map = `MAP
  NAME "test"
  SIZE 400 300
  EXTENT -180 -90 180 90
  PROJECTION "init=epsg:4326" END
  WEB
    METADATA
      "ows_title" "A test"
      "ows_enable_request" "*"
      "ows_srs" "EPSG:4326"
    END
  END
  LAYER
    NAME "field"
    TYPE POLYGON
    STATUS DEFAULT
    PROJECTION "init=epsg:4326" END
    METADATA "ows_title" "A field" END
    FEATURE POINTS -90 -45 90 -45 90 45 -90 45 -90 -45 END END
    CLASS STYLE COLOR 200 80 40 END END
  END
END
`;

export const application: Application = {
  title: 'MapServer',
  packages: ['cgi-mapserver'],

  prepare({ folder }) {
    writeFileSync(join(folder, 'test.map'), map);
    const settings = join(folder, 'mapserver.conf');
    writeFileSync(
      settings,
      `CONFIG\n  ENV\n    MS_MAP_PATTERN "^${folder}/[a-z]+\\.map$"\n  END\n  MAPS\n    TEST "${folder}/test.map"\n  END\nEND\n`,
    );
    return {
      fastway: {
        sources: { mapserver: { interpreter: [program], env: { MAPSERVER_CONFIG_FILE: settings } } },
        virtualServers: [
          {
            documentRoot: folder,
            rules: [
              {
                match: { directory: '/cgi-bin/mapserv' },
                handler: { type: 'fastcgi', source: 'mapserver', scriptAlias: program },
              },
            ],
          },
        ],
      },
      peer: {
        kind: 'Apache',
        source: "with MapServer as a CGI program below Debian's ScriptAlias /cgi-bin/",
        directives: () => `
SetEnv MAPSERVER_CONFIG_FILE ${settings}
DocumentRoot ${folder}
ScriptAlias /cgi-bin/ /usr/lib/cgi-bin/
<Directory "/usr/lib/cgi-bin">
  AllowOverride None
  Options +ExecCGI -MultiViews +FollowSymLinks
  Require all granted
</Directory>`,
      },
    };
  },

  async use(visitor) {
    const base = '/cgi-bin/mapserv?map=TEST';
    visitor.step('a map as a picture');
    const picture = await visitor.ask(`${base}&mode=map&layers=field`);
    assert.equal(picture.headers['content-type'], 'image/png');
    visitor.step('WMS: capabilities, a map, a query of a point');
    const wms = `${base}&SERVICE=WMS&VERSION=1.3.0`;
    const capabilities = await visitor.ask(`${wms}&REQUEST=GetCapabilities`);
    assert.match(capabilities.text, /A field/);
    const view =
      'LAYERS=field&STYLES=&CRS=EPSG:4326&BBOX=-90,-180,90,180&WIDTH=400&HEIGHT=200&FORMAT=image/png';
    const tile = await visitor.ask(`${wms}&REQUEST=GetMap&${view}`);
    assert.equal(tile.headers['content-type'], 'image/png');
    await visitor.ask(
      `${wms}&REQUEST=GetFeatureInfo&${view}&QUERY_LAYERS=field&I=10&J=10&INFO_FORMAT=text/plain`,
    );
    visitor.step('the same as a form (POST), and what is not there');
    const posted = await visitor.ask('/cgi-bin/mapserv', {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: 'map=TEST&mode=map&layers=field',
    });
    assert.equal(posted.headers['content-type'], 'image/png');
    await visitor.ask('/cgi-bin/mapserv?map=NONE&mode=map');
  },

  volatile: [/fastway-test-\w+/g],
};
