import type { Application } from '../application.ts';
import { wordPress } from './wordpress.ts';

export const application: Application = wordPress({
  title: 'WordPress in a folder',
  base: '/blog',
  database: 'MariaDB',
});
