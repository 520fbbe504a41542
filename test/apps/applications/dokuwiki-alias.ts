import type { Application } from '../application.ts';
import { dokuWiki } from './dokuwiki.ts';

export const application: Application = dokuWiki('DokuWiki at an alias', '/dokuwiki');
