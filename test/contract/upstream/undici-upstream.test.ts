import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';

import { afterEach, describe, expect, it } from 'vitest';

import { openUndiciUpstream } from '../../../runtime/adapters/undici-upstream.ts';
import { callTo, closeAll, faultOf, open, SECRET_HEADER, SECRET_QUERY, serve } from './calling.ts';
import { freePort, startHttpServer, startRawServer } from './servers.ts';

afterEach(closeAll);

const text = JSON.stringify({ data: [{ id: '1', text: 'Zürich, Łódź, 東京, 😀 '.repeat(2_000) }] });

describe('a call', () => {
  it('sends path, query and credential, and returns status, headers and text', async () => {
    const seen: unknown[] = [];
    const server = await serve(
      startHttpServer((request, response) => {
        seen.push([request.method, request.url, request.headers.authorization, request.headers['accept-encoding']]);
        response
          .writeHead(
            200,
            [
              ['X-Usage', 'a'],
              ['X-Usage', 'b'],
              ['Set-Cookie', 'c=1'],
              ['Set-Cookie', 'd=2'],
            ].flat(),
          )
          .end('{"data":[]}');
      }),
    );
    const answer = await open().call(callTo(server));
    expect(seen).toEqual([
      ['GET', `/users/u1/chats?limit=3&after=${SECRET_QUERY}`, `Bearer ${SECRET_HEADER}`, 'gzip, br, zstd'],
    ]);
    expect(answer).toMatchObject({
      status: 200,
      text: '{"data":[]}',
      headers: { 'x-usage': 'a, b', 'set-cookie': 'c=1, d=2' },
    });
  });

  it.each<readonly [string, Buffer]>([
    ['identity', Buffer.from(text)],
    ['gzip', gzipSync(text)],
    ['x-gzip', gzipSync(text)],
    ['GZIP', gzipSync(text)],
    ['br', brotliCompressSync(text)],
    ['zstd', zstdCompressSync(text)],
    ['gzip, br', brotliCompressSync(gzipSync(text))],
  ])('decodes %s, also in errors and in small pieces', async (encoding, body) => {
    const server = await serve(
      startHttpServer((_request, response) => {
        response.writeHead(400, { 'content-encoding': encoding });
        for (let index = 0; index < body.length; index += 1_001) response.write(body.subarray(index, index + 1_001));
        response.end();
      }),
    );
    expect(await open().call(callTo(server))).toMatchObject({ status: 400, text });
  });

  it.each<readonly [string, Buffer, string]>([
    ['a byte order mark is stripped', Buffer.from('\ufeff{"data":[]}'), '{"data":[]}'],
    ['invalid UTF-8 is replaced', Buffer.from([0x22, 0xff, 0xc3, 0x22]), '"\ufffd\ufffd"'],
    ['NUL bytes stay', Buffer.from('a\u0000b'), 'a\u0000b'],
    ['nothing is nothing', Buffer.alloc(0), ''],
  ])('%s', async (_name, body, expected) => {
    const server = await serve(startHttpServer((_request, response) => response.end(body)));
    expect((await open().call(callTo(server))).text).toBe(expected);
  });

  it('reads an empty body that claims to be encoded', async () => {
    const server = await serve(
      startHttpServer((_request, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': 0 }).end(),
      ),
    );
    expect((await open().call(callTo(server))).text).toBe('');
  });

  it('follows no redirect', async () => {
    const elsewhere = await serve(startHttpServer((_request, response) => response.end('never')));
    const server = await serve(
      startHttpServer((_request, response) => response.writeHead(302, { location: `${elsewhere.url}/x` }).end('moved')),
    );
    expect(await open().call(callTo(server))).toMatchObject({ status: 302, text: 'moved' });
    expect(elsewhere.accepted()).toBe(0);
  });

  it('reuses connections, whatever the status', async () => {
    let calls = 0;
    const server = await serve(
      startHttpServer((_request, response) =>
        response.writeHead([200, 404, 500, 302][calls++ % 4] ?? 200).end('x'.repeat(100_000)),
      ),
    );
    const upstream = open();
    for (let index = 0; index < 20; index += 1) await upstream.call(callTo(server));
    // undici's pool marks a client as free a moment after its answer has ended, so that a second one may be opened.
    expect(server.accepted()).toBeLessThanOrEqual(2);
  });

  it('opens at most the given number of connections', async () => {
    const server = await serve(startHttpServer((_request, response) => void setImmediate(() => response.end('{}'))));
    const upstream = open({ connections: 3 });
    await Promise.all(Array.from({ length: 40 }, () => upstream.call(callTo(server))));
    expect(server.accepted()).toBe(3);
  });
});

describe('size', () => {
  it('a body of exactly the limit passes, one byte more does not', async () => {
    const server = await serve(
      startHttpServer((request, response) => response.end('x'.repeat(Number(request.headers['x-size'])))),
    );
    const upstream = open();
    const sized = (size: number): Promise<unknown> =>
      upstream.call(callTo(server, { maxBytes: 1_000, headers: { 'x-size': String(size) } }));
    await sized(1_000);
    expect((await faultOf(sized(1_001))).code).toBe('page-too-large');
  });

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ] as const)('a %s bomb is stopped', async (encoding, compress) => {
    const bomb = compress(Buffer.alloc(64_000_000));
    const server = await serve(
      startHttpServer((_request, response) => response.writeHead(200, { 'content-encoding': encoding }).end(bomb)),
    );
    expect((await faultOf(open().call(callTo(server)))).code).toBe('page-too-large');
  });

  it.each(['gzip', 'identity'])('an endless %s body is stopped, with its connection', async (encoding) => {
    const part = encoding === 'gzip' ? gzipSync(Buffer.alloc(1_000_000)) : Buffer.alloc(10_000);
    const server = await serve(
      startHttpServer((_request, response) => {
        response.writeHead(200, { 'content-encoding': encoding });
        const pump = (): void => {
          while (!response.destroyed && response.write(part));
        };
        response.on('drain', pump);
        pump();
      }),
    );
    expect((await faultOf(open().call(callTo(server)))).code).toBe('page-too-large');
    await server.idle();
  });
});

