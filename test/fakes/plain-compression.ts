import type { Compression } from '../../runtime/ports.ts';

/** Compresses nothing, so that a test knows how large an envelope is, and takes no thread. */
export const plainCompression: Compression = {
  compress: async (text) => new TextEncoder().encode(text),
  decompress: async (bytes, maxBytes) => {
    if (bytes.length > maxBytes) throw Object.assign(new Error('too large'), { code: 'TOO_LARGE' });
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (cause) {
      throw Object.assign(new Error('not UTF-8', { cause }), { code: 'UNDECODABLE' });
    }
  },
};
