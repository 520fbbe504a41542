/**
 * File names that no site means to send: what editors, administrators, databases and deployments leave in a folder. The one
 * list, for every handler that sends files. Letter case does not count, since a copy is a copy by any spelling.
 */

/** Endings of programs of the usual languages; `index.php.save.1` is such a program's text. */
const program = 'php[0-9]?|phtml|phar|phps|pht|inc|pl|pm|py|rb|cgi|fcgi|lua|jsp|asp|aspx|sh';
/** What a browser shows by itself: `saved.php.html` is a page. */
const shown =
  'html?|xhtml|css|m?js|map|json|xml|svg|png|jpe?g|gif|webp|avif|ico|bmp|pdf|woff2?|ttf|mp[34]|webm|ogg|txt';

const patterns: readonly string[] = [
  // Copies: `a~`, `#a#`, `a.bak`, `a.old.2`, `a.swp`.
  '[~#]$',
  '\\.(?:bak|bk|bkp|backup|old|orig|save|sav|copy|rej|sw[a-p]|tmp|dist|part)(?:[._-]?[0-9]+)?$',
  // A program's name and something behind it that is not an ending of its own: `a.php.1`, `a.php_bak`, `a.php-`.
  `\\.(?:${program})(?:[^a-z0-9/.][^/]*|\\.(?!(?:[^/]*\\.)?(?:${shown})$)[^/]+|\\.)$`,
  // Databases and their dumps, with what SQLite lays beside them.
  '\\.(?:sql|sqlite[0-9]?|db[0-9]?|mdb|accdb|frm|ibd|my[di]|rdb|dump)(?:\\.(?:gz|bz2|xz|zst|zip|7z))?(?:-(?:wal|shm|journal))?$',
  // Logs.
  '\\.log(?:[.-][0-9]+)*(?:\\.(?:gz|bz2|xz|zst))?$',
  '(?:^|/)error_log$',
  // Keys and passwords.
  '\\.(?:key|pem|p12|pfx|jks|keystore|kdbx?|ppk)$',
  '(?:^|/)id_(?:rsa|dsa|ecdsa|ed25519)$',
  '(?:^|/)auth\\.json$',
  '\\.(?:env|htpasswd)$',
  // Settings of PHP, and what a program that crashed or was left alone has written.
  '(?:^|/)php\\.ini$',
  '(?:^|/)core\\.[0-9]+$',
  '(?:^|/)nohup\\.out$',
  // What describes the site to its tools, our own configuration among it.
  '(?:^|/)composer\\.(?:json|lock|phar)$',
  '(?:^|/)web\\.config$',
  '(?:^|/)fastway\\.config\\.[a-z]+$',
  '(?:^|/)(?:htpasswd|htaccess)$',
];

const leftover = new RegExp(patterns.join('|'), 'i');

/** A path (canonical, or on disk) ends in a name that is left by mistake rather than published. */
export function isLeftover(path: string): boolean {
  return leftover.test(path.slice(path.lastIndexOf('/') + 1));
}

/** Some segment begins with a dot: configuration, versions, secrets. `/.well-known/` at the root is public (RFC 8615). */
export function isDotFile(path: string): boolean {
  return path.includes('/.') && /\/\./.test(path.startsWith('/.well-known/') ? path.slice(12) : path);
}