describe('a transient fault', () => {
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
  it.each<readonly [string, string, 'end' | 'reset']>([
    ['no answer', '', 'end'],
    ['reset before the headers', '', 'reset'],
    ['a head that is cut', 'HTTP/1.1 200 OK\r\ncontent-', 'end'],
    ['not HTTP', 'hello\r\n\r\n', 'end'],
    ['a body shorter than its content-length', `${head}content-length: 100\r\n\r\n{"data"`, 'end'],
    ['reset inside the body', `${head}content-length: 100\r\n\r\n{"data"`, 'reset'],
    ['chunks that end too early', `${head}transfer-encoding: chunked\r\n\r\n5\r\n{"dat\r\n`, 'end'],
    ['a chunk length that is none', `${head}transfer-encoding: chunked\r\n\r\nxyz\r\n`, 'end'],
    ['an encoding that nobody knows', `${head}content-encoding: rot13\r\ncontent-length: 2\r\n\r\n{}`, 'end'],
    ['too many encodings', `${head}content-encoding: gzip, gzip, gzip\r\ncontent-length: 2\r\n\r\n{}`, 'end'],
    ['plain text sent as gzip', `${head}content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}`, 'end'],
    ['plain text sent as zstd', `${head}content-encoding: zstd\r\ncontent-length: 2\r\n\r\n{}`, 'end'],
  ])('%s', async (_name, bytes, ending) => {
    const server = await serve(
      startRawServer((socket) => {
        if (ending === 'end') socket.end(bytes);
        else socket.write(bytes, () => socket.resetAndDestroy());
      }),
    );
    const fault = await faultOf(open().call(callTo(server)));
    expect(fault.code).toBe('transient');
    expect(fault.cause).toBeInstanceOf(Error);
    expect(fault.message).toContain(`${server.host}/users/u1/chats`);
  });

  it.each<readonly [string, Buffer]>([
    ['gzip', gzipSync(text).subarray(0, -9)],
    ['br', brotliCompressSync(text).subarray(0, -3)],
    ['zstd', zstdCompressSync(text).subarray(0, -3)],
    ['br', Buffer.concat([brotliCompressSync(text), brotliCompressSync(text)])],
    ['zstd', Buffer.concat([zstdCompressSync('{}'), zstdCompressSync('{}')])],
  ])('%s that is cut or goes on behind its end', async (encoding, body) => {
    const server = await serve(
      startHttpServer((_request, response) => response.writeHead(200, { 'content-encoding': encoding }).end(body)),
    );
    expect((await faultOf(open().call(callTo(server)))).code).toBe('transient');
  });

  it('nobody listens', async () => {
    const fault = await faultOf(open().call(callTo({ url: `http://127.0.0.1:${await freePort()}` })));
    expect(fault).toMatchObject({ code: 'transient', message: expect.stringContaining('ECONNREFUSED') as string });
  });

  it('headers that never come', async () => {
    const server = await serve(startRawServer(() => undefined));
    const fault = await faultOf(open().call(callTo(server, { timeoutMs: 30 })));
    expect(fault).toMatchObject({ code: 'transient', message: expect.stringContaining('within 30 ms') as string });
    await server.idle();
  });

  it('a body that never ends, though a byte comes now and then', async () => {
    const server = await serve(
      startRawServer((socket) => {
        socket.write(`${head}content-length: 100000\r\n\r\n`);
        const drip = setInterval(() => socket.write(' '), 5);
        socket.on('close', () => clearInterval(drip));
      }),
    );
    expect((await faultOf(open().call(callTo(server, { timeoutMs: 60 })))).code).toBe('transient');
    await server.idle();
  });
});

