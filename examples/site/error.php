<?php
declare(strict_types=1);

require __DIR__ . '/parts/page.php';

error_log('The demo page error.php failed, as it was asked to');
http_response_code(500);
start_page('An error', 'This page has status 500, and it wrote a line to the error log.');
?>
  <p>Look at the terminal where Fastway runs: the line stands there with the request that it belongs to. The page itself came through
    as the script made it, since the handler’s option <code>errorHandler</code> is on; with it off you would see the error page
    of the virtual server.</p>
<?php
end_page();
