import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const program = `
  import { serve } from ${JSON.stringify(fileURLToPath(new URL('./index.ts', import.meta.url)))};
  try {
    const server = await serve((request) => void request.write('from ' + server.address.kind));
  } catch (error) {
    console.error(error.code + ' ' + error.message);
    process.exitCode = 1;
  }
`;

/** Starts an application without an address; `stdin` becomes its file descriptor 0. */
function startProgram(t: TestContext, fd: 'pipe' | 'ignore'): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], {
    stdio: [fd, 'ignore', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

for (const fd of ['pipe', 'ignore'] as const) {
  test(`started by hand (stdin: ${fd}): a clear error`, async (t) => {
    const child = startProgram(t, fd);
    let text = '';
    child.stderr!.on('data', (chunk) => {
      text += chunk;
    });
    const [code] = await once(child, 'close');
    assert.equal(code, 1, text);
    assert.match(text, /^GW_ERR_ADDRESS File descriptor 0 is no listening socket: .* started by hand/);
  });
}
