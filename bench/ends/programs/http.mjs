/** `fromHttp` of fastway/app. */
import { fromHttp, serve } from 'fastway/app';
import { path } from './answers.mjs';
import { listener } from './listener.mjs';

await serve(fromHttp(listener), { listen: `unix:${path}` });
