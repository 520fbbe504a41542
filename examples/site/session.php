<?php
declare(strict_types=1);

require __DIR__ . '/parts/page.php';

session_start(['cookie_httponly' => true, 'cookie_samesite' => 'Lax', 'name' => 'demo']);
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $_SESSION = [];
    session_regenerate_id(true);
    // 303: what was POSTed is seen with GET, so that a reload sends nothing twice.
    header('Location: ' . url('session.php'), true, 303);
    exit;
}
$visits = $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
$since = $_SESSION['since'] ??= time();
session_write_close();

start_page('A session', 'PHP knows you by a cookie.');
?>
  <p class="figure"><b><?= $visits ?></b> <?= $visits === 1 ? 'visit' : 'visits' ?> since <time datetime="<?= date('c', $since) ?>"><?= date('H:i:s', $since) ?></time></p>
  <form method="post" action="<?= e(url('session.php')) ?>">
    <p class="buttons"><a class="button" href="<?= e(url('session.php')) ?>">Once more</a> <button class="second">Forget me</button></p>
  </form>
  <p class="quiet">“Forget me” is a POST. It empties the session and redirects with status 303 to this page.</p>
<?php
end_page();
