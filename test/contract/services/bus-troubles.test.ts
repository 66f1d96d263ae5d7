import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { LOCK_MS, Rig } from './rig.ts';

vi.setConfig({ testTimeout: 240_000 });

interface Trouble {
  readonly name: string;
  /** From the first page to the end of the trouble. */
  happen(rig: Rig): Promise<void>;
  /** What the pipeline's log must tell of it. */
  readonly log: RegExp;
}

/** Sends and settlements of this long were received by the broker, and nobody knows. */
async function inDoubt(rig: Rig): Promise<void> {
  rig.busGate.setDeaf(true);
  await delay(250);
  rig.busGate.turn('cut');
  rig.busGate.setDeaf(false);
  rig.busGate.turn(rig.broker.port);
}

const TROUBLES: readonly Trouble[] = [
  {
    name: 'is killed and started again on its journal, three times',
    happen: async (rig) => {
      for (let time = 0; time < 3; time += 1) {
        await rig.broker.kill();
        await delay(300);
        await rig.broker.restart();
        await delay(700);
      }
    },
    log: /bus client-replaced/,
  },
  {
    name: 'is away for longer than its locks last',
    happen: async (rig) => {
      await rig.broker.kill();
      await delay(LOCK_MS * 2);
      await rig.broker.restart();
    },
    log: /bus client-replaced/,
  },
  {
    name: 'loses its connections between a transfer and its acknowledgement, eight times',
    happen: async (rig) => {
      for (let time = 0; time < 8; time += 1) {
        await inDoubt(rig);
        await delay(400);
      }
    },
    log: /bus client-replaced connection-lost/,
  },
  {
    name: 'is behind a connection that swallows every byte and is never closed',
    happen: async (rig) => {
      rig.busGate.turn('silent');
      await delay(LOCK_MS * 1.5);
      // Only new connections get through: the client has to give the old one up by itself.
      rig.busGate.lead(rig.broker.port);
    },
    log: /bus client-replaced/,
  },
  {
    name: 'stops answering while locks run out in the hands of handlers',
    happen: async (rig) => {
      rig.broker.freeze();
      await delay(LOCK_MS * 1.5);
      rig.broker.thaw();
    },
    log: /renew-failed|MessageLockLost|lock/,
  },
  {
    name: 'answers late',
    happen: async (rig) => {
      rig.busGate.slowDown(150);
      await delay(4000);
      rig.busGate.slowDown(0);
    },
    log: /^/,
  },
];

describe('a pipeline whose broker', () => {
  it.each(TROUBLES)('$name loses nothing, doubles nothing, and works its backlog off by itself', async (trouble) => {
    const rig = await Rig.start({ hasRedis: false });
    const pipeline = rig.open();
    await rig.begin(pipeline);
    await rig.fire(pipeline, 'A', () => trouble.happen(rig));
    await rig.fire(pipeline, 'B');
    await rig.expectVersions('AB');
    await rig.expectComplete(pipeline);
    expect(rig.logged.join('\n')).toMatch(trouble.log);
    expect(rig.logged.filter((line) => line.startsWith('a dead letter'))).toEqual([]);
  });
});
