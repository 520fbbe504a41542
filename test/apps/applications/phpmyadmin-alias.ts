import type { Application } from '../application.ts';
import { phpMyAdmin } from './phpmyadmin.ts';

export const application: Application = phpMyAdmin('phpMyAdmin at an alias', '/phpmyadmin');
