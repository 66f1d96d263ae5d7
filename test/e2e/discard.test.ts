import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { openSqliteLedger } from '../../runtime/adapters/sqlite-ledger.ts';
import { brotli } from '../../runtime/adapters/compression.ts';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { decodeEnvelope, ENVELOPE_MAX_BYTES, type EnvelopeItem, versionText } from '../../runtime/core/envelope.ts';
import { parseServed } from '../../runtime/core/served-json.ts';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { Checkpoints } from '../../runtime/engine/checkpoints.ts';
import { claimItems } from '../../runtime/engine/claims.ts';
import { VERSION_DIGITS } from '../../runtime/engine/take-page.ts';
import type { OutgoingMessage } from '../../runtime/ports.ts';
import { adit, emptyFolder, type Ended, lastJson, until } from './adit.ts';
import { exportRows, mineArgs } from './lake-rows.ts';
import { page, plainItems, startUpstream } from './scripted-upstream.ts';
import { envelopeOf, onBroker } from './state-broker.ts';

vi.setConfig({ testTimeout: 300_000 });

const discard = (state: string, ...args: readonly string[]): Promise<Ended> =>
  adit('adit', ['discard', ...args, '--state', state]);

const ignore = (): void => undefined;

/** Items as the upstream serves them, on their way to the lake. */
function carried(texts: readonly string[]): readonly EnvelopeItem[] {
  return texts.map((dataText) => {
    const data = parseServed(dataText) as { id: string };
    const version = sha256Digest.sha256(versionText(data), VERSION_DIGITS);
    return { userId: 'u1', runId: 'r', id: data.id, version, observedAtMs: Date.now(), dataText };
  });
}

/** Leaves messages as dead letters of the ingestion queue. */
async function bury(state: string, messages: readonly OutgoingMessage[]): Promise<void> {
  await onBroker(state, async (bus) => {
    let buried = 0;
    await bus.send(INGESTION_QUEUE, messages);
    const consumer = bus.consume(INGESTION_QUEUE, { concurrency: 10, onError: ignore }, async () => ({
      settlement: { kind: 'dead-letter', reason: 'poison-message', description: 'for a test' },
      settled: () => (buried += 1),
    }));
    await until(() => buried === messages.length, 30_000, 'the dead letters');
    await consumer.stop(5000);
  });
}

/** What a worker had claimed that died before it wrote anything. */
async function claim(state: string, message: OutgoingMessage): Promise<void> {
  const envelope = decodeEnvelope(await brotli.decompress(message.body, ENVELOPE_MAX_BYTES));
  const ledger = openSqliteLedger({ file: join(state, 'ledger.db') });
  const checkpoints = new Checkpoints({ digest: sha256Digest, items: ledger.items, tiers: [], onTierError: ignore });
  const requests = envelope.items.map(({ userId, id, version, observedAtMs }) => ({
    ...{ key: checkpoints.keyOf(envelope.minerName, userId, id), version, observedAtMs },
  }));
  await claimItems(ledger.items, envelope.envelopeId, requests, Date.now(), () => Promise.resolve());
  await ledger.close();
}

describe('adit discard on a state folder that nobody runs on', () => {
  it('asks first, gives up what was claimed and never written, and the next firing mines it again', async () => {
    const state = join(await emptyFolder(), 'state');
    let items = plainItems('i', 2);
    const upstream = await startUpstream(() => page(items));
    const args = await mineArgs({ upstream, state, users: ['u1'] });
    const start = async (): Promise<Readonly<Record<string, unknown>>> => {
      const ended = await adit('start', args);
      expect(ended.code, ended.stderr).toBe(0);
      return lastJson(ended);
    };
    const ids = async (): Promise<readonly string[]> => (await exportRows(state)).map(({ id }) => id).toSorted();
    await start();
    const more = plainItems('k', 2);
    items = [...items, ...more];
    const [given, other] = [await envelopeOf(carried(more)), await envelopeOf(carried(plainItems('x', 1)))];
    await claim(state, given);
    await bury(state, [given, other, { ...other, messageId: 'stray', contentType: 'text/plain' }]);
    // Known to the ledger and not in the lake: no firing would ever bring them.
    await start();
    expect(await ids()).toEqual(['i0', 'i1']);
    const asked = await discard(state, INGESTION_QUEUE, '--id', given.messageId);
    expect([asked.code, asked.stderr]).toEqual([0, '']);
    expect(asked.stdout).toContain('1 of 3 would be given up for good. Nothing was changed.');
    expect(asked.stdout).toContain(
      `Next: npm run adit -- discard ${INGESTION_QUEUE} --id ${given.messageId} --state ${state} --yes`,
    );
    const done = await discard(state, INGESTION_QUEUE, '--id', given.messageId, '--yes', '--json');
    expect(done.code, done.stderr).toBe(0);
    expect(lastJson(done)).toMatchObject({ dryRun: false, found: 3, selected: 1, discarded: 1, released: 1 });
    expect(await start()).toMatchObject({ settled: expect.any(Number) as number, discarded: 2 });
    await start();
    expect(await ids()).toEqual(['i0', 'i1', 'k0', 'k1']);
    const rest = await discard(state, '--all', '--yes');
    expect(rest.stdout).toContain('2 of 2 were given up: 1 envelopes to be released, 0 that were in the lake');
    expect((await discard(state, '--all')).stdout).toBe('There are no dead letters.\n');
    await start();
    expect(await ids()).toEqual(['i0', 'i1', 'k0', 'k1']);
  });
});

describe('what a person may say to adit discard', () => {
  it.each([
    [[], 'discard needs a queue or --all'],
    [['--all', INGESTION_QUEUE], 'one of them'],
    [['ingestion-queue'], 'npm run adit -- discard point-time-data-ingestion-queue --dry-run'],
    [['--all', '--limit', '0'], '--limit must be a whole number 1..20000'],
    [['--all', '--yes'], 'there is no state in'],
  ])('%j', async (args, message) => {
    const ended = await discard(join(await emptyFolder(), 'state'), ...args);
    expect([ended.code, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toContain(message);
  });
});
