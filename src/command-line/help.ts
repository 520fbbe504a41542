/** `--help`: what there is, made from the flags themselves. */
import type { Flags } from './flags.ts';

export const commandNames = [
  'serve',
  'check',
  'explain',
  'request',
  'deploy',
  'conformance',
  'print-config',
  'schema',
] as const;
export type CommandName = (typeof commandNames)[number];

const summaries: Record<CommandName, readonly [usage: string, summary: string]> = {
  serve: ['[serve] [DIR]', 'Serve a folder, or what its fastway.config.* says'],
  check: ['check [DIR]', 'Find every problem in a configuration'],
  explain: ['explain URL [DIR]', 'Show which rule, script, variables and source a request gets'],
  request: ['request ADDRESS --script PATH', 'Send one FastCGI request and print the answer'],
  deploy: ['deploy LINK RELEASE', 'Switch a link to a new release, empty opcache, warm up'],
  conformance: ['conformance ADDRESS', 'Check a FastCGI application, or a web server, case by case'],
  'print-config': ['print-config [DIR]', 'Print the configuration with all defaults, presets as rules'],
  schema: ['schema', 'Print the JSON Schema of the configuration'],
};

/** All commands, or one. */
export async function printHelp(command: CommandName | undefined): Promise<string> {
  if (command === undefined) {
    const rows = commandNames.map((name) => row(`fastway ${summaries[name][0]}`, summaries[name][1], 40));
    return `Fastway: a FastCGI web server and gateway

${rows.join('')}
Flags of "fastway serve":
${printFlags(await flagsOf('serve'))}
Without a configuration the folder is served by the preset "php". DIR is the current directory, or FASTWAY_DIR.
A flag beats the environment, the environment the file. Exit codes: 0, 1 (failed), 2 (wrong call).
`;
  }
  const [usage, summary] = summaries[command];
  const flags = printFlags(await flagsOf(command));
  return `fastway ${usage}\n\n${summary}\n${flags === '' ? '' : `\n${flags}`}`;
}

async function flagsOf(command: CommandName): Promise<Flags> {
  switch (command) {
    case 'serve':
      return (await import('./serve.ts')).serveFlags;
    case 'explain':
      return (await import('./explain.ts')).explainFlags;
    case 'request':
      return (await import('./request.ts')).requestFlags;
    case 'deploy':
      return (await import('./deploy.ts')).deployFlags;
    case 'conformance':
      return (await import('./conformance.ts')).conformanceFlags;
    case 'print-config':
      return (await import('./print-config.ts')).printConfigFlags;
    case 'check':
      return (await import('./site.ts')).siteFlags;
    case 'schema':
      return {};
  }
}

function printFlags(flags: Flags): string {
  return Object.entries(flags)
    .map(([name, { value, short, help, env }]) => {
      const left = `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
      return row(left, env === undefined ? help : `${help} [${env.join(', ')}]`, 40);
    })
    .join('');
}

function row(left: string, right: string, width: number): string {
  return `  ${left.padEnd(width)} ${right}\n`;
}
