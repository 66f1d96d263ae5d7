import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { expect, it, vi } from 'vitest';
import { INGESTION_QUEUE, routeOf } from '../../../runtime/core/route.ts';
import type { Pipeline } from '../../../runtime/engine/pipeline.ts';
import { copyOfProduct, damage } from '../../e2e/product-copy.ts';
import { MINER } from '../../fakes/engine-rig.ts';
import { Rig } from './rig.ts';

vi.setConfig({ testTimeout: 180_000 });

const { miningQueue } = routeOf(MINER);

/** The pipeline of a copy of the product that writes `version` of envelopes and marker messages, and waits a second for newer code. */
async function codeOf(version: number): Promise<typeof Pipeline> {
  const root = await copyOfProduct();
  await damage(root, 'runtime/engine/postpone.ts', /NEWER_WAIT_MS = 30_000/, 'NEWER_WAIT_MS = 1_000');
  if (version > 1) {
    await damage(
      root,
      'runtime/core/envelope.ts',
      /ENVELOPE_SCHEMA_VERSION = 1;/,
      `ENVELOPE_SCHEMA_VERSION = ${version};`,
    );
    await damage(
      root,
      'runtime/core/marker-message.ts',
      /MARKER_MESSAGE_SCHEMA_VERSION = 1;/,
      `MARKER_MESSAGE_SCHEMA_VERSION = ${version};`,
    );
  }
  const url = pathToFileURL(join(root, 'runtime/engine/pipeline.ts')).href;
  return ((await import(/* @vite-ignore */ url)) as { Pipeline: typeof Pipeline }).Pipeline;
}

it('old and new code share the queues: what is newer waits, whole, until new code is there; nothing is lost or twice', async () => {
  const rig = await Rig.start({ hasRedis: false, settings: { slicePages: 2 } });
  const [oldCode, newCode] = await Promise.all([codeOf(1), codeOf(2)]);
  const older = rig.open({ code: oldCode });
  const newer = rig.open({ code: newCode });
  for (const pipeline of [older, newer]) pipeline.joinFleet();
  const untilIdle = (): Promise<void> =>
    vi.waitFor(async () => expect(await rig.isIdle()).toBe(true), { timeout: 90_000, interval: 200 });

  // Only old code consumes what new code has sent: it can do nothing but let it wait, four times over.
  await rig.begin(older);
  await rig.fireOnly(newer, 'A');
  await delay(4500);
  expect(rig.upstream.calls).toHaveLength(0);
  const waiting = await rig.depth(miningQueue);
  expect([waiting.active + waiting.scheduled, waiting.deadLetter]).toEqual([4, 0]);

  // New code comes, and both work: envelopes and slices of either reach the other.
  await rig.begin(newer);
  await untilIdle();
  await rig.expectVersions('A');
  await rig.fireOnly(older, 'B');
  await untilIdle();
  await rig.fireOnly(newer, 'A');
  await untilIdle();

  // The old process ends, as a deployment does.
  await older.stop(5000);
  await rig.fireOnly(newer, 'C');
  await untilIdle();
  await rig.expectVersions('ABAC');
  for (const queue of [miningQueue, INGESTION_QUEUE]) {
    expect(await rig.depth(queue)).toMatchObject({ deadLetter: 0, transferDeadLetter: 0 });
  }
  expect(rig.logged.filter((line) => line.startsWith('a dead letter'))).toEqual([]);
});
