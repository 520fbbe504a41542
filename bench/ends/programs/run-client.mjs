/**
 * Drives one client: `run-client.mjs PROGRAM SOCKET-PATH kept|new`. Each message is a slice of load, `{ load, parallel, ms }`;
 * the answer tells what it cost this process, `{ requests, lost, cpuUs, bytes }`, or what went wrong, `{ error }`.
 */
const [program, path, connections] = process.argv.slice(2);
const { connect } = await import(`./${program}.mjs`);
const send = await connect(path, connections);

process.on('message', ({ load, parallel, ms }) => {
  run(load, parallel, ms).then(
    (result) => process.send(result),
    (error) => process.send({ error: String(error?.stack ?? error) }),
  );
});
process.send('ready');

/** Keeps so many requests under way for so long, and waits for the last. */
function run(load, parallel, ms) {
  const deadline = performance.now() + ms;
  const cpu = process.cpuUsage();
  let requests = 0;
  let lost = 0;
  let underWay = parallel;
  let length;
  return new Promise((resolve, reject) => {
    const done = (error, bytes) => {
      if (error !== undefined) return reject(error);
      length ??= bytes;
      if (bytes === undefined) lost++;
      else if (bytes !== length)
        return reject(new Error(`An answer has ${bytes} bytes, and another ${length}`));
      requests++;
      if (performance.now() < deadline) return send(load, done);
      if (--underWay > 0) return;
      const { user, system } = process.cpuUsage(cpu);
      resolve({ requests, lost, cpuUs: user + system, bytes: length });
    };
    for (let index = 0; index < parallel; index++) send(load, done);
  });
}
