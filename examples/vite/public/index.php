<?php
declare(strict_types=1);

require __DIR__ . '/../vite.php';

$name = trim((string) ($_POST['name'] ?? ''));
if ($name !== '') {
    setcookie('name', $name);
    header('Location: ' . $_SERVER['REQUEST_URI'], response_code: 303);
    exit;
}
$name = $_COOKIE['name'] ?? 'stranger';
?>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>PHP and Vite</title>
  <?= vite('src/main.ts') ?>
</head>
<body>
  <h1>Hello <?= htmlspecialchars($name) ?></h1>
  <p>PHP <?= PHP_VERSION ?> made this page at <?= date('H:i:s') ?>.</p>
  <form method="post">
    <label>Your name <input name="name" autocomplete="off"></label>
    <button>Send</button>
  </form>
  <p><button id="counter" type="button">Count</button></p>
</body>
</html>
