import { freePort, startProxy, startRawServer, type TestServer } from '../upstream/servers.ts';
import { always, type HostileCase, type HostileReply, once, page, PLAIN } from './hostile-case.ts';

const opened: TestServer[] = [];

async function open(server: Promise<TestServer>): Promise<string> {
  const started = await server;
  opened.push(started);
  return started.url;
}

/** For `afterAll`. */
export async function closeProxies(): Promise<void> {
  for (const server of opened.splice(0)) await server.close();
}

const answering = (bytes: string): Promise<string> => open(startRawServer((socket) => void socket.end(bytes)));

/** Proxies that fail before there is a tunnel. */
const BROKEN: Readonly<Record<string, string>> = {
  'nobody listens': `http://127.0.0.1:${await freePort()}`,
  'it knows no such user': await answering('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
  'it forbids the host': await answering('HTTP/1.1 403 Forbidden\r\n\r\n'),
  'it is overloaded': await answering('HTTP/1.1 503 Service Unavailable\r\n\r\n'),
  'it is a web server': await answering('HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 2\r\n\r\nno'),
  'it hangs up': await answering(''),
  'it says nothing': await open(startRawServer(() => undefined)),
  'it speaks something else': await answering('220 smtp ready\r\n'),
  'it redirects': await answering('HTTP/1.1 302 Found\r\nlocation: http://elsewhere.invalid/\r\n\r\n'),
  'its head does not end': await open(
    startRawServer((socket) => {
      const pump = (): void => {
        while (!socket.destroyed && socket.write(`x-y: ${'z'.repeat(1000)}\r\n`));
      };
      socket.on('drain', pump);
      socket.write('HTTP/1.1 200 OK\r\n');
      pump();
    }),
  ),
};

const GOOD = await open(startProxy());

/** Without the permission nothing goes past the proxy. */
const held = Object.entries(BROKEN)
  // Forty attempts that each run into a timeout would say nothing more.
  .filter(([name]) => name !== 'it says nothing')
  .map(([name, proxyUrl]): HostileCase => ({
    name: `proxy: ${name}; the user may not go direct`,
    user: { proxyUrl: proxyUrl.replace('http://', 'http://name:word@') },
    answer: always(page()),
    outcome: { state: 'failed', fault: 'proxy', items: [], callsMax: 0 },
  }));

/** With it, the same call goes direct. */
const direct = Object.entries(BROKEN).map(([name, proxyUrl]): HostileCase => ({
  name: `proxy: ${name}; the user may go direct`,
  user: { proxyUrl, allowDirect: true },
  answer: always(page()),
  outcome: { state: 'done', fault: 'proxy', callsMax: 1 },
}));

/** The upstream is at fault: going direct would show who asks, and help nobody. */
const behind = (
  [
    ['the upstream is away, says the proxy with 502', await answering('HTTP/1.1 502 Bad Gateway\r\n\r\n')],
    ['the upstream is slow, says the proxy with 504', await answering('HTTP/1.1 504 Gateway Timeout\r\n\r\n')],
  ] as const
).map(([name, proxyUrl]): HostileCase => ({
  name: `proxy: ${name}`,
  user: { proxyUrl, allowDirect: true },
  answer: always(page()),
  outcome: { state: 'failed', fault: 'transient', items: [], callsMax: 0 },
}));

const through = (
  name: string,
  answer: HostileCase['answer'],
  outcome: Partial<HostileCase['outcome']> = {},
): HostileCase => ({
  name: `through a proxy: ${name}`,
  user: { proxyUrl: GOOD, allowDirect: true },
  answer,
  outcome: { state: 'done', items: PLAIN, ...outcome },
});

const raw =
  (bytes: string, isReset = false): HostileReply =>
  (socket) =>
    void socket.write(bytes, () => (isReset ? socket.resetAndDestroy() : socket.end()));

/** Users with proxies of every kind. Loading this file starts them; `closeProxies` ends them. */
export const PROXY_CASES: readonly HostileCase[] = [
  ...held,
  ...direct,
  ...behind,
  through('a page', always(page()), { callsMax: 1 }),
  through('a reset', once(raw('', true)), { fault: 'transient' }),
  through('a body that is cut', once(raw('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{')), { fault: 'transient' }),
  through(
    'no answer',
    once(() => undefined),
    { fault: 'transient' },
  ),
  through('503', once({ status: 503 }), { fault: 'transient' }),
  through('407 of the upstream', always({ status: 407 }), {
    state: 'quarantined',
    fault: 'refused',
    items: [],
    callsMax: 1,
  }),
  {
    name: 'proxy: its address is none',
    user: { proxyUrl: 'http://name:word@:x', allowDirect: true },
    answer: always(page()),
    outcome: { state: 'quarantined', fault: 'refused', items: [], callsMax: 0 },
  },
];
