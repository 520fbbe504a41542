/** `npm start`: the demo site, unless a directory or a configuration is named. */
import { fileURLToPath } from 'node:url';

process.env.FASTWAY_DIR ??= fileURLToPath(new URL('../examples/site', import.meta.url));
await import('../dist/cli.js');
