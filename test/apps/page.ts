/** docs/applications.md: a section for each application, written by the run that used it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { repository } from '../support/gateway-process.ts';
import type { Trial } from './try.ts';

const file = join(repository, 'docs/applications.md');

const head = `# Applications

<!-- Written by \`npm run test:apps\`; change test/apps/applications and run that. -->

Each of these was installed from Debian's packages, configured as its section shows, and used: pages with all their style sheets, scripts
and images, forms, uploads, downloads. The same visit was made to the web server that its package is made for, and statuses, media types
and lengths were compared, answer by answer. Files that an application needs beside its package lie in \`/srv/NAME\` here.

Not run: Sympa and Mailman 3 (packages \`sympa\`, \`mailman3-web\`), which have no visit yet.
`;

/** Writes one application's section, and leaves the others as they are. */
export function writePage(name: string, title: string, packages: readonly string[], trial: Trial): void {
  const sections = new Map<string, string>();
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
  for (const section of before.split(/^(?=## )/m).slice(1))
    sections.set(/^## (.*)/.exec(section)![1]!, section.trim());
  const right = trial.faults.length === 0;
  const result = right
    ? `${trial.requests} answers (${Math.ceil(trial.bytes / 1024)} KiB) are those of ${trial.peer}.`
    : `**Not as it should be**, beside ${trial.peer}:\n\n${trial.faults.slice(0, 10).map(asItem).join('\n')}`;
  const lacking =
    trial.lacking.length === 0
      ? ''
      : ` The package lacks, in both: ${trial.lacking.map((path) => `\`${path}\``).join(', ')}.`;
  sections.set(
    title,
    `## ${title}

Version ${trial.version}, Debian's ${packages.map((one) => `\`${one}\``).join(', ')}; \`npm run test:apps ${name}\`.

\`\`\`yaml
${stringify(trial.configuration, { lineWidth: 110 }).trim()}
\`\`\`

What was done: ${trial.steps.join('; ')}.

${result}${lacking}`,
  );
  const sorted = [...sections].sort(([one], [two]) => one.localeCompare(two, 'en'));
  writeFileSync(file, `${[head.trim(), ...sorted.map(([, section]) => section)].join('\n\n')}\n`);
}

function asItem(fault: string): string {
  return `- ${fault.replace(/\s+/g, ' ').replaceAll('<', '&lt;')}`;
}
