/**
 * Whole conversations as they look on the wire: the examples of the specification (FastCGI 1.0, appendix B), and one for
 * each role and each management record. Read in both directions: our application side must answer `sent` with
 * `received`, and our web-server side must send `sent` and understand `received`.
 */

export interface Conversation {
  readonly name: string;
  readonly source: string;
  /** From the web server, in hex. */
  readonly sent: string;
  /** From the application, in hex. */
  readonly received: string;
}

/** SERVER_PORT = 80, SERVER_ADDR = 199.170.183.42, as in appendix B. */
const appendixParams = (id: string) => `
  01 04 ${id} 002a 00 00
  0b 02 5345525645525f504f5254 3830                                     # SERVER_PORT 80
  0b 0e 5345525645525f41444452 3139392e3137302e3138332e3432             # SERVER_ADDR 199.170.183.42
  01 04 ${id} 0000 00 00                                                # end of PARAMS`;

/** "Content-type: text/html\r\n\r\n<html>\n" */
const page = '436f6e74656e742d747970653a20746578742f68746d6c 0d0a0d0a 3c68746d6c3e0a';

export type ConversationName =
  | 'simple'
  | 'withStdin'
  | 'withError'
  | 'multiplexed'
  | 'authorizer'
  | 'filter'
  | 'values'
  | 'endedValues'
  | 'unknownType'
  | 'unknownRole'
  | 'abort';

export const conversations: Readonly<Record<ConversationName, Conversation>> = {
  simple: {
    name: 'a request without data on STDIN',
    source: 'FastCGI B.1',
    sent: `
      01 01 0001 0008 00 00  0001 00 0000000000
      ${appendixParams('0001')}
      01 05 0001 0000 00 00`,
    received: `
      01 06 0001 0022 00 00  ${page}
      01 06 0001 0000 00 00
      01 03 0001 0008 00 00  00000000 00 000000`,
  },
  withStdin: {
    name: 'a request with data on STDIN',
    source: 'FastCGI B.2',
    sent: `
      01 01 0001 0008 00 00  0001 00 0000000000
      ${appendixParams('0001')}
      01 05 0001 0015 00 00  7175616e746974793d313030266974656d3d333034  # quantity=100&item=304
      01 05 0001 0000 00 00`,
    received: `
      01 06 0001 0022 00 00  ${page}
      01 06 0001 0000 00 00
      01 03 0001 0008 00 00  00000000 00 000000`,
  },
  withError: {
    name: 'an application that logs an error and ends with status 938',
    source: 'FastCGI B.3',
    sent: `
      01 01 0001 0008 00 00  0001 00 0000000000
      ${appendixParams('0001')}
      01 05 0001 0015 00 00  7175616e746974793d313030266974656d3d333034
      01 05 0001 0000 00 00`,
    received: `
      01 06 0001 0022 00 00  ${page}
      01 07 0001 001d 00 00  636f6e666967206572726f723a206d697373696e672053495f5549440a  # config error: missing SI_UID
      01 06 0001 0000 00 00
      01 07 0001 0000 00 00
      01 03 0001 0008 00 00  000003aa 00 000000`,
  },
  multiplexed: {
    name: 'two requests on one connection, of which the second is answered first',
    source: 'FastCGI B.4',
    sent: `
      01 01 0001 0008 00 00  0001 01 0000000000
      ${appendixParams('0001')}
      01 01 0002 0008 00 00  0001 01 0000000000
      01 05 0001 0000 00 00
      ${appendixParams('0002')}
      01 05 0002 0000 00 00`,
    received: `
      01 06 0002 0022 00 00  ${page}
      01 06 0002 0000 00 00
      01 03 0002 0008 00 00  00000000 00 000000
      01 06 0001 0022 00 00  ${page}
      01 06 0001 0000 00 00
      01 03 0001 0008 00 00  00000000 00 000000`,
  },
  authorizer: {
    name: 'an Authorizer that approves',
    source: 'FastCGI 6.3',
    sent: `
      01 01 0001 0008 00 00  0002 00 0000000000
      ${appendixParams('0001')}
      01 05 0001 0000 00 00`,
    received: `
      01 06 0001 0036 00 00
      5374617475733a20323030 0d0a                                                  # Status: 200
      5661726961626c652d415554485f4d4554484f443a206461746162617365206c6f6f6b7570   # Variable-AUTH_METHOD: database lookup
      0d0a0d0a
      01 06 0001 0000 00 00
      01 03 0001 0008 00 00  00000000 00 000000`,
  },
  filter: {
    name: 'a Filter with a file',
    source: 'FastCGI 6.4',
    sent: `
      01 01 0001 0008 00 00  0003 00 0000000000
      01 04 0001 0031 00 00
      10 01 464347495f444154415f4c454e475448 35                                     # FCGI_DATA_LENGTH 5
      12 0a 464347495f444154415f4c4153545f4d4f44 31303030303030303030               # FCGI_DATA_LAST_MOD 1000000000
      01 04 0001 0000 00 00
      01 05 0001 0000 00 00
      01 08 0001 0005 00 00  68656c6c6f                                             # hello
      01 08 0001 0000 00 00`,
    received: `
      01 06 0001 0022 00 00  ${page}
      01 06 0001 0000 00 00
      01 03 0001 0008 00 00  00000000 00 000000`,
  },
  values: {
    name: 'GET_VALUES',
    source: 'FastCGI 4.1',
    sent: `
      01 09 0000 0021 00 00
      0e 00 464347495f4d41585f434f4e4e53     # FCGI_MAX_CONNS
      0f 00 464347495f4d5058535f434f4e4e53   # FCGI_MPXS_CONNS`,
    received: `
      01 0a 0000 0023 00 00
      0e 01 464347495f4d41585f434f4e4e53 37     # FCGI_MAX_CONNS 7
      0f 01 464347495f4d5058535f434f4e4e53 31   # FCGI_MPXS_CONNS 1`,
  },
  endedValues: {
    name: 'GET_VALUES that is ended like a stream',
    source: 'libfcgi, which answers only then',
    sent: `
      01 09 0000 0021 00 00
      0e 00 464347495f4d41585f434f4e4e53     # FCGI_MAX_CONNS
      0f 00 464347495f4d5058535f434f4e4e53   # FCGI_MPXS_CONNS
      01 09 0000 0000 00 00`,
    received: `
      01 0a 0000 0023 00 00
      0e 01 464347495f4d41585f434f4e4e53 37
      0f 01 464347495f4d5058535f434f4e4e53 31
      01 0a 0000 0000 00 00`,
  },
  unknownType: {
    name: 'a management record of an unknown type',
    source: 'FastCGI 4.2',
    sent: '01 63 0000 0003 05 00  616263 0000000000',
    received: '01 0b 0000 0008 00 00  63 00000000000000',
  },
  unknownRole: {
    name: 'a role that does not exist',
    source: 'FastCGI 5.5',
    sent: `
      01 01 0001 0008 00 00  0009 00 0000000000
      ${appendixParams('0001')}
      01 05 0001 0000 00 00`,
    received: '01 03 0001 0008 00 00  00000000 03 000000',
  },
  abort: {
    name: 'ABORT_REQUEST before PARAMS have ended',
    source: 'FastCGI 5.4',
    sent: `
      01 01 0001 0008 00 00  0001 00 0000000000
      01 02 0001 0000 00 00`,
    received: '01 03 0001 0008 00 00  00000001 00 000000',
  },
};
