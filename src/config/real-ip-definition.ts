/** Which proxies are believed, and what they tell. */
import { z } from 'zod';
import { AddressSet } from '../http/address-set.ts';
import type { TrustedProxies } from '../http/real-ip.ts';
import { held } from './held.ts';
import type { RealIpInput } from './types.ts';
import { addressBlock, fieldName, strict } from './values.ts';

const proxies = strict({
  trusted: z
    .array(addressBlock)
    .prefault([])
    .transform((blocks) => new AddressSet(blocks))
    .describe(
      'Addresses and blocks of proxies that are trusted; `unix` for clients on a unix socket. None: anybody can write a field.',
    ),
  field: fieldName
    .prefault('x-forwarded-for')
    .describe(
      "The one field that tells the client's address: the one that your proxy writes. `x-forwarded-for` and `forwarded` (RFC 7239) are read from right to left, up to the first address that is not trusted; anything that is not an address ends the search at the last one that was. Any other, as `x-real-ip` or `cf-connecting-ip`, has one value, and a request in which it comes twice is 400: one of the two is the client's.",
    ),
  protoField: z
    .union([fieldName, z.literal(false)])
    .optional()
    .describe(
      'Tells whether the client came by `https`, in its last value. `x-forwarded-proto` without it, or the `proto` of `forwarded` when that is the `field`.',
    ),
  hostField: z
    .union([fieldName, z.literal(false)])
    .optional()
    .describe(
      'Tells the host that the client asked for, as `x-forwarded-host`: by it the virtual server is chosen, and HTTP_HOST is it. Without it none, as many proxies pass on what a client wrote there; the `host` of `forwarded` when that is the `field`.',
    ),
  portField: z
    .union([fieldName, z.literal(false)])
    .prefault(false)
    .describe(
      'Tells SERVER_PORT, as `x-forwarded-port`. Without it that is the port in the host, or the usual one of the scheme, once a proxy tells either.',
    ),
}).transform(({ trusted, field, protoField, hostField, portField }): TrustedProxies => {
  const isForwarded = field === 'forwarded';
  return {
    trusted,
    field,
    protoField: orNone(protoField ?? (isForwarded ? 'forwarded' : 'x-forwarded-proto')),
    hostField: orNone(hostField ?? (isForwarded && 'forwarded')),
    portField: orNone(portField),
  };
});

export const realIp: z.ZodType<TrustedProxies, RealIpInput> = held<TrustedProxies, RealIpInput>()(proxies);

function orNone(field: string | false): string | undefined {
  return field === false ? undefined : field;
}
