/**
 * Records as they look on the wire, from the FastCGI 1.0 specification and from real programs.
 * Read in both directions: `encoded` by the parser must give `heard`, and our encoder must give `encoded`, where we are
 * the ones who send it.
 */

/** What a parser hears: a piece of a stream or a whole record. */
export type Heard = readonly [kind: 'stream' | 'record', type: number, requestId: number, content: string];

export interface RecordVector {
  readonly name: string;
  /** Section of the specification, or the program that sends it. */
  readonly source: string;
  readonly encoded: string;
  /** With contents in hex; pieces of one stream record joined. */
  readonly heard: readonly Heard[];
}

export const recordVectors: readonly RecordVector[] = [
  {
    name: 'BEGIN_REQUEST, Responder, KEEP_CONN',
    source: 'FastCGI 5.1',
    encoded: `
      01 01 0001 0008 00 00   # version 1, BEGIN_REQUEST, request 1, 8 bytes, no padding, reserved
      0001 01 0000000000      # role Responder, flags KEEP_CONN, reserved`,
    heard: [['record', 1, 1, '0001010000000000']],
  },
  {
    name: 'BEGIN_REQUEST, Authorizer, request 65535',
    source: 'FastCGI 5.1, 6.3',
    encoded: '01 01 ffff 0008 00 00  0002 00 0000000000',
    heard: [['record', 1, 65_535, '0002000000000000']],
  },
  {
    name: 'BEGIN_REQUEST, Filter',
    source: 'FastCGI 5.1, 6.4',
    encoded: '01 01 0001 0008 00 00  0003 00 0000000000',
    heard: [['record', 1, 1, '0003000000000000']],
  },
  {
    name: 'ABORT_REQUEST',
    source: 'FastCGI 5.4',
    encoded: '01 02 0001 0000 00 00',
    heard: [['record', 2, 1, '']],
  },
  {
    name: 'END_REQUEST, exit status 938',
    source: 'FastCGI 5.5',
    encoded: '01 03 0001 0008 00 00  000003aa 00 000000',
    heard: [['record', 3, 1, '000003aa00000000']],
  },
  {
    name: 'END_REQUEST, OVERLOADED',
    source: 'FastCGI 5.5',
    encoded: '01 03 0001 0008 00 00  00000000 02 000000',
    heard: [['record', 3, 1, '0000000002000000']],
  },
  {
    name: 'PARAMS: SERVER_PORT = 80, and the end of PARAMS',
    source: 'FastCGI 5.2, appendix B',
    encoded: `
      01 04 0001 000f 00 00   # 15 bytes
      0b 02                   # lengths 11 and 2
      5345525645525f504f5254  # SERVER_PORT
      3830                    # 80
      01 04 0001 0000 00 00   # end of PARAMS`,
    heard: [
      ['stream', 4, 1, '0b025345525645525f504f52543830'],
      ['stream', 4, 1, ''],
    ],
  },
  {
    name: 'STDIN and its end',
    source: 'FastCGI 5.3',
    encoded: '01 05 0001 0005 00 00  68656c6c6f  01 05 0001 0000 00 00',
    heard: [
      ['stream', 5, 1, '68656c6c6f'],
      ['stream', 5, 1, ''],
    ],
  },
  {
    name: 'STDOUT with 3 bytes of padding',
    source: 'FastCGI 3.3',
    encoded: '01 06 0001 0005 03 00  68656c6c6f 000000',
    heard: [['stream', 6, 1, '68656c6c6f']],
  },
  {
    name: 'STDERR',
    source: 'FastCGI 5.3',
    encoded: '01 07 0001 0004 00 00  6f6f7073',
    heard: [['stream', 7, 1, '6f6f7073']],
  },
  {
    name: 'DATA of a Filter',
    source: 'FastCGI 5.3, 6.4',
    encoded: '01 08 0001 0002 00 00  0d0a',
    heard: [['stream', 8, 1, '0d0a']],
  },
  {
    name: 'GET_VALUES: FCGI_MAX_CONNS',
    source: 'FastCGI 4.1',
    encoded: '01 09 0000 0010 00 00  0e 00 464347495f4d41585f434f4e4e53',
    heard: [['record', 9, 0, '0e00464347495f4d41585f434f4e4e53']],
  },
  {
    name: 'GET_VALUES_RESULT: FCGI_MPXS_CONNS = 0',
    source: 'FastCGI 4.1',
    encoded: '01 0a 0000 0012 00 00  0f 01 464347495f4d5058535f434f4e4e53 30',
    heard: [['record', 10, 0, '0f01464347495f4d5058535f434f4e4e5330']],
  },
  {
    name: 'UNKNOWN_TYPE about type 99',
    source: 'FastCGI 4.2',
    encoded: '01 0b 0000 0008 00 00  63 00000000000000',
    heard: [['record', 11, 0, '6300000000000000']],
  },
];

/** What others send and we do not: only read. */
export const foreignVectors: readonly RecordVector[] = [
  {
    name: 'the end of a PHP answer: STDOUT, padding, END_REQUEST with garbage in its reserved bytes, no end of STDOUT',
    source: 'php-fpm 8.2',
    encoded: `
      01 06 0001 0002 06 00  6f6b 000000000000
      01 03 0001 0008 00 00  00000000 00 2e6c69`,
    heard: [
      ['stream', 6, 1, '6f6b'],
      ['record', 3, 1, '00000000002e6c69'],
    ],
  },
  {
    name: 'a type that nobody knows, with padding',
    source: 'FastCGI 4.2',
    encoded: '01 63 0000 0003 02 00  616263 0000',
    heard: [['record', 99, 0, '616263']],
  },
  {
    name: 'a header with a reserved byte that is not zero',
    source: 'FastCGI 3.3',
    encoded: '01 06 0001 0001 00 ff  21',
    heard: [['stream', 6, 1, '21']],
  },
  {
    name: 'an end of a stream with padding',
    source: 'libfcgi',
    encoded: '01 06 0001 0000 04 00  00000000  01 06 0001 0001 00 00 2e',
    heard: [
      ['stream', 6, 1, ''],
      ['stream', 6, 1, '2e'],
    ],
  },
  {
    name: 'an empty record of a type that is no stream, with padding',
    source: 'FastCGI 3.3',
    encoded: '01 63 0000 0000 01 00  00',
    heard: [['record', 99, 0, '']],
  },
];
