/** 256 MiB up and down: every byte arrives, and the gateway's memory stays flat. `npm run large-bodies` goes further. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { GatewayProcess } from '../support/gateway-process.ts';
import { application, startPhpGateway } from '../support/php-gateway.ts';
import { download, type Transfer, upload } from '../support/transfer.ts';

const mebibyte = 1024 * 1024;
const bytes = 256 * mebibyte;

describe('large bodies', () => {
  let gateway: GatewayProcess;
  before(async () => {
    gateway = await startPhpGateway({ limits: { maxBodyBytes: bytes } });
    // What the code itself costs is taken once, before the measuring.
    await upload(gateway, `${application}/body`, 4 * mebibyte);
    await download(gateway, `${application}/download?bytes=${4 * mebibyte}`, 4 * mebibyte);
  });
  after(() => gateway?.stop());

  const isFlat = ({ memoryAboveIdle }: Transfer) => {
    const above = Math.round(memoryAboveIdle / mebibyte);
    assert.ok(above < 64, `the gateway took ${above} MiB above idle`);
  };

  it('256 MiB up, with a length', async () => {
    isFlat(await upload(gateway, `${application}/body`, bytes));
  });
  it('256 MiB up, chunked', async () => {
    isFlat(await upload(gateway, `${application}/body`, bytes, true));
  });
  it('256 MiB down', async () => {
    isFlat(await download(gateway, `${application}/download?bytes=${bytes}`, bytes));
  });
  it('256 MiB down to a reader who rests', async () => {
    isFlat(await download(gateway, `${application}/download?bytes=${bytes}&length`, bytes, 50));
  });
});
