import { describe, expect, it } from 'vitest';
import type { Run } from '../../runtime/core/run.ts';
import { sendResumed, type SteerDeps, steerRun } from '../../runtime/engine/steer-run.ts';
import { lakeIds, MINING_QUEUE, userNamed } from '../fakes/engine-rig.ts';
import { page, serveLists } from '../fakes/scripted-upstream.ts';
import { idsOf, mineAll, pagesOf, rig, type Rig } from './mining-rig.ts';

const TARGET = { minerName: 'chats', userId: 'u1' };
const RESUME = { steer: 'resume', isDryRun: false } as const;

/** A run of six pages that is set aside on its third, because its marker stays. */
async function stuck(): Promise<{ one: Rig; deps: SteerDeps; repair: () => void }> {
  const serve = serveLists({ u1: pagesOf(6) });
  let isBroken = true;
  const one = rig((call, signal) =>
    isBroken && call.after === 'm2' ? page([{ id: 'i4' }], 'm2') : serve(call, signal),
  );
  expect(await mineAll(one)).toMatchObject({ state: 'quarantined', marker: 'm2' });
  return { one, deps: { runs: one.process.runs, clock: one.world.clock }, repair: () => (isBroken = false) };
}

describe('steerRun', () => {
  it('resumes: the next firing sends the message at once, the run goes on from its marker and misses nothing', async () => {
    const { one, deps, repair } = await stuck();
    repair();
    expect(await steerRun(deps, TARGET, RESUME)).toMatchObject({ kind: 'written', run: { state: 'live' } });
    const calls = one.upstream.calls.length;
    expect(await one.process.fire([userNamed('u1')])).toMatchObject({ revived: 1 });
    await one.process.drain();
    expect(await one.process.run('u1')).toMatchObject({ state: 'done', revivals: 0 });
    expect(one.upstream.calls.slice(calls).map(({ after }) => after)).toEqual(['m2', 'm3', 'm4', 'm5']);
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(6)));
    expect(one.process.progress.openRuns()).toBe(0);
  });

  it('resumed by the monitor too, without waiting for it to be silent', async () => {
    const { one, deps, repair } = await stuck();
    repair();
    await steerRun(deps, TARGET, RESUME);
    expect(await one.process.revive(3_600_000)).toBe(1);
    await one.process.drain();
    expect(await one.process.run('u1')).toMatchObject({ state: 'done' });
  });

  it('writes nothing on a dry run', async () => {
    const { one, deps } = await stuck();
    const before = await one.process.run('u1');
    for (const steer of ['resume', 'skip'] as const) {
      expect(await steerRun(deps, TARGET, { steer, isDryRun: true })).toMatchObject({ kind: 'written' });
    }
    expect(await one.process.run('u1')).toEqual(before);
  });

  it('decides about what the row holds when others move it meanwhile', async () => {
    const { one, deps } = await stuck();
    const { runs } = one.world.ledger;
    const read = runs.read.bind(runs);
    runs.read = async (keys) => {
      const rows = await read(keys);
      runs.read = read;
      // Somebody else was faster, between the look and the write. At the same millisecond he would have written the same.
      await steerRun(deps, TARGET, RESUME);
      one.world.clock.skip(1);
      return rows;
    };
    expect(await steerRun(deps, TARGET, RESUME)).toMatchObject({
      kind: 'refused',
      why: expect.stringMatching(/live/) as string,
    });
    expect(await one.process.run('u1')).toMatchObject({ slice: 1 });
  });

  it('gives up on a row that is never won, and says when there is none', async () => {
    const { one, deps } = await stuck();
    expect(await steerRun(deps, { ...TARGET, userId: 'nobody' }, RESUME)).toEqual({ kind: 'no-run' });
    one.world.ledger.runs.write = async (writes) => writes.map(() => ({ ok: false as const }));
    expect(await steerRun(deps, TARGET, RESUME)).toEqual({ kind: 'contended' });
  });
});

describe('sendResumed', () => {
  const resumed = async (): Promise<{ one: Rig; send: () => Promise<void> }> => {
    const { one, deps, repair } = await stuck();
    repair();
    const outcome = await steerRun(deps, TARGET, RESUME);
    if (outcome.kind !== 'written') throw new Error(outcome.kind);
    const { bus, random } = one.world;
    return { one, send: () => sendResumed({ ...deps, bus, random }, outcome) };
  };

  it('sends one message, and no firing sends another', async () => {
    const { one, send } = await resumed();
    await send();
    expect(one.world.bus.in(MINING_QUEUE)).toHaveLength(1);
    expect(await one.process.fire([userNamed('u1')])).toMatchObject({ coalesced: 1 });
    await one.process.drain();
    expect(await one.process.run('u1')).toMatchObject({ state: 'done' });
  });

  it('leaves it to the next firing when the bus is away', async () => {
    const { one, send } = await resumed();
    one.world.bus.beforeSend = () => {
      throw new Error('away');
    };
    await expect(send()).rejects.toThrow('away');
    one.world.bus.beforeSend = undefined;
    expect(await one.process.run('u1')).toMatchObject({ state: 'live', isUnsent: true } satisfies Partial<Run>);
    expect(await one.process.fire([userNamed('u1')])).toMatchObject({ revived: 1 });
  });

  it('sends nothing when a firing was faster', async () => {
    const { one, send } = await resumed();
    one.world.clock.skip(1);
    await one.process.fire([userNamed('u1')]);
    await send();
    expect(one.world.bus.in(MINING_QUEUE)).toHaveLength(1);
  });
});
