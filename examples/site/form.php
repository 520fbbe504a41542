<?php
declare(strict_types=1);

require __DIR__ . '/parts/page.php';

$values = $_POST ?: $_GET;
$text = fn (string $name, string $default): string => is_string($values[$name] ?? null) ? $values[$name] : $default;
start_page('A form', 'What you type arrives in PHP as you typed it.');
?>
  <form method="post" action="<?= e(url('form.php')) ?>?from=form">
    <label>Name <input name="name" value="<?= e($text('name', 'Zoë')) ?>" autocomplete="off"></label>
    <label>Text <textarea name="text" rows="3"><?= e($text('text', "Two lines,\nand “quotes” & signs: 1 < 2")) ?></textarea></label>
    <fieldset>
      <legend>Several values</legend>
<?php foreach (['red', 'green', 'blue'] as $color): ?>
      <label class="check"><input type="checkbox" name="colors[]" value="<?= $color ?>"<?= in_array($color, (array) ($values['colors'] ?? ['green']), true) ? ' checked' : '' ?>> <?= $color ?></label>
<?php endforeach ?>
    </fieldset>
    <p class="buttons"><button>Send by POST</button> <button formmethod="get" class="second">Send by GET</button></p>
  </form>
<?php if ($values !== []): ?>
  <h2>What PHP received</h2>
<?php
    table([
        'REQUEST_METHOD' => $_SERVER['REQUEST_METHOD'],
        'QUERY_STRING' => $_SERVER['QUERY_STRING'] ?? null,
        'CONTENT_TYPE' => $_SERVER['CONTENT_TYPE'] ?? null,
        'CONTENT_LENGTH' => $_SERVER['CONTENT_LENGTH'] ?? null,
        '$_GET' => json_encode($_GET, JSON_PRETTY_PRINT | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE),
        '$_POST' => json_encode($_POST, JSON_PRETTY_PRINT | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE),
    ]);
endif;
end_page();
