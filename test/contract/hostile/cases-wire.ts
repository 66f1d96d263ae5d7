import type { Socket } from 'node:net';
import { always, type HostileCase, type HostileReply, once, page, pageText, PLAIN } from './hostile-case.ts';

const BODY = pageText(PLAIN);
const OK = 'HTTP/1.1 200 OK\r\n';
const LENGTH = `content-length: ${BODY.length}\r\n`;
const CHUNK = `${BODY.length.toString(16)}\r\n${BODY}\r\n`;
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;

/** Sends bytes, and then the end of the stream. */
const fin =
  (bytes: string): HostileReply =>
  (socket) =>
    void socket.end(bytes, 'latin1');

/** Sends bytes, and then a reset. */
const reset =
  (bytes: string): HostileReply =>
  (socket) =>
    void socket.write(bytes, 'latin1', () => socket.resetAndDestroy());

/** Sends bytes and leaves the connection open. */
const open =
  (bytes: string): HostileReply =>
  (socket) =>
    void socket.write(bytes, 'latin1');

/** Sends bytes, then one part after another until the client hangs up. `everyMs` 0: as fast as the socket takes them. */
const endless =
  (bytes: string, part: string | Buffer, everyMs: number): HostileReply =>
  (socket) => {
    socket.write(bytes, 'latin1');
    if (everyMs > 0) drip(socket, part, everyMs);
    else flood(socket, part);
  };

function drip(socket: Socket, part: string | Buffer, everyMs: number): void {
  const timer = setInterval(() => socket.write(part), everyMs);
  socket.on('close', () => clearInterval(timer));
}

function flood(socket: Socket, part: string | Buffer): void {
  const pump = (): void => {
    while (!socket.destroyed && socket.write(part));
  };
  socket.on('drain', pump);
  pump();
}

const passing = (name: string, reply: HostileReply): HostileCase => ({
  name,
  answer: always(reply),
  outcome: { state: 'done' },
});

const transient = (name: string, reply: HostileReply): HostileCase => ({
  name,
  answer: once(reply),
  outcome: { state: 'done', fault: 'transient' },
});

const broken = (name: string, reply: HostileReply): HostileCase => ({
  name,
  answer: always(reply),
  outcome: { state: 'quarantined', fault: 'page-shape', items: [] },
});

/** Nothing says that the body is cut but its text: it is asked for again all the same. */
const cutUnseen = (name: string, reply: HostileReply): HostileCase => ({
  name,
  answer: once(reply),
  outcome: { state: 'done', fault: 'page-shape' },
});

const CONNECTIONS: readonly HostileCase[] = [
  transient('no answer', fin('')),
  transient('reset before the headers', reset('')),
  transient('end inside the status line', fin('HTTP/1.1 20')),
  transient('end inside the headers', fin(`${OK}content-`)),
  transient('reset inside the headers', reset(`${OK}content-`)),
  transient('end inside the body', fin(`${OK}${LENGTH}\r\n${BODY.slice(0, 9)}`)),
  transient('reset inside the body', reset(`${OK}${LENGTH}\r\n${BODY.slice(0, 9)}`)),
  transient('end after the headers', fin(`${OK}${LENGTH}\r\n`)),
  passing('reset after the body', (socket) => {
    socket.write(`${OK}${LENGTH}connection: close\r\n\r\n${BODY}`, () =>
      setTimeout(() => socket.resetAndDestroy(), 200),
    );
  }),
  passing('end after the body without a word', fin(`${OK}${LENGTH}\r\n${BODY}`)),
  transient('reset of every second call', reset('')),
  transient('headers that never come', open('')),
  transient('a body that never comes', open(`${OK}${LENGTH}\r\n`)),
  transient('a body of one byte now and then', endless(`${OK}content-length: 100000\r\n\r\n`, ' ', 200)),
  transient('headers of one byte now and then', endless(`${OK}x: `, 'y', 200)),
  transient('headers of one line now and then', endless(OK, 'x-y: z\r\n', 200)),
  transient('chunks of one byte now and then', endless(CHUNKED, '1\r\n \r\n', 200)),
];

