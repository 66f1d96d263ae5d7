import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ServiceBusConnect } from '../../../runtime/adapters/service-bus-session.ts';
import type { Bus } from '../../../runtime/ports.ts';
import { makeCertificate } from '../../fakes/certificate.ts';
import { isOpensslHere } from '../../fakes/servers.ts';

import { BusBed, Seen, WAIT } from './bus-bed.ts';
import { outgoing, queueEntity, textOf } from './bus-contract.ts';
import { openTlsFront } from './tls-front.ts';

vi.setConfig({ testTimeout: 90_000 });

/** Life of a token here; Azure's live an hour. */
const LIFETIME_MS = 4000;

/** How long traffic goes on: more than three lives. */
const TRAFFIC_MS = LIFETIME_MS * 3.5;

let bed: BusBed;
beforeAll(async () => {
  const entities = Array.from({ length: 6 }, (_, index) => queueEntity(`queue-${index}`, 5000));
  bed = await BusBed.start(entities, { tokenLifetimeMs: LIFETIME_MS });
});
afterEach(() => bed.endTest());
afterAll(() => bed.broker.remove());

/** A token that is over when it says so, as Entra's are. */
function tokenUntil(expiresOnTimestamp: number): { token: string; expiresOnTimestamp: number } {
  const claims = Buffer.from(JSON.stringify({ exp: expiresOnTimestamp / 1000 })).toString('base64url');
  return { token: `e30.${claims}.`, expiresOnTimestamp };
}

/** Sends one message after the other, and handles them, for a while; then every one must have been handled. */
async function traffic(bus: Bus, queue: string, durationMs: number, meanwhile?: () => Promise<void>): Promise<Seen> {
  const seen = new Seen();
  const consumer = bus.consume(queue, { concurrency: 4, onError: seen.onError }, async (message) => {
    // Some handlers outlast a token, and their messages are settled and renewed with the next one.
    if (Number(textOf(message)) % 100 === 0) await delay(LIFETIME_MS * 1.2);
    return seen.add(textOf(message));
  });
  const untilMs = performance.now() + durationMs;
  const change = meanwhile?.();
  let sent = 0;
  for (; performance.now() < untilMs; sent += 1) {
    await bus.send(queue, [outgoing(String(sent))]);
    await delay(20);
  }
  await change;
  await vi.waitFor(() => expect(seen.handled.size).toBe(sent), WAIT);
  await consumer.stop(10_000);
  expect(sent).toBeGreaterThan(50);
  return seen;
}

describe('a bus whose tokens are over after seconds', () => {
  it('that is entered with a key goes on, though the client renews nothing: links are attached again', async () => {
    const seen = await traffic(bed.open({ lockDurationMs: 5000 }), 'queue-0', TRAFFIC_MS);
    // What is locked outlives its link, so that hardly a handler is wasted.
    expect(seen.twice.length).toBeLessThan(10);
    expect(bed.events).toContainEqual(expect.objectContaining({ kind: 'reconnected', entity: 'queue-0' }));
  });

  it('refuses at once where nobody was ever let in', async () => {
    // A signature that ended in the past, as a machine makes them whose clock is far behind.
    const now = vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 7_200_000);
    try {
      const sent = bed.open().send('queue-1', [outgoing('a')]);
      await expect(sent).rejects.toMatchObject({ code: 'UnauthorizedAccess' });
    } finally {
      now.mockRestore();
    }
  });
});

describe.runIf(isOpensslHere())('a bus that is entered with Entra tokens that are over after seconds', () => {
  let dir: string;
  let front: Awaited<ReturnType<typeof openTlsFront>>;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-tokens-'));
    front = await openTlsFront(bed.broker.port, makeCertificate(dir));
  });
  afterAll(async () => {
    await front.close();
    await rm(dir, { recursive: true });
  });

  const connectWith = (getToken: () => Promise<{ token: string; expiresOnTimestamp: number }>): ServiceBusConnect => ({
    fullyQualifiedNamespace: `localhost:${front.port}`,
    credential: { getToken },
  });

  it('renews them on the live connection: no client is replaced, nothing is lost, nobody asks in a loop', async () => {
    let asked = 0;
    const connect = connectWith(async () => {
      asked += 1;
      return tokenUntil(Date.now() + LIFETIME_MS);
    });
    const seen = await traffic(bed.open({ connect, lockDurationMs: 5000 }), 'queue-2', TRAFFIC_MS);
    expect(bed.events).toEqual([]);
    expect([seen.twice, seen.errors]).toEqual([[], []]);
    // Three links renew at half of a life each. 7.9.5 alone asks thousands of times: its wait is negative.
    expect(asked).toBeGreaterThan(6);
    expect(asked).toBeLessThan(100);
  });

  it.each([
    ['there are no tokens for a while', 'queue-3', () => Promise.reject(new Error('identity endpoint is down'))],
    ['tokens are refused for a while', 'queue-4', async () => tokenUntil(Date.now() - 1000)],
  ] as const)('replaces the client when %s, and goes on by itself', async (_, queue, inTrouble) => {
    let isInTrouble = false;
    const connect = connectWith(() =>
      isInTrouble ? inTrouble() : Promise.resolve(tokenUntil(Date.now() + LIFETIME_MS)),
    );
    await traffic(bed.open({ connect, lockDurationMs: 5000 }), queue, TRAFFIC_MS, async () => {
      await delay(LIFETIME_MS * 0.3);
      isInTrouble = true;
      await delay(LIFETIME_MS * 2.5);
      isInTrouble = false;
    });
    await vi.waitFor(() => expect(bed.events).toContainEqual({ kind: 'client-replaced', reason: 'token' }), WAIT);
  });
});
