<?php
// Answers with the fields and the body that the query asks for.

foreach ($_GET['field'] ?? [] as $name => $value) {
    header("$name: $value");
}
http_response_code((int) ($_GET['status'] ?? 200));
header('Content-Type: text/plain');
echo $_GET['body'] ?? 'the answer of the script';