const HEADS: readonly HostileCase[] = [
  transient('headers without end', endless(OK, `x-y: ${'z'.repeat(1000)}\r\n`, 0)),
  transient('one header without end', endless(`${OK}x-y: `, 'z'.repeat(10_000), 0)),
  transient('a header name without end', endless(OK, 'x'.repeat(10_000), 0)),
  transient('a header of 100 KB', open(`${OK}x-y: ${'z'.repeat(100_000)}\r\n${LENGTH}\r\n${BODY}`)),
  transient('10,000 headers', open(`${OK}${'x-y: z\r\n'.repeat(10_000)}${LENGTH}\r\n${BODY}`)),
  passing('500 headers', open(`${OK}${'x-y: z\r\n'.repeat(500)}${LENGTH}\r\n${BODY}`)),
  transient('informational answers without end', endless('', 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n', 1)),
  passing(
    'an early hint before the answer',
    open(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${OK}${LENGTH}\r\n${BODY}`),
  ),
  passing('102 before the answer', open(`HTTP/1.1 102 Processing\r\n\r\n${OK}${LENGTH}\r\n${BODY}`)),
  transient('100 although nothing was to be sent', open(`HTTP/1.1 100 Continue\r\n\r\n${OK}${LENGTH}\r\n${BODY}`)),
  transient(
    '101 to another protocol',
    open('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
  ),
  transient('another protocol', fin('SSH-2.0-OpenSSH_9.6\r\n\r\n')),
  transient('HTTP/0.9: a body alone', fin(BODY)),
  passing('HTTP/2 in the status line', fin(`HTTP/2.0 200 OK\r\n${LENGTH}\r\n${BODY}`)),
  transient('a status of four digits', fin(`HTTP/1.1 2000 OK\r\n${LENGTH}\r\n${BODY}`)),
  transient('a status of two digits', fin(`HTTP/1.1 20 OK\r\n${LENGTH}\r\n${BODY}`)),
  transient('a status that is a word', fin(`HTTP/1.1 OK OK\r\n${LENGTH}\r\n${BODY}`)),
  passing('a status without a reason', open(`HTTP/1.1 200\r\n${LENGTH}\r\n${BODY}`)),
  transient('a header without a colon', fin(`${OK}${LENGTH}nonsense\r\n\r\n${BODY}`)),
  transient('a NUL in a header', fin(`${OK}${LENGTH}x-y: a\0b\r\n\r\n${BODY}`)),
  transient('a space in the name of a header', fin(`${OK}${LENGTH}x y: z\r\n\r\n${BODY}`)),
  passing('bytes above ASCII in a header', open(`${OK}${LENGTH}x-y: \xff\xfe\xe9\r\n\r\n${BODY}`)),
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'].map((name) =>
    passing(`the header ${name}`, open(`${OK}${LENGTH}${name}: x\r\n${name}: y\r\n\r\n${BODY}`)),
  ),
  passing('500 cookies', open(`${OK}${'set-cookie: a=b\r\n'.repeat(500)}${LENGTH}\r\n${BODY}`)),
  passing('the content type of a web page around JSON', { body: BODY, headers: { 'content-type': 'text/html' } }),
  passing('a content type that is nonsense', { body: BODY, headers: { 'content-type': ';;;=,' } }),
  passing('no content type', open(`${OK}${LENGTH}\r\n${BODY}`)),
  passing('a location beside a page', { body: BODY, headers: { location: 'http://elsewhere.invalid/' } }),
];

const LENGTHS: readonly HostileCase[] = [
  passing('no length, ended by the connection', fin(`${OK}connection: close\r\n\r\n${BODY}`)),
  passing('HTTP/1.0 without a length', fin(`HTTP/1.0 200 OK\r\n\r\n${BODY}`)),
  cutUnseen('HTTP/1.0 cut by a reset', reset(`HTTP/1.0 200 OK\r\n\r\n${BODY.slice(0, 9)}`)),
  cutUnseen('HTTP/1.0 cut by an end', fin(`HTTP/1.0 200 OK\r\n\r\n${BODY.slice(0, 9)}`)),
  cutUnseen('a body that its connection cuts', reset(`${OK}connection: close\r\n\r\n${BODY.slice(0, 9)}`)),
  transient('a length that is too long', fin(`${OK}content-length: 1000\r\n\r\n${BODY}`)),
  broken('a length that is too short', fin(`${OK}content-length: 9\r\n\r\n${BODY}`)),
  broken('a length of 0 before a body', fin(`${OK}content-length: 0\r\n\r\n${BODY}`)),
  transient('a length that is a word', fin(`${OK}content-length: many\r\n\r\n${BODY}`)),
  transient('a negative length', fin(`${OK}content-length: -1\r\n\r\n${BODY}`)),
  transient('a length beyond 64 bits', fin(`${OK}content-length: ${'9'.repeat(30)}\r\n\r\n${BODY}`)),
  transient('two lengths', fin(`${OK}${LENGTH}content-length: 9\r\n\r\n${BODY}`)),
  transient('a length and chunks', fin(`${OK}${LENGTH}transfer-encoding: chunked\r\n\r\n${CHUNK}0\r\n\r\n`)),
  {
    name: 'a length of 1 TB',
    answer: once(open(`${OK}content-length: 1000000000000\r\n\r\n${BODY}`)),
    outcome: { state: 'done', fault: 'page-too-large' },
  },
  {
    name: 'a body without end',
    answer: once(endless(`${OK}\r\n`, '{"data":['.padEnd(10_000), 0)),
    outcome: { state: 'done', fault: 'page-too-large' },
  },
  {
    name: 'chunks without end',
    answer: once(endless(CHUNKED, `2710\r\n${' '.repeat(10_000)}\r\n`, 0)),
    outcome: { state: 'done', fault: 'page-too-large' },
  },
  passing(
    'a page in chunks of one byte',
    open(
      `${CHUNKED}${BODY.split('')
        .map((byte) => `1\r\n${byte}\r\n`)
        .join('')}0\r\n\r\n`,
    ),
  ),
  passing('chunks with extensions', open(`${CHUNKED}${CHUNK.replace('\r\n', ';a=b;c="d"\r\n')}0\r\n\r\n`)),
  passing('chunks with a trailer', open(`${CHUNKED}${CHUNK}0\r\nx-y: z\r\n\r\n`)),
  transient('trailers without end', endless(`${CHUNKED}${CHUNK}0\r\n`, `x-y: ${'z'.repeat(1000)}\r\n`, 0)),
  transient('a chunk extension without end', endless(`${CHUNKED}5;`, 'x'.repeat(10_000), 0)),
  transient('chunks that end too early', fin(`${CHUNKED}${CHUNK}`)),
  transient('a chunk that is cut', fin(`${CHUNKED}${CHUNK.slice(0, 9)}`)),
  transient('a chunk length that is none', fin(`${CHUNKED}xyz\r\n${BODY}\r\n0\r\n\r\n`)),
  transient('a negative chunk length', fin(`${CHUNKED}-5\r\n${BODY}\r\n0\r\n\r\n`)),
  transient('a chunk longer than said', fin(`${CHUNKED}1\r\n${BODY}\r\n0\r\n\r\n`)),
  transient('a chunk length of 100 digits', fin(`${CHUNKED}${'f'.repeat(100)}\r\n${BODY}\r\n0\r\n\r\n`)),
];

const EVIL = pageText(['{"id":"evil"}']);
const SECOND = `${OK}content-length: ${EVIL.length}\r\n\r\n${EVIL}`;

/** What comes behind an answer belongs to nobody, least of all to the next user on that connection. */
const DESYNC: readonly HostileCase[] = [
  passing('a second answer that nobody asked for', open(`${OK}${LENGTH}\r\n${BODY}${SECOND}`)),
  passing('ten answers for one question', open(`${OK}${LENGTH}\r\n${BODY}${SECOND.repeat(10)}`)),
  passing('garbage behind the answer', open(`${OK}${LENGTH}\r\n${BODY}\0\xff\r\n\r\ngarbage`)),
  passing('a second answer behind the chunks', open(`${CHUNKED}${CHUNK}0\r\n\r\n${SECOND}`)),
  passing('an answer in two halves', (socket) => {
    socket.write(`${OK}${LENGTH}\r\n${BODY.slice(0, 5)}`);
    setTimeout(() => socket.write(BODY.slice(5)), 20);
  }),
  passing('an answer byte by byte', (socket) => {
    socket.setNoDelay(true);
    const bytes = `${OK}${LENGTH}\r\n${BODY}`;
    let at = 0;
    const timer = setInterval(() => {
      if (at >= bytes.length || socket.destroyed) clearInterval(timer);
      else socket.write(bytes.charAt(at++));
    }, 1);
  }),
];

/** Connections, heads, lengths and what comes behind an answer. */
export const WIRE_CASES: readonly HostileCase[] = [
  ...CONNECTIONS,
  ...HEADS,
  ...LENGTHS,
  ...DESYNC,
  { name: 'a plain page', answer: always(page()), outcome: { state: 'done' } },
];
