import { afterEach, describe, expect, it } from 'vitest';

import { callTo, closeAll, faultOf, open, SECRET_HEADER, serve } from './calling.ts';
import { freePort, startHttpServer, startProxy, startRawServer } from './servers.ts';

afterEach(closeAll);

describe('a proxy', () => {
  const password = 'hidden:p@ss';
  const authorization = `Basic ${Buffer.from(`user:${password}`).toString('base64')}`;
  const withPassword = (proxy: { readonly host: string }): string =>
    `http://user:${encodeURIComponent(password)}@${proxy.host}`;

  it('carries the call through a tunnel and never sees its headers as its own', async () => {
    const targets: string[] = [];
    const proxy = await serve(startProxy({ onConnect: (target) => targets.push(target) }));
    const server = await serve(startHttpServer((request, response) => response.end(JSON.stringify(request.headers))));
    const answer = await open().call(callTo(server, { proxyUrl: proxy.url }));
    expect(targets).toEqual([server.host]);
    expect(JSON.parse(answer.text)).toMatchObject({ authorization: `Bearer ${SECRET_HEADER}`, host: server.host });
    expect(answer.text).not.toContain('proxy-authorization');
  });

  it('is told user and password, the origin is not', async () => {
    const proxy = await serve(startProxy({ authorization }));
    const server = await serve(startHttpServer((request, response) => response.end(JSON.stringify(request.headers))));
    const answer = await open().call(callTo(server, { proxyUrl: withPassword(proxy) }));
    expect(answer.status).toBe(200);
    expect(answer.text).not.toContain('proxy-authorization');
  });

  it('that refuses the password is named without it', async () => {
    const proxy = await serve(startProxy({ authorization }));
    const server = await serve(startHttpServer((_request, response) => response.end('{}')));
    const fault = await faultOf(open().call(callTo(server, { proxyUrl: `http://user:hidden@${proxy.host}` })));
    expect(fault).toMatchObject({
      code: 'proxy',
      message: expect.stringContaining(`the proxy ${proxy.host} refused the tunnel (status 407)`) as string,
    });
  });

  it('that nobody runs is named', async () => {
    const host = `127.0.0.1:${await freePort()}`;
    const fault = await faultOf(
      open().call(callTo({ url: 'http://127.0.0.1:1' }, { proxyUrl: withPassword({ host }) })),
    );
    expect(fault).toMatchObject({
      code: 'proxy',
      message: expect.stringContaining(`the proxy ${host} cannot be used`) as string,
    });
  });

  it('that hangs up is named', async () => {
    const proxy = await serve(startRawServer((socket) => socket.destroy()));
    const fault = await faultOf(open().call(callTo({ url: 'http://127.0.0.1:1' }, { proxyUrl: proxy.url })));
    expect(fault).toMatchObject({
      code: 'proxy',
      message: expect.stringContaining(`the proxy ${proxy.host}`) as string,
    });
  });

  it('that never answers is bounded by the timeout of the call', async () => {
    const proxy = await serve(startRawServer(() => undefined));
    const fault = await faultOf(
      open().call(callTo({ url: 'http://127.0.0.1:1' }, { proxyUrl: proxy.url, timeoutMs: 30 })),
    );
    expect(fault).toMatchObject({
      code: 'transient',
      message: expect.stringContaining(`the proxy ${proxy.host}`) as string,
    });
  });

  it('whose address is not valid is refused', async () => {
    const fault = await faultOf(
      open().call(callTo({ url: 'http://127.0.0.1:1' }, { proxyUrl: 'http://user:hidden@:x' })),
    );
    expect(fault.code).toBe('refused');
    expect(fault.cause).toBeUndefined();
  });

  it('is closed when another one takes its place, after its running and queued calls have ended', async () => {
    const held: (() => void)[] = [];
    const [first, second] = [await serve(startProxy()), await serve(startProxy())];
    const server = await serve(
      startHttpServer((request, response) => {
        const answer = (): unknown => response.writeHead(200, { connection: 'close' }).end('{}');
        if (request.headers['x-hold'] === undefined) answer();
        else held.push(answer);
      }),
    );
    const upstream = open({ maxProxies: 1, connections: 1 });
    const hold = { headers: { 'x-hold': '1' }, proxyUrl: first.url };
    const running = [upstream.call(callTo(server, hold)), upstream.call(callTo(server, { proxyUrl: first.url }))];
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await upstream.call(callTo(server, { proxyUrl: second.url }));
    expect(first.open()).toBeGreaterThan(0);
    for (const release of held) release();
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
    await first.idle();
    await upstream.call(callTo(server, { proxyUrl: first.url }));
  });
});

describe('closing', () => {
  it('lets running calls end, closes the connections and may be repeated', async () => {
    let release: () => void = () => undefined;
    const arrived = Promise.withResolvers<void>();
    const server = await serve(
      startHttpServer((_request, response) => {
        release = () => void response.end('{}');
        arrived.resolve();
      }),
    );
    const upstream = open();
    const running = upstream.call(callTo(server));
    await arrived.promise;
    const closed = [upstream.close(), upstream.close()];
    release();
    expect((await running).text).toBe('{}');
    await Promise.all(closed);
    await server.idle();
    await upstream.close();
    expect(await faultOf(upstream.call(callTo(server)))).toMatchObject({
      message: expect.stringContaining('closed') as string,
    });
  });

  it('cuts a call that does not end', async () => {
    const arrived = Promise.withResolvers<void>();
    const server = await serve(startHttpServer(() => arrived.resolve()));
    const proxy = await serve(startProxy());
    const upstream = open();
    const running = [
      faultOf(upstream.call(callTo(server))),
      faultOf(upstream.call(callTo(server, { proxyUrl: proxy.url }))),
    ];
    await arrived.promise;
    await upstream.close();
    for (const fault of await Promise.all(running)) expect(fault.code).toBe('transient');
    await server.idle();
  });
});
