/** An upload larger than PHP's own limits (2 MB a file, 8 MB a form) arrives at every PHP that we start, up to `maxBodyBytes`. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createGateway } from '../../src/index.ts';
import { encodeMultipart } from '../support/form-data.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';

const script = `<?php
header('Content-Type: application/json');
echo json_encode([$_FILES['file']['error'] ?? null, $_FILES['file']['size'] ?? null,
  ini_get('upload_max_filesize'), ini_get('post_max_size')]);`;

for (const php of ['fpm', 'cgi', 'embedded'] as const) {
  test(`an upload of 9 MB to ${php}`, async (t) => {
    const documentRoot = createTestDirectory();
    openToAll(documentRoot);
    writeFileSync(join(documentRoot, 'upload.php'), script);
    const rule = (extra: object) => ({
      match: { extensions: ['php'] },
      handler: { type: 'fastcgi', source: 'php', ...extra } as const,
    });
    const gateway = await createGateway({
      listen: [{ host: '127.0.0.1', port: 0 }],
      sources: { php: { php, workers: 1, ini: { post_max_size: '40M' } } },
      virtualServers: [{ documentRoot, accessLog: false, rules: [rule({ maxBodyBytes: 10_000_000 })] }],
    });
    t.after(() => gateway.close());
    const [origin] = await gateway.listen();
    const content = Buffer.alloc(9_000_000, 'x');
    const file = { name: 'file', filename: 'a.bin', type: 'application/octet-stream', content };
    const { body, type } = encodeMultipart({}, [file]);
    const headers = { 'Content-Type': type };
    const answer = await fetchAnswer(origin!, '/upload.php', { method: 'POST', headers, body });
    assert.equal(answer.text, '[0,9000000,"10000000","40M"]', 'and what is configured wins');
    const large = Buffer.concat([body, Buffer.alloc(2_000_000)]);
    const refused = await fetchAnswer(origin!, '/upload.php', { method: 'POST', headers, body: large });
    assert.equal(refused.status, 413);
  });
}
