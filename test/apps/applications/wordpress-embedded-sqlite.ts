import type { Application } from '../application.ts';
import { wordPress } from './wordpress.ts';

export const application: Application = wordPress({
  title: 'WordPress on the embedded PHP, with SQLite',
  base: '',
  database: 'SQLite',
  embedded: { node: '20' },
});
