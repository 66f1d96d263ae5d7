import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { constants, createBrotliCompress, createGzip, createZstdCompress, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHttpServer, type TestServer } from '../upstream/servers.ts';

const run = promisify(execFile);

const GIGABYTE = 1024 ** 3;
const EXTRA_MAX_BYTES = 32 * 1024 * 1024;
const PIECE = Buffer.alloc(1024 * 1024, ' ');

const gigabyte = (): Readable => Readable.from(Array.from({ length: GIGABYTE / PIECE.length }, () => PIECE));

/** By the name of the content encoding; the comma makes another name of `br`, with the largest window that there is. */
const ENCODERS = {
  gzip: () => createGzip({ level: 1 }),
  br: () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  'br,': () =>
    createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 2, [constants.BROTLI_PARAM_LGWIN]: 24 } }),
  zstd: () => createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
};

/** A gigabyte that is refused must not cost the other users the process. */
describe('a bomb of 1 GB', () => {
  let dir: string;
  let server: TestServer;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-bomb-'));
    for (const [name, encoder] of Object.entries(ENCODERS))
      await pipeline(gigabyte(), encoder(), createWriteStream(join(dir, name)));
    await pipeline(createReadStream(join(dir, 'gzip')), createGzip(), createWriteStream(join(dir, 'gzip, gzip')));
    await pipeline(createReadStream(join(dir, 'zstd')), ENCODERS.br(), createWriteStream(join(dir, 'zstd, br')));
    server = await startHttpServer((request, response) => {
      const name = decodeURIComponent((request.url ?? '').slice(1));
      if (name === 'plain') {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{"data":[]}'.padEnd(200_000)));
        return;
      }
      response.writeHead(200, name === 'identity' ? {} : { 'content-encoding': name });
      const body = name === 'identity' ? gigabyte() : createReadStream(join(dir, name));
      pipeline(body, response).catch(() => undefined);
    });
  }, 300_000);

  afterAll(async () => {
    await server.close();
    await rm(dir, { recursive: true });
  });

  it.each([...Object.keys(ENCODERS), 'gzip, gzip', 'zstd, br', 'identity'])(
    'is refused with at most 32 MB of extra memory: %s',
    async (name) => {
      const child = join(import.meta.dirname, 'bomb-child.ts');
      const urls = ['plain', encodeURIComponent(name)].map((path) => `${server.url}/${path}`);
      const flags = ['--expose-gc', '--disable-warning=ExperimentalWarning'];
      const { stdout } = await run(process.execPath, [...flags, child, ...urls]);
      const { codes, extraBytes } = JSON.parse(stdout) as { codes: readonly string[]; extraBytes: number };
      const sizeBytes = name === 'identity' ? GIGABYTE : (await stat(join(dir, name))).size;
      process.stdout.write(
        `\nbomb of 1 GB, ${name} (${sizeBytes} bytes sent): ${(extraBytes / 1024 / 1024).toFixed(1)} MB extra\n`,
      );
      expect(codes).toEqual(['page-too-large']);
      expect(extraBytes).toBeLessThanOrEqual(EXTRA_MAX_BYTES);
    },
    300_000,
  );
});
