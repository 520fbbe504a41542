<?php
// The frame of every page: <?php require __DIR__ . '/parts/page.php'; start_page('Title'); ... end_page();
declare(strict_types=1);

/** Text for HTML; bytes that are no UTF-8 are shown as replacement characters. */
function e(?string $text): string
{
    return htmlspecialchars($text ?? '', ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}

/** A URL of this site, wherever it is mounted. */
function url(string $path): string
{
    return rtrim(str_replace('\\', '/', dirname($_SERVER['SCRIPT_NAME'])), '/') . '/' . $path;
}

function is_embedded(): bool
{
    return php_uname('s') === 'Emscripten';
}

/** What runs this script, in words. */
function runner(): string
{
    return match (true) {
        is_embedded() => 'embedded PHP',
        PHP_SAPI === 'fpm-fcgi' => 'php-fpm',
        PHP_SAPI === 'cgi-fcgi' => 'php-cgi',
        default => PHP_SAPI,
    };
}

function start_page(string $title, string $lead = ''): void
{
    header('Content-Type: text/html; charset=UTF-8');
    $pages = [
        'form.php' => 'Form',
        'upload.php' => 'Upload',
        'session.php' => 'Session',
        'events.php' => 'Events',
        'request.php/path/info?query=string' => 'Request',
    ];
    ?>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title><?= e($title) ?> · Fastway</title>
  <link rel="icon" href="<?= e(url('assets/mark.svg')) ?>" type="image/svg+xml">
  <link rel="stylesheet" href="<?= e(url('assets/style.css')) ?>">
</head>
<body>
<header class="top">
  <a class="mark" href="<?= e(url('')) ?>"><img src="<?= e(url('assets/mark.svg')) ?>" alt="" width="28" height="28">Fastway</a>
  <nav aria-label="Demos">
<?php foreach ($pages as $path => $name):
        $is_here = basename($_SERVER['SCRIPT_NAME']) === strtok($path, '/'); ?>
    <a href="<?= e(url($path)) ?>"<?= $is_here ? ' aria-current="page"' : '' ?>><?= e($name) ?></a>
<?php endforeach ?>
  </nav>
</header>
<main>
  <h1><?= e($title) ?></h1>
<?php if ($lead !== ''): ?>
  <p class="lead"><?= $lead ?></p>
<?php endif;
}

function end_page(): void
{
    $milliseconds = (microtime(true) - $_SERVER['REQUEST_TIME_FLOAT']) * 1000;
    ?>
</main>
<footer>
  <p>PHP <?= e(PHP_VERSION) ?>, <?= e(runner()) ?>, process <?= getmypid() ?>,
    <?= number_format($milliseconds, 1) ?> ms, <?= number_format(memory_get_peak_usage() / 1048576, 1) ?> MiB</p>
</footer>
</body>
</html>
<?php
}

/** @param array<string, ?string> $rows names and values; a missing value is said to be missing */
function table(array $rows): void
{
    echo "<div class=\"scroll\"><table>\n";
    foreach ($rows as $name => $value) {
        $shown = $value === null ? '<span class="quiet">not set</span>'
            : ($value === '' ? '<span class="quiet">empty</span>' : '<code>' . e($value) . '</code>');
        echo '<tr><th scope="row">', e((string) $name), '</th><td>', $shown, "</td></tr>\n";
    }
    echo "</table></div>\n";
}