describe('what can never be sent', () => {
  it('a header that HTTP forbids is refused without quoting it', async () => {
    const fault = await faultOf(
      open().call(callTo({ url: 'http://127.0.0.1:1' }, { headers: { authorization: 'Bearer hidden\r\nx: y' } })),
    );
    expect(fault.code).toBe('refused');
  });

  it.each(['not a URL', 'ftp://127.0.0.1/', ''])('the address %j is refused', async (url) => {
    expect((await faultOf(open().call(callTo({ url: 'x' }, { url })))).code).toBe('refused');
  });
});

describe('abortion', () => {
  it('rejects with the reason of the signal: before the call, before the headers, inside the body', async () => {
    const server = await serve(
      startHttpServer((request, response) => {
        if (request.headers['x-part'] === 'body') response.writeHead(200).write('{');
      }),
    );
    const upstream = open();
    const reason = { why: 'the lock was lost' };
    await expect(upstream.call(callTo(server), AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(server.accepted()).toBe(0);
    for (const part of ['headers', 'body']) {
      const abort = new AbortController();
      const answer = upstream.call(callTo(server, { headers: { 'x-part': part } }), abort.signal);
      setTimeout(() => abort.abort(reason), 20);
      await expect(answer).rejects.toBe(reason);
      await server.idle();
    }
  });
});

describe('options', () => {
  it.each([{ connections: 0 }, { idleMs: -1 }, { maxProxies: 1.5 }, { connections: Number.NaN }])(
    '%j is refused by name',
    (options) => {
      const [name] = Object.keys(options);
      expect(() => openUndiciUpstream(options)).toThrow(new RegExp(`^${name} must be`));
    },
  );

  it('an idle connection is closed after idleMs', async () => {
    const server = await serve(
      startHttpServer((_request, response) => response.writeHead(200, { 'keep-alive': 'timeout=600' }).end('{}')),
    );
    await open({ idleMs: 20 }).call(callTo(server));
    await server.idle();
    expect(server.accepted()).toBe(1);
  });
});
