import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Application } from '../application.ts';
import { accepts, startService } from '../services.ts';
import { giveToWeb } from '../system-files.ts';

const program = '/usr/lib/cgi-bin/qgis_mapserv.fcgi';

const field = {
  type: 'FeatureCollection',
  features: [
    {
      type: 'Feature',
      properties: { name: 'Käse & Brot' },
      geometry: {
        type: 'Polygon',
        coordinates: [
          [
            [-90, -45],
            [90, -45],
            [90, 45],
            [-90, 45],
            [-90, -45],
          ],
        ],
      },
    },
  ],
};

/** Ids of ten characters and less are not read. */
const layer = 'field_20200202020202';

const project = `<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis projectname="A test" version="3.22.16">
  <title>A test</title>
  <projectCrs><spatialrefsys><authid>EPSG:4326</authid></spatialrefsys></projectCrs>
  <layer-tree-group>
    <layer-tree-layer id="${layer}" name="field" checked="Qt::Checked" providerKey="ogr" source="./field.geojson"/>
  </layer-tree-group>
  <projectlayers>
    <maplayer type="vector" geometry="Polygon">
      <id>${layer}</id>
      <datasource>./field.geojson</datasource>
      <layername>field</layername>
      <title>A field</title>
      <srs><spatialrefsys><authid>EPSG:4326</authid></spatialrefsys></srs>
      <provider encoding="UTF-8">ogr</provider>
      <flags><Identifiable>1</Identifiable><Searchable>1</Searchable></flags>
      <renderer-v2 type="singleSymbol">
        <symbols>
          <symbol type="fill" name="0" alpha="1">
            <layer class="SimpleFill" enabled="1"><prop k="color" v="200,80,40,255"/><prop k="style" v="solid"/></layer>
          </symbol>
        </symbols>
      </renderer-v2>
    </maplayer>
  </projectlayers>
  <properties>
    <WMSServiceCapabilities type="bool">true</WMSServiceCapabilities>
    <WFSLayers type="QStringList"><value>${layer}</value></WFSLayers>
  </properties>
</qgis>
`;

export const application: Application = {
  title: 'QGIS Server',
  packages: ['qgis-server', 'spawn-fcgi'],

  prepare(place) {
    const { folder } = place;
    writeFileSync(join(folder, 'field.geojson'), JSON.stringify(field));
    writeFileSync(join(folder, 'test.qgs'), project);
    giveToWeb(join(folder, 'field.geojson'));
    const home = join(folder, 'home');
    mkdirSync(home);
    giveToWeb(home);
    const env = {
      QT_QPA_PLATFORM: 'offscreen',
      // Without it attributes come in another order from each process.
      QT_HASH_SEED: '0',
      HOME: home,
      QGIS_PROJECT_FILE: join(folder, 'test.qgs'),
    };
    const socket = join(folder, 'qgis.sock');
    return {
      fastway: {
        sources: { qgis: { interpreter: [program], env } },
        virtualServers: [
          {
            documentRoot: folder,
            rules: [
              {
                match: { directory: '/qgisserver' },
                handler: { type: 'fastcgi', source: 'qgis', checkFile: false },
              },
            ],
          },
        ],
      },
      peer: {
        kind: 'nginx',
        source: "with spawn-fcgi and fastcgi_pass, as QGIS's own manual says",
        start: () =>
          startService(
            place,
            [
              'spawn-fcgi',
              '-n',
              '-s',
              socket,
              '-M',
              '666',
              '-u',
              'www-data',
              '-g',
              'www-data',
              '--',
              program,
            ],
            () => accepts(socket),
            { env },
          ),
        directives: () => `
location /qgisserver {
  gzip off;
  fastcgi_param REQUEST_METHOD $request_method;
  fastcgi_param REQUEST_URI $request_uri;
  fastcgi_param QUERY_STRING $query_string;
  fastcgi_param CONTENT_TYPE $content_type;
  fastcgi_param CONTENT_LENGTH $content_length;
  fastcgi_param SERVER_NAME $server_name;
  fastcgi_param SERVER_PORT $server_port;
  fastcgi_pass unix:${socket};
}`,
      },
    };
  },

  async use(visitor) {
    visitor.step('WMS: capabilities, a map, a query of a point');
    const wms = '/qgisserver?SERVICE=WMS&VERSION=1.3.0';
    const capabilities = await visitor.ask(`${wms}&REQUEST=GetCapabilities`);
    assert.match(capabilities.text, /A field/);
    const view =
      'LAYERS=field&STYLES=&CRS=EPSG:4326&BBOX=-90,-180,90,180&WIDTH=400&HEIGHT=200&FORMAT=image/png';
    const map = await visitor.ask(`${wms}&REQUEST=GetMap&${view}`);
    assert.equal(map.headers['content-type'], 'image/png');
    await visitor.ask(
      `${wms}&REQUEST=GetFeatureInfo&${view}&QUERY_LAYERS=field&I=200&J=100&INFO_FORMAT=text/xml`,
    );
    visitor.step('the same map as a form (POST), a legend, a faulty question');
    const posted = await visitor.ask(`${wms}&REQUEST=GetMap`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: view,
    });
    assert.equal(posted.headers['content-type'], 'image/png');
    await visitor.ask(`${wms}&REQUEST=GetLegendGraphic&LAYERS=field&FORMAT=image/png`);
    const faulty = await visitor.ask(`${wms}&REQUEST=GetNothing`);
    assert.equal(faulty.status, 501);
    visitor.step('OGC API: its pages with their style sheets and scripts, the features as JSON');
    await visitor.page('/qgisserver/wfs3.html');
    await visitor.page('/qgisserver/wfs3/collections.html');
    await visitor.ask('/qgisserver/wfs3/collections/field/items');
    await visitor.ask('/qgisserver/wfs3/none');
  },

  volatile: [/fastway-test-\w+/g, /"timeStamp":"[^"]*"/g, /\d+:\d\d:\d\dZ?/g],
};
