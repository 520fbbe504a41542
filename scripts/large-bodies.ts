/** Bodies past every 32-bit number through the gateway to php-fpm, with time and memory: `npm run large-bodies`. */
import { application, startPhpGateway } from '../test/support/php-gateway.ts';
import { download, type Transfer, upload } from '../test/support/transfer.ts';

const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;
const memoryMax = 64 * mebibyte;

const gateway = await startPhpGateway({ limits: { maxBodyBytes: 3 * gibibyte } });
try {
  await upload(gateway, `${application}/body`, 4 * mebibyte);
  await download(gateway, `${application}/download?bytes=${4 * mebibyte}`, 4 * mebibyte);
  report('1 GiB up', gibibyte, await upload(gateway, `${application}/body`, gibibyte));
  report('1 GiB up, chunked', gibibyte, await upload(gateway, `${application}/body`, gibibyte, true));
  report(
    '1 GiB down',
    gibibyte,
    await download(gateway, `${application}/download?bytes=${gibibyte}`, gibibyte),
  );
  const large = Math.round(2.2 * gibibyte);
  report('2.2 GiB up', large, await upload(gateway, `${application}/body`, large));
} finally {
  await gateway.stop();
}

function report(name: string, bytes: number, { seconds, memoryAboveIdle }: Transfer): void {
  const speed = Math.round(bytes / mebibyte / seconds);
  const above = (memoryAboveIdle / mebibyte).toFixed(1);
  const verdict = memoryAboveIdle < memoryMax ? '' : `  above the limit of ${memoryMax / mebibyte} MiB`;
  console.log(
    `${name.padEnd(18)} ${seconds.toFixed(1).padStart(6)} s ${String(speed).padStart(5)} MiB/s  memory +${above} MiB${verdict}`,
  );
  if (verdict !== '') process.exitCode = 1;
}
