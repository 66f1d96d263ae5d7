import { afterEach, describe, expect, it } from 'vitest';

import { callTo, closeAll, faultOf, open, serve } from './calling.ts';
import { startHttpServer, startProxy, startRawServer } from './servers.ts';

afterEach(closeAll);

const NOWHERE = { url: 'http://127.0.0.1:1' };

describe('whose fault it is that a call through a proxy failed', () => {
  it.each([201, 400, 401, 403, 404, 405, 407, 429, 500, 503, 511])(
    'the proxy, when it answers CONNECT with %d',
    async (status) => {
      const proxy = await serve(
        startRawServer((socket) => socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 2\r\n\r\nno`)),
      );
      const fault = await faultOf(open().call(callTo(NOWHERE, { proxyUrl: proxy.url })));
      expect(fault).toMatchObject({ code: 'proxy', treatment: 'retry' });
      expect(fault.message).toContain(`refused the tunnel (status ${status})`);
      await proxy.idle();
    },
  );

  it.each([502, 504])('the upstream, when the proxy says so with %d', async (status) => {
    const proxy = await serve(startRawServer((socket) => socket.end(`HTTP/1.1 ${status} No\r\n\r\n`)));
    const fault = await faultOf(open().call(callTo(NOWHERE, { proxyUrl: proxy.url })));
    expect(fault.code).toBe('transient');
    expect(fault.message).toContain(`the proxy ${proxy.host} refused the tunnel (status ${status})`);
  });

  it.each([
    ['hangs up', ''],
    ['speaks something else', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['cuts its answer', 'HTTP/1.1 200 Conn'],
  ])('the proxy, when it %s', async (_name, bytes) => {
    const proxy = await serve(startRawServer((socket) => socket.end(bytes)));
    const fault = await faultOf(open().call(callTo(NOWHERE, { proxyUrl: proxy.url })));
    expect(fault.code).toBe('proxy');
    expect(fault.message).toContain(`the proxy ${proxy.host} cannot be used`);
  });

  it('the proxy, when it takes the connection and says nothing', async () => {
    const proxy = await serve(startRawServer(() => undefined));
    const upstream = open({ connectTimeoutMs: 100 });
    expect((await faultOf(upstream.call(callTo(NOWHERE, { proxyUrl: proxy.url })))).code).toBe('proxy');
    await proxy.idle();
  });

  it.each<readonly [string, string]>([
    ['hangs up behind the tunnel', ''],
    ['cuts its answer', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"data"'],
    ['speaks something else', 'hello\r\n\r\n'],
  ])('the upstream, when it %s', async (_name, bytes) => {
    const proxy = await serve(startProxy());
    const server = await serve(startRawServer((socket) => socket.end(bytes)));
    expect((await faultOf(open().call(callTo(server, { proxyUrl: proxy.url })))).code).toBe('transient');
  });

  it('the upstream, when it does not answer in time behind a tunnel', async () => {
    const proxy = await serve(startProxy());
    const server = await serve(startRawServer(() => undefined));
    const fault = await faultOf(open().call(callTo(server, { proxyUrl: proxy.url, timeoutMs: 500 })));
    expect(fault.code).toBe('transient');
    await server.idle();
  });

  it('nobody, when the upstream answers with an error', async () => {
    const proxy = await serve(startProxy());
    for (const status of [407, 500, 502, 504]) {
      const server = await serve(startHttpServer((_request, response) => response.writeHead(status).end('no')));
      expect(await open().call(callTo(server, { proxyUrl: proxy.url }))).toMatchObject({ status, text: 'no' });
    }
  });
});
