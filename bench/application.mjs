/** The null application on `fastway/app`: about two hundred bytes, whatever is asked. Its argument is a unix socket. */
import { serve } from '../dist/app/index.js';

const page =
  'Content-Type: text/html\r\n\r\n' +
  '<!doctype html>\n<title>Null</title>\n<p>The application has nothing to say, which it says in about two hundred ' +
  'bytes, as many as others say it in.</p>\n';

await serve(
  (request) => {
    request.write(page);
    request.end();
  },
  { listen: `unix:${process.argv[2]}` },
);
