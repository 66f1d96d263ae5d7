import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type KeyRing,
  keyRingText,
  nextKeyId,
  parseKeyRing,
  RING_KEYS_LIMIT,
  type RingKey,
  withNewKey,
  withoutKeys,
} from '../../runtime/core/key-ring.ts';
import { keyNamed } from '../fakes/test-sealing.ts';

const keys = fc
  .uniqueArray(
    fc.record({
      id: fc.stringMatching(/^[A-Za-z0-9_-]{1,16}$/),
      secret: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('base64')),
    }),
    { minLength: 1, maxLength: RING_KEYS_LIMIT, selector: ({ id }) => id },
  )
  .filter((found) => new Set(found.map(({ secret }) => secret)).size === found.length);

const ringOf = (...ids: readonly [string, ...string[]]): KeyRing => ids.map(keyNamed) as unknown as KeyRing;

function errorsOf(text: string): readonly string[] {
  const read = parseKeyRing(text);
  return read.ok ? [] : read.errors;
}

describe('a key ring', () => {
  it('is read as it was written, the current key first', () => {
    fc.assert(
      fc.property(keys, (found: readonly RingKey[]) => {
        const text = keyRingText(found as unknown as KeyRing);
        expect(parseKeyRing(text)).toEqual({ ok: true, ring: found });
        expect(parseKeyRing(` ${text.replaceAll(',', ' ,\n')} `)).toEqual({ ok: true, ring: found });
      }),
    );
  });

  it('takes 32 bytes of base64 and nothing that only looks like it', () => {
    for (let length = 0; length <= 48; length += 1) {
      expect(parseKeyRing(`k1:${Buffer.alloc(length, 7).toString('base64')}`).ok, String(length)).toBe(length === 32);
    }
    const secret = Buffer.alloc(32, 0xff).toString('base64');
    expect(errorsOf(`k1:${secret.replaceAll('/', '_')}`), 'base64url').toHaveLength(1);
    expect(errorsOf(`k1:${secret.slice(0, -2)}9=`), 'spare bits').toHaveLength(1);
    expect(errorsOf(`k1:${secret.slice(0, -1)}`), 'no padding').toHaveLength(1);
  });

  it('names every mistake at once, by entry, and no part of a key', () => {
    const { secret } = keyNamed('x');
    const text = `${secret},bad id:${secret},k1:${secret.slice(4)},k1:${keyNamed('y').secret},:,k2:${keyNamed('y').secret}`;
    const errors = errorsOf(text);
    expect(errors).toEqual([
      'entry 1: must be id:key, and has no colon',
      'entry 2: the id must be 1..16 letters, digits, - or _',
      'entry 3: the key must be 32 bytes in base64 (44 characters)',
      'entry 4: the id k1 is there already',
      'entry 5: the id must be 1..16 letters, digits, - or _',
      'entry 5: the key must be 32 bytes in base64 (44 characters)',
      'entry 6: the key is there already, by another id',
    ]);
  });

  it('never shows a key, wherever it was put by mistake', () => {
    const hex = Buffer.alloc(32, 0xab).toString('hex');
    const { secret } = keyNamed('x');
    for (const text of [secret, hex, `${secret}:k1`, `${hex}:k1`, `k1=${secret}`, `k1:${hex}`, `"k1:${secret}"`]) {
      const errors = errorsOf(text).join('\n');
      expect(errors, text).not.toBe('');
      for (let at = 0; at + 8 <= secret.length; at += 1) expect(errors).not.toContain(secret.slice(at, at + 8));
      expect(errors).not.toContain('abababab');
    }
  });

  it('is empty or too long: one mistake', () => {
    expect(errorsOf('')).toEqual(['entry 1: must be id:key, and has no colon']);
    const many = Array.from({ length: RING_KEYS_LIMIT + 1 }, (_, at) => `k${at}:${keyNamed(`k${at}`).secret}`);
    expect(errorsOf(many.join(','))).toEqual([`there must be 1..${RING_KEYS_LIMIT} keys, got ${RING_KEYS_LIMIT + 1}`]);
  });

  it('takes a new key in front, up to its limit', () => {
    expect(withNewKey(ringOf('k1'), keyNamed('k2'))).toEqual(ringOf('k2', 'k1'));
    let ring = ringOf('k0');
    for (let at = 1; at < RING_KEYS_LIMIT; at += 1) ring = withNewKey(ring, keyNamed(`k${at}`));
    expect(() => withNewKey(ring, keyNamed('more'))).toThrow(RangeError);
  });

  it('drops keys, but never the current one', () => {
    const ring = ringOf('k3', 'k2', 'k1');
    expect(withoutKeys(ring, new Set(['k1', 'k3', 'k9']))).toEqual(ringOf('k3', 'k2'));
  });

  it('numbers its keys', () => {
    expect(nextKeyId([], 'a1b2c3')).toBe('k1-a1b2c3');
    expect(nextKeyId(ringOf('k1'), 'a1b2c3')).toBe('k2-a1b2c3');
    expect(nextKeyId(ringOf('k2-000000', 'k10-ffffff', 'mine', 'k99x'), 'a1b2c3')).toBe('k11-a1b2c3');
    expect(parseKeyRing(keyRingText([{ ...keyNamed('x'), id: nextKeyId(ringOf('k999998'), 'ffffff') }])).ok).toBe(true);
  });
});
