<?php $name = $_POST['name'] ?? $_GET['name'] ?? 'you'; ?>
<p>PHP <?= PHP_MAJOR_VERSION ?> greets <?= htmlspecialchars($name) ?> at <?= htmlspecialchars($_SERVER['REQUEST_URI']) ?></p>
