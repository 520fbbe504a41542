<?php
// Echoes its variables, an empty line and its STDIN: what the conformance kit asks of an application that shows what it got.
header('Content-Type: text/plain');
foreach ($_SERVER as $name => $value) {
    if (is_string($value)) {
        echo "$name=$value\n";
    }
}
echo "\n", file_get_contents('php://input');
