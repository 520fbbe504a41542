/**
 * What well-known applications keep for themselves in the folder that is served: private pages, settings, sessions, includes,
 * tools, and scripts among uploads. Each is recognised by files that only it has, in any folder. The one table; a name is in it
 * because its application never sends it by a URL, as its own `.htaccess` or manual says.
 */

interface Layout {
  readonly name: string;
  /** Files below the application's folder; all of them. None: the kept name is sign enough. */
  readonly signs: readonly string[];
  /** First segment of a path below the folder -> what of the rest is kept. */
  readonly keeps: Readonly<Record<string, RegExp>>;
}

/** The folder or file itself, and all below. */
const all = /^/;
const scripts = String.raw`\.(?:php[0-9]?|phtml|phar|phps|pht|inc|pl|py|cgi|sh)$`;
/** What was uploaded never runs, and its source is nobody's. */
const scriptsBelow = (folder: string) => new RegExp(`^${folder}/(?:.*/)?[^/]*${scripts}`, 'i');
/** Packages: what a page may load of them is sent, all else is their own. */
const allButAssets =
  /^(?!.*\/[^/]*\.(?:css|m?js|cjs|map|wasm|svg|png|jpe?g|gif|webp|avif|ico|woff2?|ttf|otf|eot|mp[34]|webm|ogg)$)/i;

/** What no module, theme or profile of Drupal sends; since Drupal 8 scripts below a folder run none but a few of its own. */
const ofDrupal = 'engine|inc|install|make|module|profile|po|sh|theme|twig|tpl(?:\\.php)?|xtmpl|ya?ml';
const ofDrupal8 = new RegExp(`\\.(?:${ofDrupal}|php[0-9]?)$`, 'i');
/** What plugins of Matomo are made of that a page loads. */
const allButPagesOfMatomo =
  /^(?!.*\/[^/]*\.(?:gif|ico|jpe?g|png|webp|svg|css|m?js|map|json|html?|swf|mp[34]|wav|ogg|avi|ttf|eot|woff2?)$)/i;
/** Of an extension of TYPO3, where its sources and templates lie. */
const ofTypo3 =
  /^\/(?:sys)?ext\/[^/]+\/(?:configuration|contentblocks|resources\/private|tests?|documentation|docs?)(?:\/|$)|\.(?:ya?ml|ts|typoscript|tsconfig)$/i;

const keepAll = (names: string): Layout['keeps'] =>
  Object.fromEntries(names.split(' ').map((name) => [name, all]));

const keptByTypo3: Layout['keeps'] = {
  ...keepAll('config typo3_src var vendor'),
  fileadmin: new RegExp(
    `/_(?:recycler|temp)_(?:/|$)|^/templates/.*\\.txt$|\\.(?:ts|typoscript)$|${scriptsBelow('').source}`,
    'i',
  ),
  typo3: ofTypo3,
  typo3conf: new RegExp(`^/(?:system|(?:local|additional)configuration\\.php)(?:/|$)|${ofTypo3.source}`, 'i'),
  typo3temp: /^\/var(?:\/|$)/i,
  uploads: scriptsBelow(''),
};

