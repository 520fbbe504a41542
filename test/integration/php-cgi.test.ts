/** The machine's php-cgi as a source. */
import { phpSourceSuite } from '../support/php-source-suite.ts';

phpSourceSuite('cgi');
