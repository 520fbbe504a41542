/**
 * Presets: the rules that people would otherwise copy from each framework's manual.
 * Written as a person would write them, so that `fastway print-config` can show what a preset became.
 */
import type { PresetName, RuleInput, VirtualServerConfig } from './schema.ts';

/** Where one virtual server differs from the usual because of its preset. */
export const presetSettings: Partial<Record<PresetName, Pick<VirtualServerConfig, 'symlinks'>>> = {
  // `php artisan storage:link` makes public/storage a link to storage/app/public, outside the root.
  laravel: { symlinks: 'owner' },
};

/** Presets whose application is PHP. */
export const phpPresets: ReadonlySet<PresetName> = new Set([
  'php',
  'wordpress',
  'laravel',
  'symfony',
  'drupal',
]);

/**
 * The rules of a preset; the last one takes everything.
 * @param source name of the source that runs the application
 */
export function expandPreset(name: PresetName, source: string): RuleInput[] {
  // What is not there is the front controller's, whatever its name ends in.
  const run: RuleInput = {
    match: { extensions: ['php'], exists: 'extensions' },
    handler: { type: 'fastcgi', source },
  };
  switch (name) {
    case 'php':
      return [
        hidden,
        hide('^/vendor(?=/|$)'),
        // Packages of an application further down: none of their scripts is a page.
        hide('/vendor/.*?\\.(?:php[0-9]?|phtml|phar)(?=/|$)'),
        run,
        existing,
        toNearestFrontController,
        { handler: { type: 'files' } },
      ];
    case 'wordpress':
      return [
        hidden,
        neverRun('^/(?:[^/]+/)?wp-content/(?:uploads|upgrade|blogs\\.dir)/'),
        run,
        existing,
        toNearestFrontController,
        { handler: { type: 'files' } },
      ];
    case 'drupal':
      return [
        hidden,
        // The list of Drupal's own .htaccess.
        hide(
          '\\.(engine|inc|install|make|module|profile|po|sh|theme|twig|tpl|xtmpl|ya?ml)$|/(Entries|Repository|Root|Tag|Template|composer\\.(json|lock)|web\\.config)$',
        ),
        hide('^/vendor(?=/|$)'),
        hide('^/sites/[^/]+/private(?=/)'),
        neverRun('^/sites/[^/]+/files/'),
        run,
        existing,
        toNearestFrontController,
        { handler: { type: 'files' } },
      ];
    case 'laravel':
    case 'symfony':
      return [
        hidden,
        {
          match: { request: '^/index\\.php(/|$)', extensions: ['php'] },
          handler: { type: 'fastcgi', source },
        },
        // Only the front controller runs: a script that was uploaded or forgotten below public/ does not.
        hide('\\.(?:php[0-9]?|phtml|phar|phps)(?=/|$)'),
        existing,
        toFrontController,
      ];
    case 'django':
      return [
        hidden,
        // Only what collectstatic and uploads put there: a document root may well be the project itself.
        {
          match: { any: [{ directory: '/static' }, { directory: '/media' }], exists: 'file' },
          handler: { type: 'files' },
        },
        { handler: { type: 'fastcgi', source, checkFile: false } },
      ];
    case 'rails':
      return [
        hidden,
        // Directories, / above all, belong to the application.
        { match: { request: '\\.[A-Za-z0-9]+$', exists: 'file' }, handler: { type: 'files' } },
        { handler: { type: 'fastcgi', source, checkFile: false } },
      ];
  }
}

const scripts = ['php', 'phtml', 'phar', 'php5', 'php7', 'phps'];

/** Only what is there: any other path is the application's. 404 and not 403, as for what is not there. */
function hide(request: string): RuleInput {
  return { match: { request, exists: 'request' }, handler: { type: 'error', status: 404 } };
}

function neverRun(folder: string): RuleInput {
  return {
    match: { request: folder, extensions: scripts, exists: 'extensions' },
    handler: { type: 'error', status: 403 },
  };
}

/** Dot files but /.well-known, which RFC 8615 makes public. */
const hidden: RuleInput = hide('(?<=^|/)\\.(?!well-known(?:/|$))[^/]*');

const existing: RuleInput = { match: { exists: 'file' }, handler: { type: 'files' } };

/** Asked for each request: an application may be installed, or deployed, while we run; in a subfolder as well. */
const toNearestFrontController: RuleInput = {
  match: { nearest: 'index.php' },
  handler: { type: 'redirect', to: '$nearest', internal: true },
};

const toFrontController: RuleInput = { handler: { type: 'redirect', to: '/index.php', internal: true } };
