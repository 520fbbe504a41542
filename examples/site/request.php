<?php
declare(strict_types=1);

require __DIR__ . '/parts/page.php';

start_page('The request', 'How Fastway took the URL apart, and everything it told PHP.');
$self = url('request.php');
?>
  <p class="buttons">
    <a class="button second" href="<?= e("$self/articles/2026/hello?page=2") ?>">/articles/2026/hello?page=2</a>
    <a class="button second" href="<?= e("$self/caf%C3%A9/a%20b") ?>">/caf%C3%A9/a%20b</a>
    <a class="button second" href="<?= e($self) ?>">no PATH_INFO</a>
  </p>
<?php
$parts = ['REQUEST_URI', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'SCRIPT_FILENAME', 'DOCUMENT_ROOT', 'PATH_TRANSLATED', 'PHP_SELF'];
table(array_combine($parts, array_map(fn (string $name): ?string => $_SERVER[$name] ?? null, $parts)));

$groups = ['Header fields' => [], 'Connection' => [], 'Everything else' => []];
foreach ($_SERVER as $name => $value) {
    if (!is_string($value) || in_array($name, $parts, true)) {
        continue;
    }
    $group = match (true) {
        str_starts_with($name, 'HTTP_') || str_starts_with($name, 'CONTENT_') => 'Header fields',
        preg_match('/^(SERVER_|REMOTE_|REQUEST_|HTTPS$|GATEWAY_)/', $name) === 1 => 'Connection',
        default => 'Everything else',
    };
    $groups[$group][$name] = $value;
}
foreach ($groups as $title => $rows) {
    if ($rows === []) {
        continue;
    }
    ksort($rows);
    echo '  <h2>', e($title), "</h2>\n";
    table($rows);
}
end_page();