const layouts: readonly Layout[] = [
  {
    name: 'DokuWiki',
    signs: ['doku.php', 'inc/init.php'],
    keeps: keepAll('bin conf data inc vendor'),
  },
  {
    name: 'MediaWiki',
    signs: ['load.php', 'includes/WebStart.php'],
    keeps: {
      ...keepAll('cache docs includes languages maintenance serialized sql tests vendor localsettings.php'),
      // Files that were deleted from the wiki lie there until they are restored.
      images: new RegExp(`^/(?:deleted|lockdir|temp)(?:/|$)|${scriptsBelow('').source}`, 'i'),
    },
  },
  {
    name: 'Roundcube',
    signs: ['program/include/iniset.php', 'index.php'],
    keeps: {
      ...keepAll('bin config logs sql temp tests vendor config.inc.php.sample'),
      program: /^\/(?:include|lib|localization|steps|actions)(?:\/|$)/i,
      plugins:
        /^\/[^/]+\/(?:config\.inc\.php|config\.inc\.php\.dist|localization|lib|tests|composer\.json)(?:\/|$)/i,
    },
  },
  {
    name: 'WordPress',
    signs: ['wp-load.php', 'wp-includes/version.php'],
    keeps: {
      'wp-config.php': all,
      'wp-config-sample.php': all,
      'wp-content': new RegExp(
        `${scriptsBelow('/(?:uploads|upgrade|blogs\\.dir)').source}|^/(?:backups?|ai1wm-backups|updraft|backup-db|backupwordpress[^/]*|upgrade-temp-backup)(?:/|$)`,
        'i',
      ),
    },
  },
  {
    name: 'Drupal',
    signs: ['core/lib/Drupal.php', 'index.php'],
    keeps: {
      ...keepAll('autoload.php vendor'),
      sites: new RegExp(
        `^/[^/]+/(?:private|config)(?:/|$)|${ofDrupal8.source}|${scriptsBelow('/[^/]+/files').source}|^/[^/]+/files/(?:private|config_[^/]+|php)(?:/|$)`,
        'i',
      ),
      core: new RegExp(
        `\\.(?:${ofDrupal})$|^/(?:scripts|tests|package\\.json|yarn\\.lock)(?:/|$)|^/(?!modules/(?:statistics/statistics|system/tests/https?)\\.php$).+/[^/]+\\.php[0-9]?$`,
        'i',
      ),
      modules: ofDrupal8,
      profiles: ofDrupal8,
      themes: ofDrupal8,
    },
  },
  {
    name: 'Drupal 7',
    signs: ['includes/bootstrap.inc', 'modules/system/system.module'],
    keeps: {
      ...keepAll('includes scripts'),
      sites: new RegExp(
        `^/[^/]+/(?:private|settings\\.php)(?:/|$)|${scriptsBelow('/[^/]+/files').source}`,
        'i',
      ),
      ...Object.fromEntries(
        ['modules', 'profiles', 'themes'].map((name) => [
          name,
          new RegExp(`\\.(?:${ofDrupal}|info|test)$`, 'i'),
        ]),
      ),
    },
  },
  {
    name: 'Joomla',
    signs: ['administrator/index.php', 'libraries/loader.php'],
    keeps: {
      ...keepAll('cli includes logs tmp configuration.php configuration.php-dist'),
      administrator: /^\/(?:cache|logs|includes|manifests)(?:\/|$)/i,
      // Thumbnails are in the one, styles in the others.
      cache: allButAssets,
      language: allButAssets,
      libraries: allButAssets,
      images: scriptsBelow(''),
      media: scriptsBelow(''),
    },
  },
  {
    name: 'Nextcloud',
    signs: ['lib/versioncheck.php', 'ocs/v1.php'],
    keeps: {
      ...keepAll(
        '3rdparty autotest.sh build config console.php data db_structure.xml lib occ package.json package-lock.json templates tests',
      ),
      core: /^\/shipped\.json$/i,
    },
  },
  {
    name: 'ownCloud',
    signs: ['lib/base.php', 'ocs/v1.php'],
    keeps: keepAll(
      '3rdparty autotest.sh build config console.php data db_structure.xml lib occ templates tests',
    ),
  },
  {
    name: 'phpBB',
    signs: ['viewtopic.php', 'phpbb/di/container_builder.php'],
    keeps: {
      ...keepAll('bin cache config files includes phpbb store vendor config.php common.php'),
      images: /^\/avatars\/upload(?:\/|$)/i,
    },
  },
  {
    name: 'Laravel, of which public/ is to be served',
    signs: ['artisan', 'bootstrap/app.php'],
    keeps: {
      ...keepAll(
        'app artisan bootstrap config database lang package.json phpunit.xml resources routes tests',
      ),
      storage: /^(?!\/app\/public(?:\/|$))/i,
      vendor: allButAssets,
    },
  },
  {
    name: 'Symfony, of which public/ is to be served',
    signs: ['bin/console', 'src/Kernel.php'],
    keeps: {
      ...keepAll(
        'bin config migrations package.json phpunit.xml.dist src symfony.lock templates tests translations var',
      ),
      vendor: allButAssets,
    },
  },
  {
    name: 'CakePHP, of which webroot/ is to be served',
    signs: ['bin/cake', 'webroot/index.php'],
    keeps: { ...keepAll('bin config logs src templates tests tmp'), vendor: allButAssets },
  },
  {
    name: 'CodeIgniter, of which public/ is to be served',
    signs: ['spark', 'app/Config/App.php'],
    keeps: keepAll('app spark system tests vendor writable'),
  },
  {
    name: 'CodeIgniter 3',
    signs: ['system/core/CodeIgniter.php', 'index.php'],
    keeps: keepAll('application system user_guide_src'),
  },
  {
    name: 'Magento, of which pub/ is to be served',
    signs: ['bin/magento', 'app/bootstrap.php'],
    keeps: keepAll('app bin dev generated lib phpserver setup update var vendor'),
  },
  {
    name: 'Grav',
    signs: ['bin/grav', 'system/defines.php'],
    keeps: {
      ...keepAll('backup bin cache logs tests tmp webserver-configs'),
      system: allButAssets,
      user: new RegExp(
        // Avatars and media lie among the rest.
        `^/(?:accounts|config|data|env)(?:/|$)(?!.*\\.(?:png|jpe?g|gif|webp|avif|svg|mp[34]|webm|pdf)$)|\\.(?:txt|md|ya?ml|twig)$|${scripts}`,
        'i',
      ),
      vendor: allButAssets,
    },
  },
  {
    name: 'Kirby',
    signs: ['kirby/bootstrap.php', 'index.php'],
    keeps: { ...keepAll('kirby site storage'), content: /\.(?:txt|md|mdown|ya?ml)$/i },
  },
  {
    name: 'TYPO3',
    signs: ['typo3conf/LocalConfiguration.php', 'index.php'],
    keeps: keptByTypo3,
  },
  {
    name: 'TYPO3 since 12',
    signs: ['typo3conf/system/settings.php', 'index.php'],
    keeps: keptByTypo3,
  },
  {
    name: 'Zabbix',
    signs: ['zabbix.php', 'include/config.inc.php'],
    keeps: keepAll('app conf include local vendor'),
  },
  {
    name: 'Cacti',
    signs: ['graph_view.php', 'include/global.php'],
    keeps: {
      ...keepAll('cache cli lib log mibs rra scripts'),
      include: allButAssets,
    },
  },
  {
    name: 'phpMyAdmin',
    signs: ['libraries/classes/Core.php', 'index.php'],
    keeps: keepAll('libraries sql templates tmp test vendor config.inc.php config.sample.inc.php'),
  },
  {
    name: 'phpLDAPadmin',
    signs: ['htdocs/cmd.php', 'lib/common.php'],
    keeps: keepAll('config hooks lib locale queries templates tools'),
  },
  {
    name: 'Icinga Web 2, of which public/ is to be served',
    signs: ['public/index.php', 'library/Icinga/Application/Icinga.php'],
    keeps: keepAll('application bin etc library modules schema test vendor'),
  },
  {
    name: 'Matomo',
    signs: ['matomo.php', 'core/Piwik.php'],
    keeps: {
      ...keepAll('config core lang tmp'),
      libs: allButPagesOfMatomo,
      plugins: allButPagesOfMatomo,
      vendor: allButPagesOfMatomo,
      misc: scriptsBelow('/user'),
    },
  },
  {
    name: 'Moodle',
    signs: ['lib/moodlelib.php', 'version.php'],
    keeps: keepAll('behat.yml.dist config-dist.php moodledata phpunit.xml.dist'),
  },
  {
    name: 'a Composer project',
    signs: ['vendor/autoload.php'],
    keeps: { vendor: allButAssets },
  },
  {
    name: 'a project of npm',
    signs: [],
    keeps: { node_modules: allButAssets, bower_components: allButAssets },
  },
  { name: 'a working copy of CVS', signs: ['CVS/Entries'], keeps: { cvs: all } },
];

/** By first segment, lower case. */
const known = new Map<string, [Layout, RegExp][]>();
for (const layout of layouts) {
  for (const [name, rest] of Object.entries(layout.keeps))
    known.set(name, [...(known.get(name) ?? []), [layout, rest]]);
}

/**
 * The application that keeps what a path names; undefined: none that we know.
 * @param path canonical, below a document root, without trailing slash; it names something that is there
 * @param isFile what another such path names is a file: asked only where the path may be one that is kept
 */
export function findKeeper(path: string, isFile: (path: string) => boolean): string | undefined {
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
    const end = path.indexOf('/', slash + 1);
    const candidates = known.get(path.slice(slash + 1, end === -1 ? undefined : end).toLowerCase());
    if (candidates === undefined) continue;
    const rest = end === -1 ? '' : path.slice(end);
    const folder = path.slice(0, slash + 1);
    for (const [layout, kept] of candidates) {
      if (kept.test(rest) && layout.signs.every((sign) => isFile(folder + sign))) return layout.name;
    }
  }
  return undefined;
}
