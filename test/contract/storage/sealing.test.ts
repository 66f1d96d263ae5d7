import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { openAesSealing, SEALING_LEASE_MS } from '../../../runtime/adapters/aes-sealing.ts';
import { type KeyRing, SealingError } from '../../../runtime/core/key-ring.ts';
import type { SealedText } from '../../../runtime/ports.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { keyNamed, testSealing } from '../../fakes/test-sealing.ts';

const ringOf = (...ids: readonly string[]): KeyRing => ids.map(keyNamed) as unknown as KeyRing;

const text = fc.string({ unit: 'binary' }).map((found) => found.toWellFormed());

/** Code of the error, or the text when it opens. */
async function opened(sealed: SealedText, associatedData: string): Promise<string> {
  return testSealing.open(sealed, associatedData).catch((error: unknown) => {
    if (error instanceof SealingError) return error.code;
    throw error;
  });
}

/** The base64 with one bit of its bytes turned. */
function withBit(base64: string, at: number): string {
  const bytes = Buffer.from(base64, 'base64');
  bytes[at % bytes.length]! ^= 1 << (Math.floor(at / bytes.length) % 8);
  return bytes.toString('base64');
}

/** The text with one character replaced. */
function withCharacter(whole: string, at: number, character: string): string {
  const index = at % whole.length;
  return whole.slice(0, index) + character + whole.slice(index + 1);
}

