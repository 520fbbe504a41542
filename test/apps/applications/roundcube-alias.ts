import type { Application } from '../application.ts';
import { roundcube } from './roundcube.ts';

export const application: Application = roundcube('Roundcube at an alias', '/roundcube');
