import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mediaTypeOf } from './media-type.ts';

test('types as IANA and the browsers know them, text in UTF-8', () => {
  const types = {
    'index.html': 'text/html; charset=utf-8',
    'a.css': 'text/css; charset=utf-8',
    'a.js': 'text/javascript; charset=utf-8',
    'a.mjs': 'text/javascript; charset=utf-8',
    'a.json': 'application/json; charset=utf-8',
    'a.webmanifest': 'application/manifest+json; charset=utf-8',
    'a.svg': 'image/svg+xml',
    'a.txt': 'text/plain; charset=utf-8',
    'favicon.ico': 'image/vnd.microsoft.icon',
    'list.m3u8': 'application/vnd.apple.mpegurl',
    'a.xlsx': 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    'a.docx': 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'a.odt': 'application/vnd.oasis.opendocument.text',
    'a.eot': 'application/vnd.ms-fontobject',
    'a.woff2': 'font/woff2',
    'a.m4v': 'video/x-m4v',
    'a.mp4': 'video/mp4',
    'a.kml': 'application/vnd.google-earth.kml+xml',
    'a.vcf': 'text/x-vcard; charset=utf-8',
    'a.7z': 'application/x-7z-compressed',
    'a.avif': 'image/avif',
    'A.PNG': 'image/png',
    'folder.png/none': 'application/octet-stream',
    'a.unheard-of': 'application/octet-stream',
    png: 'application/octet-stream',
  };
  for (const [name, type] of Object.entries(types)) assert.equal(mediaTypeOf(`/folder/${name}`), type, name);
});