describe('sealing', () => {
  it('opens every text for whom it was sealed', async () => {
    await fc.assert(
      fc.asyncProperty(text, text, async (secret, user) => {
        expect(await testSealing.open(await testSealing.seal(secret, user), user)).toBe(secret);
      }),
    );
  });

  it('opens for nobody else', async () => {
    await fc.assert(
      fc.asyncProperty(text, text, text, async (secret, user, other) => {
        fc.pre(user !== other);
        expect(await opened(await testSealing.seal(secret, user), other)).toBe('SEAL_BROKEN');
      }),
    );
  });

  it('does not open when any bit was turned', async () => {
    const sealed = await testSealing.seal('a token', 'u1');
    for (let at = 0; at < Buffer.from(sealed.iv, 'base64').length * 8; at += 1) {
      expect(await opened({ ...sealed, iv: withBit(sealed.iv, at) }, 'u1')).toBe('SEAL_BROKEN');
    }
    for (let at = 0; at < Buffer.from(sealed.data, 'base64').length * 8; at += 1) {
      expect(await opened({ ...sealed, data: withBit(sealed.data, at) }, 'u1')).toBe('SEAL_BROKEN');
    }
  });

  it('does not open when any character was changed, also one whose bits do not count', async () => {
    const character = fc.stringMatching(/^[A-Za-z0-9+/=_ -]$/);
    await fc.assert(
      fc.asyncProperty(text, fc.nat(), character, fc.boolean(), async (secret, at, other, isIv) => {
        const sealed = await testSealing.seal(secret, 'u1');
        const part = isIv ? 'iv' : 'data';
        const changed = withCharacter(sealed[part], at, other);
        fc.pre(changed !== sealed[part]);
        expect(await opened({ ...sealed, [part]: changed }, 'u1')).toBe('SEAL_BROKEN');
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['an empty record', { iv: '', data: '' }],
    ['no tag', { data: Buffer.alloc(15).toString('base64') }],
    ['a longer IV', { iv: Buffer.alloc(16).toString('base64') }],
  ])('does not open %s', async (_, parts) => {
    expect(await opened({ ...(await testSealing.seal('a token', 'u1')), ...parts }, 'u1')).toBe('SEAL_BROKEN');
  });

  it('seals the same text differently each time, and shows nothing of it', async () => {
    const records = await Promise.all(Array.from({ length: 1000 }, () => testSealing.seal('canary', 'u1')));
    expect(new Set(records.map(({ iv }) => iv)).size).toBe(1000);
    expect(new Set(records.map(({ data }) => data)).size).toBe(1000);
    expect(Buffer.from(records[0]?.data ?? '', 'base64').toString('latin1')).not.toContain('canary');
  });

  it('tells the key, the reason and what to do, and no secret', async () => {
    const sealed = await openAesSealing({ ring: ringOf('k7'), clock: new TestClock() }).seal('canary', 'u1');
    const unknown = await testSealing.open(sealed, 'u1').catch((error: unknown) => error as SealingError);
    expect(unknown).toMatchObject({ name: 'SealingError', code: 'KEY_UNKNOWN' });
    expect(String(unknown)).toMatch(/k7[^]*k1[^]*Next: /);
    const other = openAesSealing({ ring: [{ ...keyNamed('k8'), id: 'k7' }], clock: new TestClock() });
    const broken = await other.open(sealed, 'u1').catch((error: unknown) => error as SealingError);
    expect(broken).toMatchObject({ code: 'SEAL_BROKEN' });
    expect(String(broken)).toMatch(/k7[^]*Next: /);
    expect(`${String(unknown)}${String(broken)}`).not.toContain('canary');
  });
});

describe('keys that change while a process runs', () => {
  let clock: TestClock;
  let stored: KeyRing;
  let loads: number;
  let failure: Error | undefined;
  const load = async (): Promise<KeyRing> => {
    loads += 1;
    if (failure !== undefined) throw failure;
    return stored;
  };
  const sealedWith = (id: string): Promise<SealedText> =>
    openAesSealing({ ring: ringOf(id), clock }).seal(`by ${id}`, 'u1');

  beforeEach(() => {
    clock = new TestClock();
    stored = ringOf('k2', 'k1');
    loads = 0;
    failure = undefined;
  });

  it('a record with a new key is opened after one look at the source, for all who wait', async () => {
    const sealing = openAesSealing({ ring: ringOf('k1'), load, isFresh: true, clock });
    const sealed = await sealedWith('k2');
    const texts = await Promise.all(Array.from({ length: 100 }, () => sealing.open(sealed, 'u1')));
    expect(new Set(texts)).toEqual(new Set(['by k2']));
    expect(loads).toBe(1);
    expect((await sealing.seal('x', 'u1')).keyId).toBe('k2');
  });

  it('asks at most once in ten seconds', async () => {
    const sealing = openAesSealing({ ring: ringOf('k1'), load, isFresh: true, clock });
    const sealed = await sealedWith('k3');
    const tries = async (): Promise<void> => {
      for (let at = 0; at < 5; at += 1)
        await expect(sealing.open(sealed, 'u1')).rejects.toMatchObject({ code: 'KEY_UNKNOWN' });
    };
    await tries();
    expect(loads).toBe(1);
    await clock.advance(9_999);
    await tries();
    expect(loads).toBe(1);
    stored = ringOf('k3', 'k2', 'k1');
    await clock.advance(1);
    expect(await sealing.open(sealed, 'u1')).toBe('by k3');
    expect(loads).toBe(2);
  });

  it('a source that is away leaves known keys usable, and says so for the others', async () => {
    const sealing = openAesSealing({ ring: ringOf('k1'), load, isFresh: true, clock });
    failure = new Error('away');
    const error = await sealing.open(await sealedWith('k2'), 'u1').catch((thrown: unknown) => thrown as SealingError);
    expect(error).toMatchObject({ code: 'KEY_UNKNOWN', cause: failure });
    expect(String(error)).toContain('could not be loaded again');
    expect(await sealing.open(await sealedWith('k1'), 'u1')).toBe('by k1');
  });

  it('seals nothing with keys that nobody has confirmed for a minute', async () => {
    const sealing = openAesSealing({ ring: ringOf('k1'), load, isFresh: true, clock });
    await clock.advance(SEALING_LEASE_MS);
    expect((await sealing.seal('x', 'u1')).keyId).toBe('k1');
    expect(loads).toBe(0);
    await clock.advance(1);
    expect((await sealing.seal('x', 'u1')).keyId).toBe('k2');
    expect(loads).toBe(1);
    await clock.advance(SEALING_LEASE_MS + 1);
    failure = new Error('away');
    await expect(sealing.seal('x', 'u1')).rejects.toBe(failure);
  });

  it('a ring from elsewhere, such as the environment, is confirmed before it seals, but not before it opens', async () => {
    const sealing = openAesSealing({ ring: ringOf('k1'), load, clock });
    expect(await sealing.open(await sealedWith('k1'), 'u1')).toBe('by k1');
    expect(loads).toBe(0);
    expect((await sealing.seal('x', 'u1')).keyId).toBe('k2');
    expect(loads).toBe(1);
  });

  it('a ring without a source never needs one', async () => {
    const sealing = openAesSealing({ ring: ringOf('k1'), clock });
    await clock.advance(100 * SEALING_LEASE_MS);
    expect((await sealing.seal('x', 'u1')).keyId).toBe('k1');
    await expect(sealing.open(await sealedWith('k2'), 'u1')).rejects.toMatchObject({ code: 'KEY_UNKNOWN' });
  });
});
