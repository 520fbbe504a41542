/** Fields about one connection and its framing: the front's own business, so that what an application says of them is dropped. */
export const framingFields: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'trailer',
  'upgrade',
]);
