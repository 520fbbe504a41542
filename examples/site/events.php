<?php
declare(strict_types=1);

require __DIR__ . '/parts/page.php';

start_page('Server-sent events', 'The script at the other end still runs while you read what it said.');
?>
  <p class="figure"><b id="value">–</b> <span id="state">not connected</span></p>
  <p class="buttons"><button id="toggle" data-source="<?= e(url('sse.php')) ?>">Connect</button></p>
  <ol class="log" id="log" reversed aria-live="polite"></ol>
  <p class="quiet">One event a second, twenty in all. Such a script holds one worker of PHP for as long as it runs.</p>
  <script src="<?= e(url('assets/events.js')) ?>" defer></script>
  <noscript><p class="note">This page needs JavaScript; the events themselves are at <a href="<?= e(url('sse.php')) ?>">sse.php</a>.</p></noscript>
<?php
end_page();
