/** node-fastcgi, from npm. */
import { createServer } from 'node-fastcgi';
import { path } from './answers.mjs';
import { listener } from './listener.mjs';

createServer(listener).listen(path);
