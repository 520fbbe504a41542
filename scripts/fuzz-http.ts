/**
 * Mutated HTTP at the running gateway, on the node that runs this: `npm run fuzz:http -- [REQUESTS [SEED]]`.
 * Prints a line of figures for every part of 25,000 requests; exits 1 with the bytes at the first fault.
 */
import { fuzzHttp } from '../test/attacks/http-fuzzer.ts';

const [requests = 200_000, seed = 1] = process.argv.slice(2).map(Number);
const part = 25_000;
for (let sent = 0, index = 0; sent < requests; sent += part, index++) {
  const report = await fuzzHttp(Math.min(part, requests - sent), seed + index);
  const { faults, ...figures } = report;
  console.log(process.version, `seed ${seed + index}`, JSON.stringify(figures));
  for (const fault of faults) console.log(fault);
  if (faults.length > 0) process.exit(1);
}
