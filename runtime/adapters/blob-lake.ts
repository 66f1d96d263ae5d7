import type { BlockBlobClient, ContainerClient, StoragePipelineOptions } from '@azure/storage-blob';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { assertObjectName } from '../core/lake-name.ts';
import type { Lake } from '../ports.ts';

const gzipAsync = promisify(gzip);
const gunzipAsync = promisify(gunzip);

const GZIP_LEVEL = 6;

/** Byte of the gzip header that names the operating system, and its value for "unknown": the same text gives the same bytes anywhere. */
const GZIP_OS_OFFSET = 9;
const GZIP_OS_UNKNOWN = 255;

/** No content encoding: a client that undoes it would hand DuckDB a `.gz` file that is not one. */
const CONTENT_TYPE = 'application/x-ndjson';

/** One call with all its retries. Without it a silent connection would hold its caller; beyond it the message goes back to its queue. */
const CALL_LIMIT_MS = 30_000;

/**
 * Retries of 500, 503 and lost connections: at once, then after 0.2, 0.6 and 1.4 s. The SDK's own defaults are 4 s, 12 s and up
 * to 2 minutes, slept on a paid instance; it retries no 429 and reads no Retry-After (storage-common 12, read 2026-11-28): such
 * a call rejects, and the message comes again later.
 */
export const BLOB_CLIENT_OPTIONS: StoragePipelineOptions = {
  retryOptions: { maxTries: 5, retryDelayInMs: 200, maxRetryDelayInMs: 5_000 },
};

/** Reads of a body that broke off are resumed this often. */
const READ_RETRIES = 5;

/**
 * The lake as block blobs of one existing container. An object is one `Put Blob`, hence whole or not there, and one billed write.
 * The same name with the same text costs one write that is refused and one look. The
 * container's client must have `BLOB_CLIENT_OPTIONS`.
 * Calls reject with a `RangeError` for a bad name, the SDK's `RestError`, or an `AbortError` after 30 s.
 */
export function openBlobLake(options: { container: ContainerClient }): Lake {
  return new BlobLake(options.container);
}

class BlobLake implements Lake {
  readonly #container: ContainerClient;

  constructor(container: ContainerClient) {
    this.#container = container;
  }

  async write(name: string, text: string): Promise<void> {
    const object = await this.#packed(name, text);
    if (await upload(object)) return;
    const { blob, bytes, headers } = object;
    const stored = await blob.getProperties(callLimit());
    if (stored.contentMD5 !== undefined && headers.blobContentMD5.equals(stored.contentMD5)) return;
    await blob.upload(bytes, bytes.length, { blobHTTPHeaders: headers, ...callLimit() });
  }

  async create(name: string, text: string): Promise<boolean> {
    return upload(await this.#packed(name, text));
  }

  async #packed(name: string, text: string): Promise<PackedObject> {
    const blob = this.#container.getBlockBlobClient(checkedName(name));
    const bytes = await compressed(text);
    const blobContentMD5 = createHash('md5').update(bytes).digest();
    return { blob, bytes, headers: { blobContentType: CONTENT_TYPE, blobContentMD5 } };
  }

  async read(name: string): Promise<string | undefined> {
    const blob = this.#container.getBlockBlobClient(checkedName(name));
    try {
      const answer = await blob.download(0, undefined, { ...callLimit(), maxRetryRequests: READ_RETRIES });
      const parts: Buffer[] = [];
      for await (const part of answer.readableStreamBody ?? []) parts.push(Buffer.from(part));
      return (await gunzipAsync(Buffer.concat(parts))).toString();
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** In the order of the service, which is that of the bytes; one billed operation per 5,000 names. */
  async *list(prefix: string): AsyncGenerator<string> {
    let continuationToken: string | undefined;
    do {
      // Each page is a call with the limit of one.
      const pages = this.#container.listBlobsFlat({ prefix, ...callLimit() });
      const settings = continuationToken === undefined ? {} : { continuationToken };
      const page = await pages.byPage(settings).next();
      if (page.done === true) return;
      for (const { name } of page.value.segment.blobItems) yield name;
      ({ continuationToken } = page.value);
    } while (continuationToken !== undefined && continuationToken !== '');
  }
}

interface PackedObject {
  readonly blob: BlockBlobClient;
  readonly bytes: Buffer;
  readonly headers: { readonly blobContentType: string; readonly blobContentMD5: Buffer };
}

/** False: there is one of that name. */
async function upload({ blob, bytes, headers }: PackedObject): Promise<boolean> {
  try {
    const conditions = { ifNoneMatch: '*' };
    await blob.upload(bytes, bytes.length, { blobHTTPHeaders: headers, ...callLimit(), conditions });
    return true;
  } catch (error) {
    if (isAlreadyThere(error)) return false;
    throw error;
  }
}

async function compressed(text: string): Promise<Buffer> {
  const bytes = await gzipAsync(text, { level: GZIP_LEVEL });
  bytes[GZIP_OS_OFFSET] = GZIP_OS_UNKNOWN;
  return bytes;
}

function checkedName(name: string): string {
  assertObjectName(name);
  return name;
}

function callLimit(): { abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(CALL_LIMIT_MS) };
}

/** "No such object" is an answer, "no such container" is a fault; both are 404. */
function isMissing(error: unknown): boolean {
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  return statusCode === 404 && code === 'BlobNotFound';
}

/** 409 is what `Put Blob` answers to `If-None-Match: *`, 412 what conditions answer elsewhere. */
function isAlreadyThere(error: unknown): boolean {
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  return (statusCode === 409 && code === 'BlobAlreadyExists') || (statusCode === 412 && code === 'ConditionNotMet');
}
