/** Recognises what a folder without a configuration holds: where its document root is, and which preset suits it. */
import type { PresetName } from './types.ts';

export interface RecognisedSite {
  /** Below the folder: `public`, `web`, `webroot`, or empty for the folder itself. */
  readonly documentRoot: string;
  readonly preset: PresetName;
  /** For the banner: what was recognised, and by what. Undefined: nothing in particular. */
  readonly reason: string | undefined;
}

const frameworks: readonly {
  readonly name: string;
  /** Files that only this framework has; all of them. */
  readonly signs: readonly string[];
  readonly documentRoot: string;
  readonly preset: PresetName;
}[] = [
  { name: 'Laravel', signs: ['artisan', 'public/index.php'], documentRoot: 'public', preset: 'laravel' },
  { name: 'Symfony', signs: ['bin/console', 'public/index.php'], documentRoot: 'public', preset: 'symfony' },
  {
    name: 'Drupal',
    signs: ['web/core/lib/Drupal.php', 'web/index.php'],
    documentRoot: 'web',
    preset: 'drupal',
  },
  { name: 'Drupal', signs: ['core/lib/Drupal.php', 'index.php'], documentRoot: '', preset: 'drupal' },
  { name: 'WordPress', signs: ['wp-load.php', 'index.php'], documentRoot: '', preset: 'wordpress' },
  {
    name: 'WordPress',
    signs: ['composer.json', 'web/wp-config.php', 'web/index.php'],
    documentRoot: 'web',
    preset: 'wordpress',
  },
  { name: 'CakePHP', signs: ['bin/cake', 'webroot/index.php'], documentRoot: 'webroot', preset: 'php' },
  { name: 'Yii', signs: ['yii', 'web/index.php'], documentRoot: 'web', preset: 'php' },
  // Slim, Laminas, CodeIgniter and many an own project: a Composer project with a public folder.
  {
    name: 'a Composer project',
    signs: ['composer.json', 'public/index.php'],
    documentRoot: 'public',
    preset: 'php',
  },
  {
    name: 'a Composer project',
    signs: ['composer.json', 'web/index.php'],
    documentRoot: 'web',
    preset: 'php',
  },
  {
    name: 'a Composer project',
    signs: ['composer.json', 'webroot/index.php'],
    documentRoot: 'webroot',
    preset: 'php',
  },
];

/** @param isFile whether a path relative to the folder names a regular file */
export function recogniseSite(isFile: (path: string) => boolean): RecognisedSite {
  const found = frameworks.find(({ signs }) => signs.every(isFile));
  if (found === undefined) return { documentRoot: '', preset: 'php', reason: undefined };
  const { documentRoot, preset, name, signs } = found;
  return { documentRoot, preset, reason: `${name}, recognised by ${signs[0]}` };
}
