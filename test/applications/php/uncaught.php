<?php
// Ends with an exception that nobody catches.

function fail(string $why): never
{
    throw new RuntimeException($why);
}

fail('nobody catches this');
