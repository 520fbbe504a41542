/**
 * Presets: the rules that people would otherwise copy from each framework's manual.
 * Written as a person would write them, so that `fastway print-config` can show what a preset became.
 */
import type { Problem } from './check.ts';
import { type PresetName, presetNames, type RuleInput } from './types.ts';

/** What there is in a configuration that says nothing. */
export const usualSources: { readonly php: { readonly php: 'auto' } } = { php: { php: 'auto' } };
export const usualServers: { documentRoot: string }[] = [{ documentRoot: '.' }];

/** A configuration as it is written, or anything else: what is wrong in it is for the schema to tell. */
type Written = Readonly<Record<string, unknown>>;

/**
 * The same configuration with rules in place of presets. Their rules stand behind a virtual server's own ones, whose
 * indexes stay. The usual sources and virtual servers are in it where it has none.
 * @param report hears of presets and sources that do not go together
 */
export function expandPresets(input: Written, report: (problem: Problem) => void): Written {
  const { sources = usualSources, virtualServers = usualServers } = input;
  if (!Array.isArray(virtualServers)) return input;
  const names = Object.keys(isWritten(sources) ? sources : usualSources);
  const expand = (server: unknown, index: number): unknown => {
    if (!isWritten(server)) return server;
    const { preset = server.rules === undefined ? 'php' : undefined, source, rules = [], ...rest } = server;
    const at = (key: string) => ['virtualServers', index, key];
    if (preset === undefined) {
      if (source === undefined) return server;
      const message = 'Is for a preset; name the source in the handlers of your rules, or add a "preset"';
      report({ path: at('source'), message });
      return { ...rest, rules };
    }
    const isRight = isPreset(preset) && Array.isArray(rules) && (source === undefined || isName(source));
    if (!isRight) return server;
    const chosen = source ?? chooseSource(preset, names);
    if (chosen === undefined) {
      const message = `Does not say which source runs it; add "source": one of ${names.join(', ')}`;
      report({ path: at('preset'), message });
      return { ...rest, rules };
    }
    // `php artisan storage:link` makes public/storage a link to storage/app/public, outside the root.
    const { symlinks = preset === 'laravel' ? 'owner' : undefined } = rest;
    return { ...rest, symlinks, rules: [...rules, ...rulesOf(preset, chosen)] };
  };
  return { ...input, sources, virtualServers: virtualServers.map(expand) };
}

export function isWritten(value: unknown): value is Written {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isPreset(value: unknown): value is PresetName {
  return presetNames.includes(value as PresetName);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** The source that a preset takes when none is named: one of its name, of PHP `php` too, or the only one. */
function chooseSource(preset: PresetName, names: readonly string[]): string | undefined {
  const wanted = preset === 'django' || preset === 'rails' ? [preset] : [preset, 'php'];
  return wanted.find((name) => names.includes(name)) ?? (names.length === 1 ? names[0] : undefined);
}

/**
 * The rules of a preset; the last one takes everything.
 * @param source name of the source that runs the application
 */
function rulesOf(name: PresetName, source: string): RuleInput[] {
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
        { ...run, handler: { type: 'fastcgi', source, env: likeNginx } },
        existing,
        // wp-admin/index.php is a page of its own, and no front controller: what its folder lacks is WordPress's 404.
        {
          match: { request: '^/((?:.*?/)?)wp-(?:admin|content|includes)(?=/)' },
          handler: { type: 'redirect', to: '/$1index.php', internal: true },
        },
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

/** WordPress offers permalinks without `index.php` only behind a server that it knows, and looks for its name here. */
const likeNginx = { SERVER_SOFTWARE: 'fastway (nginx)' };

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
