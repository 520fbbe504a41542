/** The application side: the same application on fastway/app in its three forms, on node-fastcgi, and in C on libfcgi. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Program, runProgram, startProgram, waitUntil } from '../process.ts';
import { readCpuUs } from '../process-tree.ts';
import { compileRepeater, runRepeater } from '../repeater.ts';
import { canConnect } from '../responder.ts';
import { type Contestant, type ContestOptions, runContest, type Standing } from './contest.ts';
import { type ApplicationLoad, askOnce, encodeLoad, upload } from './fastcgi-request.ts';

interface Application {
  readonly name: string;
  readonly title: string;
  /** It heeds FCGI_KEEP_CONN. */
  readonly keepsConnections: boolean;
  version(): string;
  /** @param folder for what has to be compiled */
  command(path: string, folder: string): readonly string[];
}

/** Connections at a time: libfcgi needs a process for each. */
const parallel: Readonly<Record<ApplicationLoad, number>> = { page: 16, echo: 16, file: 4 };

const programs = join(import.meta.dirname, 'programs');
const { page, pieces } = (await import(join(programs, 'answers.mjs'))) as {
  readonly page: string;
  readonly pieces: readonly Buffer[];
};
const require = createRequire(import.meta.url);

/** Of an installed package. */
export function versionOf(packageName: string): string {
  return (require(`${packageName}/package.json`) as { readonly version: string }).version;
}

function nodeProgram(name: string, title: string): Application {
  return {
    name,
    title,
    keepsConnections: true,
    version: () => versionOf('fastway'),
    command: (path) => [process.execPath, '--no-deprecation', join(programs, `${name}.mjs`), path],
  };
}

const libfcgi: Application = {
  name: 'libfcgi',
  title: 'libfcgi (C)',
  keepsConnections: true,
  version: () => runProgram(['dpkg-query', '--show', 'libfcgi-dev']).trim().split('\t')[1]!,
  command(path, folder) {
    const binary = join(folder, 'libfcgi');
    runProgram(['gcc', '-O2', '-o', binary, join(programs, 'libfcgi.c'), '-lfcgi']);
    return [binary, path, String(Math.max(...Object.values(parallel)))];
  },
};

const applications: readonly Application[] = [
  nodeProgram('fastcgi', 'fastway/app, FastCGI request'),
  nodeProgram('http', 'fastway/app, fromHttp'),
  nodeProgram('fetch', 'fastway/app, fromFetch'),
  {
    ...nodeProgram('node-fastcgi', 'node-fastcgi'),
    // It looks for the flag under a name that its own fastcgi-stream does not have.
    keepsConnections: false,
    version: () => versionOf('node-fastcgi'),
  },
  libfcgi,
];

/** @throws {Error} when one cannot be started, or answers wrongly */
export async function compareApplications(
  folder: string,
  options: ContestOptions,
): Promise<readonly Standing<ApplicationLoad>[]> {
  const repeater = compileRepeater(folder);
  const running: RunningApplication[] = [];
  try {
    for (const application of applications) {
      running.push(await RunningApplication.start(application, folder, repeater));
    }
    const contestants = (['kept', 'new'] as const).flatMap((connections) =>
      running
        .filter((application) => connections === 'new' || application.keepsConnections)
        .map((application) => application.contestant(connections)),
    );
    return await runContest(contestants, ['page', 'echo', 'file'], options);
  } finally {
    for (const application of running) await application.stop();
  }
}

class RunningApplication {
  readonly #application: Application;
  readonly #program: Program;
  readonly #path: string;
  readonly #repeater: string;

  private constructor(application: Application, program: Program, path: string, repeater: string) {
    this.#application = application;
    this.#program = program;
    this.#path = path;
    this.#repeater = repeater;
  }

  static async start(
    application: Application,
    folder: string,
    repeater: string,
  ): Promise<RunningApplication> {
    const path = join(folder, `${application.name}.sock`);
    const program = await startProgram(application.command(path, folder), { core: 0 });
    const running = new RunningApplication(application, program, path, repeater);
    try {
      await waitUntil(program, () => canConnect(path), 10_000);
      await running.#check('page', Buffer.from(page));
      await running.#check('echo', upload);
      await running.#check('file', Buffer.concat(pieces));
      return running;
    } catch (error) {
      await program.stop();
      throw new Error(`${application.title}: ${(error as Error).message}`, { cause: error });
    }
  }

  get keepsConnections(): boolean {
    return this.#application.keepsConnections;
  }

  contestant(connections: 'kept' | 'new'): Contestant<ApplicationLoad> {
    const answerBytes = new Map<ApplicationLoad, number>();
    return {
      title: this.#application.title,
      version: this.#application.version(),
      connections,
      measure: async (load, milliseconds) => {
        const request = encodeLoad(load, connections);
        const bytes = answerBytes.get(load) ?? (await askOnce(this.#path, request)).bytes;
        answerBytes.set(load, bytes);
        const before = readCpuUs(this.#program.id);
        const requests = await runRepeater(
          this.#repeater,
          { address: this.#path, connections, parallel: parallel[load], request, answerBytes: bytes },
          milliseconds,
        );
        // What an answer leaves behind, as the end of its connection, is a part of its cost.
        await new Promise((resolve) => setTimeout(resolve, 20));
        return { requests, lost: 0, cpuUs: readCpuUs(this.#program.id) - before };
      },
    };
  }

  stop(): Promise<void> {
    return this.#program.stop();
  }

  /** A fast wrong answer is no answer. */
  async #check(load: ApplicationLoad, expected: Buffer): Promise<void> {
    const { stdout } = await askOnce(this.#path, encodeLoad(load, 'kept'));
    const body = stdout.subarray(stdout.indexOf('\r\n\r\n') + 4);
    if (!body.equals(expected)) {
      throw new Error(`/${load} answered ${body.length} bytes that are not the ${expected.length} expected`);
    }
  }
}
