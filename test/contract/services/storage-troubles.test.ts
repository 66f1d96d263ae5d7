import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { sha256Digest } from '../../../runtime/adapters/system.ts';
import { decideFiring } from '../../../runtime/core/run.ts';
import { Runs } from '../../../runtime/engine/runs.ts';
import { type AzureStorage, openAzureStorage } from '../../../runtime/host/azure-storage.ts';
import { type Azurite, startAzurite } from '../../azurite/start.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { isAzuriteHere } from '../../fakes/servers.ts';
import { Rig } from './rig.ts';
import { StorageProxy, type StorageFault } from './storage-proxy.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 90_000 });

const BUSY = { kind: 'refuse', status: 503, code: 'ServerBusy' } as const;

interface Trouble {
  readonly name: string;
  readonly fault: StorageFault;
  /** Share of the requests that it hits. */
  readonly share: number;
  /** How long it lasts, in ms. Default: for the whole firing. */
  readonly holdMs?: number;
}

const TROUBLES: readonly Trouble[] = [
  { name: 'is busy for every fourth request', fault: BUSY, share: 0.25 },
  { name: 'is busy and says for how long', fault: { ...BUSY, retryAfterSeconds: 1 }, share: 0.05 },
  {
    name: 'answers that there are too many requests',
    fault: { kind: 'refuse', status: 429, code: 'TooManyRequests', retryAfterSeconds: 1 },
    share: 0.05,
  },
  { name: 'is slow', fault: { kind: 'slow', ms: 250 }, share: 1 },
  { name: 'cuts connections', fault: { kind: 'cut' }, share: 0.2 },
  { name: 'does what it is told and its answers are lost', fault: { kind: 'answer-lost' }, share: 0.2 },
  { name: 'is down for longer than its clients try', fault: BUSY, share: 1, holdMs: 12_000 },
  { name: 'cannot be reached for longer than its clients try', fault: { kind: 'cut' }, share: 1, holdMs: 12_000 },
  { name: 'never answers what it was asked meanwhile', fault: { kind: 'hang' }, share: 0.3, holdMs: 1500 },
];

/** Azurite behind proxies, one for the tables and one for the blobs. */
interface Stage {
  readonly storage: AzureStorage;
  spoil(fault: StorageFault, share: number): void;
  /** Spoils the next request only. */
  spoilOne(fault: StorageFault): void;
  heal(): void;
  faults(): number;
}

describe.runIf(isAzuriteHere())('a pipeline whose storage account', () => {
  let azurite: Azurite;
  beforeAll(async () => {
    const started = await startAzurite();
    if (started === undefined) throw new Error('Azurite is not installed');
    azurite = started;
  });
  afterAll(() => azurite.stop());

  const stage = async (seed: number): Promise<Stage> => {
    const random = seededRandom(seed);
    const proxies: StorageProxy[] = [];
    let text = azurite.connectionString;
    for (const name of ['BlobEndpoint', 'TableEndpoint']) {
      const proxy = await StorageProxy.open(new RegExp(`${name}=([^;]+)`).exec(text)?.[1] ?? '');
      onTestFinished(() => proxy.close());
      text = text.replace(new RegExp(`${name}=[^;]+`), `${name}=${proxy.url}`);
      proxies.push(proxy);
    }
    const storage = await openAzureStorage(text);
    const set = (fault: StorageProxy['fault']): void => {
      for (const proxy of proxies) proxy.fault = fault;
    };
    return {
      storage,
      spoil: (fault, share) => set(() => (random.next() < share ? fault : undefined)),
      spoilOne: (fault) => {
        let isOver = false;
        set(() => (isOver || !(isOver = true) ? undefined : fault));
      },
      heal: () => set(() => undefined),
      faults: () => proxies.reduce((sum, { done }) => sum + [...done.values()].reduce((a, b) => a + b, 0), 0),
    };
  };

  // Each has its own users in the same tables: what one leaves is nobody else's.
  it.each(TROUBLES.map((trouble, index) => ({ ...trouble, index })))(
    '$name loses nothing, doubles nothing, and works its backlog off by itself',
    async ({ fault, share, holdMs, index }) => {
      const { storage, spoil, heal, faults } = await stage(index);
      const rig = await Rig.start({ storage, hasRedis: false, userPrefix: `t${index}-`, itemsPerUser: 30 });
      const pipeline = rig.open();
      await rig.begin(pipeline);
      await rig.fire(pipeline, 'A');
      if (holdMs === undefined) spoil(fault, share);
      await rig.fire(pipeline, 'B', async () => {
        spoil(fault, share);
        await delay(holdMs ?? 2000);
        if (holdMs !== undefined) heal();
      });
      heal();
      await rig.expectVersions('AB');
      await rig.expectComplete(pipeline);
      expect(faults()).toBeGreaterThan(5);
      expect(rig.logged.filter((line) => line.startsWith('a dead letter'))).toEqual([]);
      // A write that met itself counts as done: nobody had to be found and sent again.
      expect(rig.logged.filter((line) => line.startsWith('silent runs'))).toEqual([]);
    },
  );

  it('knows its own writes again when the answer to a fan-out of 100 users is lost', async () => {
    const { storage, spoilOne } = await stage(100);
    const runs = new Runs({ rows: storage.ledger.runs, digest: sha256Digest });
    const changes = Array.from({ length: 100 }, (_, index) => {
      const firing = { runId: `r${index}`, userId: `fan-${index}`, minerName: 'chats', pageLimit: 100 };
      const verdict = decideFiring(undefined, { ...firing, tokenHash: '', nowMs: Date.now(), reviveAfterMs: 60_000 });
      return { run: verdict.run, etag: undefined };
    });
    spoilOne({ kind: 'answer-lost' });
    const etags = await runs.write(changes);
    expect(etags.filter((etag) => etag === undefined)).toEqual([]);
    const others = changes.map(({ run }) => ({ run: { ...run, runId: 'another' }, etag: undefined }));
    expect((await runs.write(others)).filter((etag) => etag !== undefined)).toEqual([]);
  });
});
