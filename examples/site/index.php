<?php
declare(strict_types=1);

require __DIR__ . '/parts/page.php';

// What does not exist comes here too: this is the front controller.
$path = strtok($_SERVER['REQUEST_URI'], '?');
if (!in_array($path, [url(''), url('index.php'), rtrim(url(''), '/')], true)) {
    http_response_code(404);
    start_page('Not found', 'There is no <code>' . e(rawurldecode((string) $path)) . '</code> on this site.');
    ?>
  <p>Fastway found no such file, so it asked <code>index.php</code>, as WordPress, Laravel and Symfony expect it. This page is its answer,
    with status 404. <a href="<?= e(url('')) ?>">Back to the start</a></p>
<?php
    end_page();
    exit;
}

start_page('It works', 'PHP ' . e(PHP_VERSION) . ' answered this request, run by ' . (is_embedded() ? 'the embedded PHP' : e(runner())) . '.');
?>
  <ol class="flow" aria-label="The way of this request">
    <li><span>Your browser</span><code><?= e($_SERVER['REQUEST_METHOD'] . ' ' . $_SERVER['REQUEST_URI']) ?></code></li>
    <li><span>Fastway</span><code><?= e(($_SERVER['SERVER_NAME'] ?? '') . ':' . ($_SERVER['SERVER_PORT'] ?? '')) ?></code></li>
    <li><span><?= e(is_embedded() ? 'Embedded PHP' : runner()) ?></span><code>process <?= getmypid() ?></code></li>
    <li><span>Your script</span><code><?= e(basename($_SERVER['SCRIPT_FILENAME'])) ?></code></li>
  </ol>

<?php if (is_embedded()): ?>
  <p class="note">No PHP was found on this machine, or you asked for this one: it is PHP compiled to WebAssembly, and runs inside Node.
    Files, sessions, uploads and SQLite work. It opens no connections of its own, so for MySQL or HTTP calls install
    <code>php-fpm</code>: Fastway takes it at the next start.</p>
<?php endif ?>

  <h2>Try it</h2>
  <ul class="cards">
    <li><a href="<?= e(url('form.php')) ?>"><b>A form</b><span>Fields of GET and POST, any character</span></a></li>
    <li><a href="<?= e(url('upload.php')) ?>"><b>An upload</b><span>Several files, byte for byte</span></a></li>
    <li><a href="<?= e(url('session.php')) ?>"><b>A session</b><span>A cookie, a counter, a redirect</span></a></li>
    <li><a href="<?= e(url('events.php')) ?>"><b>Server-sent events</b><span>One by one, while the script runs</span></a></li>
    <li><a href="<?= e(url('request.php/path/info?query=string')) ?>"><b>The request</b><span>PATH_INFO and every variable</span></a></li>
    <li><a href="<?= e(url('error.php')) ?>"><b>An error</b><span>Status 500, and the reason in the log</span></a></li>
    <li><a href="<?= e(url('no/such/page')) ?>"><b>A missing page</b><span>The front controller says 404</span></a></li>
  </ul>

  <h2>Then your own site</h2>
  <dl class="commands">
    <dt><kbd>npm start -- /srv/site --port 9000</kbd></dt><dd>serves a folder: files are sent, <code>.php</code> runs</dd>
    <dt><kbd>fastway /srv/site --php fpm</kbd></dt><dd>the same as an installed command, with php-fpm</dd>
    <dt><kbd>fastway explain /some/page</kbd></dt><dd>which rule, which script, which variables, and why</dd>
    <dt><kbd>fastway print-config</kbd></dt><dd>the configuration that this came down to: a start for your own</dd>
  </dl>
<?php
end_page();
