<?php
// The PHP program of the application suite (test/support/application-suite.ts): one script, routed by PATH_INFO.

function answerJson(mixed $value): void
{
    header('Content-Type: application/json');
    echo json_encode($value, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
}

function describeBytes(string $bytes): array
{
    return ['bytes' => strlen($bytes), 'sha256' => hash('sha256', $bytes)];
}

/** Blocks of 64 KiB, each with its number in front, so that a lost, repeated or moved block is seen. */
function sendPattern(int $bytes): void
{
    $filler = substr(str_repeat('0123456789abcdef', 4096), 11);
    for ($block = 0; $bytes > 0; $block++) {
        $text = sprintf("%010d\n", $block) . $filler;
        echo $bytes < 65536 ? substr($text, 0, $bytes) : $text;
        $bytes -= 65536;
    }
}

function flushAll(): void
{
    while (ob_get_level() > 0) {
        ob_end_flush();
    }
    flush();
}

$route = explode('/', $_SERVER['PATH_INFO'] ?? '/')[1] ?? '';
switch ($route) {
    case 'echo':
        answerJson(['variables' => array_filter($_SERVER, 'is_string'), 'query' => (object) $_GET]);
        break;
    case 'form':
        answerJson(['fields' => $_POST]);
        break;
    case 'upload':
        $file = $_FILES['file'];
        answerJson(['fields' => $_POST, 'filename' => $file['name']] + describeBytes(file_get_contents($file['tmp_name'])));
        break;
    case 'body':
        $context = hash_init('sha256');
        $input = fopen('php://input', 'rb');
        $bytes = hash_update_stream($context, $input);
        answerJson(['bytes' => $bytes, 'sha256' => hash_final($context)]);
        break;
    case 'cookies':
        setcookie('first', 'one');
        setcookie('second', 'two');
        answerJson(['cookies' => (object) $_COOKIE]);
        break;
    case 'redirect':
        header('Location: ' . $_SERVER['SCRIPT_NAME'] . '/echo?from=redirect');
        break;
    case 'broken':
        http_response_code(500);
        header('Content-Type: text/plain');
        echo 'broken on purpose';
        break;
    case 'download':
        $bytes = (int) $_GET['bytes'];
        header('Content-Type: application/octet-stream');
        if (isset($_GET['length'])) {
            header("Content-Length: $bytes");
        }
        set_time_limit(0);
        sendPattern($bytes);
        break;
    case 'events':
        header('Content-Type: text/event-stream');
        foreach ([1, 2, 3] as $event) {
            echo "data: $event\n\n";
            flushAll();
            usleep(100_000);
        }
        break;
    case 'wait':
        // The first byte makes the head leave; a failed later write is how PHP learns that the client has gone.
        header('Content-Type: text/plain');
        for ($tick = 0; $tick < (int) $_GET['ticks']; $tick++) {
            echo '.';
            flushAll();
            usleep(50_000);
        }
        break;
    case 'log':
        error_log('a message for the log');
        echo 'logged';
        break;
    case 'sleep':
        usleep(1000 * (int) $_GET['ms']);
        header('Content-Type: text/plain');
        echo getmypid();
        break;
    case 'gate':
        // test/support/file-gate.ts
        file_put_contents($_GET['gate'], getmypid() . "\n", FILE_APPEND);
        while (!file_exists($_GET['gate'] . '.open')) {
            usleep(5_000);
            clearstatcache();
        }
        echo getmypid();
        break;
    case 'count':
        // One byte for each run: tells how often a script ran.
        file_put_contents($_GET['file'], '+', FILE_APPEND);
        answerJson(describeBytes(file_get_contents('php://input')));
        break;
    default:
        http_response_code(404);
        header('Content-Type: text/plain');
        echo 'no such route';
}
