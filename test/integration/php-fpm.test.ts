/** The machine's php-fpm as a source. */
import { phpSourceSuite } from '../support/php-source-suite.ts';

phpSourceSuite('fpm');
