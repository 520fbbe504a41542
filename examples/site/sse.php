<?php
declare(strict_types=1);

// Twenty events, one a second. After a break the browser says which it saw last, and the rest follows.
header('Content-Type: text/event-stream');
header('Cache-Control: no-store');
set_time_limit(60);
while (ob_get_level() > 0) {
    ob_end_flush();
}
echo "retry: 2000\n\n";
flush();

$last = (int) ($_SERVER['HTTP_LAST_EVENT_ID'] ?? 0);
for ($id = $last + 1; $id <= 20; $id++) {
    echo "id: $id\ndata: ", json_encode(['number' => $id, 'time' => date('H:i:s'), 'process' => getmypid()]), "\n\n";
    flush();
    if (connection_aborted()) {
        exit;
    }
    sleep(1);
}
echo "event: done\ndata: {}\n\n";
