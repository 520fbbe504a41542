/** `fastway/app`: the application side of FastCGI, to answer a web server from Node. */
export { type ApplicationHandler, type ConnectionOptions, serveConnection } from './connection.ts';
export { ApplicationRequest, type ApplicationRole, type InputStream } from './request.ts';
export { type ApplicationServer, type ServeOptions, serve } from './server.ts';
