import { describe, expect, it } from 'vitest';
import { massLimit } from '../../runtime/core/mass.ts';
import { type EngineProcess, userNamed } from '../fakes/engine-rig.ts';
import { failure, page, type Script } from '../fakes/scripted-upstream.ts';
import { rig, type Rig } from './mining-rig.ts';

const REALTIME = { kind: 'lane', name: 'realtime' } as const;
const GONE = (): ReturnType<typeof failure> => failure(404, 803);
const REFUSED = (): ReturnType<typeof failure> => failure(401, 190);

/** Which users fall, and how. */
function falling(isFallen: (userId: string) => boolean, answer: typeof GONE): Script {
  return ({ userId }) => (isFallen(userId) ? answer() : page([{ id: `of ${userId}` }]));
}

const numberOf = (userId: string): number => Number(userId.slice(1));

async function fired(one: Rig, count: number, users = count): Promise<void> {
  const { process } = one;
  await process.mass.begin('graph', { users, isWhole: true });
  await process.start(...Array.from({ length: count }, (_, at) => `u${at}`));
}

async function statuses(process: EngineProcess): Promise<{ active: number; inactive: number }> {
  const counts = { active: 0, inactive: 0 };
  for await (const { status } of process.users.list()) counts[status] += 1;
  return counts;
}

/** Delivers everything that is due now, by two processes in turn, until the lane stops or nothing is due. */
async function deliverAll({ world }: Rig, processes: readonly EngineProcess[]): Promise<void> {
  for (let round = 0; round < 400; round += 1) {
    const due = world.bus.held.filter(({ message }) => (message.notBeforeMs ?? 0) <= world.clock.now());
    const held = due[0];
    if (held === undefined) return;
    await processes[round % processes.length]!.deliver(held);
  }
}

const states = async (process: EngineProcess, count: number): Promise<readonly string[]> =>
  Promise.all(Array.from({ length: count }, async (_, at) => (await process.run(`u${at}`))!.state));

it('the limit is five users, or two per cent', () => {
  expect([0, 10, 250, 299, 300, 1000, 1_000_000].map(massLimit)).toEqual([5, 5, 5, 5, 6, 20, 20_000]);
});

describe.each([
  ['gone', GONE, 'mass-gone'],
  ['refused tokens', REFUSED, 'mass-token'],
] as const)('users who fall: %s', (_, answer, code) => {
  it('five of them are set aside, and the others go on', async () => {
    const one = rig(falling((userId) => numberOf(userId) < 5, answer));
    await fired(one, 12);
    await one.process.drain();
    expect(await one.process.brakes.list()).toEqual([]);
    const aside = (await states(one.process, 12)).filter((state) => state !== 'done');
    expect(aside).toHaveLength(5);
    expect((await statuses(one.process)).inactive).toBe(code === 'mass-gone' ? 5 : 0);
  });

  it('six of twelve, seen by two processes: everybody is given back, and the lane stops until it is released', async () => {
    let isWrong = true;
    const one = rig((call) => (isWrong && numberOf(call.userId) < 6 ? answer() : page([{ id: `of ${call.userId}` }])));
    await fired(one, 12);
    const other = one.restart();
    await deliverAll(one, [one.process, other]);
    const [brake] = await one.process.brakes.list();
    expect(brake).toMatchObject({ target: REALTIME, isEngaged: true, engagedBy: 'adit' });
    expect(brake?.reason).toMatch(new RegExp(`^${code}: 6 of 12 users`));
    expect(brake?.fault).toMatchObject({ code, upstream: 'graph', isGivenBack: true });
    expect(await statuses(one.process)).toEqual({ active: 12, inactive: 0 });
    expect((await states(one.process, 12)).filter((state) => !['done', 'live'].includes(state))).toEqual([]);
    const calls = one.upstream.calls.length;
    await deliverAll(one, [one.process, other]);
    expect(one.upstream.calls).toHaveLength(calls);
    // The address is put right, and a person releases the lane: everybody is mined, nobody was lost.
    isWrong = false;
    await one.process.massCount.renew('graph');
    await one.process.brakes.release(REALTIME, 'bo', 'the address is right');
    await one.process.drain();
    expect(new Set(await states(one.process, 12))).toEqual(new Set(['done']));
  });

  it('is counted anew after the release: five more may fall', async () => {
    const one = rig(falling((userId) => numberOf(userId) < 6, answer));
    await fired(one, 12);
    await deliverAll(one, [one.process]);
    await one.process.massCount.renew('graph');
    await one.process.brakes.release(REALTIME, 'bo', 'look again');
    one.upstream.script = falling((userId) => numberOf(userId) < 5, answer);
    await one.process.drain();
    expect((await states(one.process, 12)).filter((state) => state !== 'done')).toHaveLength(5);
  });

  it('all at once, while they are being set aside: nobody stays so', async () => {
    const one = rig(falling(() => true, answer));
    await fired(one, 40);
    const held = [...one.world.bus.held];
    const processes = [one.process, one.restart(), one.restart()];
    await Promise.all(held.map((message, at) => processes[at % 3]!.deliver(message)));
    expect(await statuses(one.process)).toEqual({ active: 40, inactive: 0 });
    expect(new Set(await states(one.process, 40))).toEqual(new Set(['live']));
  });

  it('by the size of the firing: twenty of a thousand may, one more may not', async () => {
    const one = rig(falling(() => true, answer));
    await fired(one, 21, 1000);
    const held = [...one.world.bus.held];
    for (const message of held.slice(0, 20)) await one.process.deliver(message);
    expect(await one.process.brakes.list()).toEqual([]);
    await one.process.deliver(held[20]!);
    expect(await one.process.brakes.list()).toHaveLength(1);
    expect(new Set(await states(one.process, 21))).toEqual(new Set(['live']));
  });
});

describe('the count of a firing', () => {
  it('is exact when three processes count hundreds of users at once', async () => {
    const { process, restart } = rig(falling(() => true, GONE));
    const counts = [process, restart(), restart()].map(({ massCount }) => massCount);
    await counts[0]!.begin('graph', { users: 100_000, isWhole: true });
    const { countId } = await counts[1]!.size('graph');
    await Promise.all(
      Array.from({ length: 600 }, (_, at) =>
        counts[at % 3]!.add('graph', 'user-gone', countId, { userId: `u${at}`, minerName: 'chats' }),
      ),
    );
    expect(await counts[2]!.total('graph', 'user-gone', countId)).toBe(600);
  });

  it('counts a user once, however many miners miss him', async () => {
    const one = rig(falling(() => true, GONE));
    await fired(one, 5);
    const fans = one.restart({ miner: { name: 'fans', lane: 'bulk' } });
    await fans.fire(Array.from({ length: 5 }, (_, at) => userNamed(`u${at}`)));
    // Both miners have asked before either has set anybody inactive.
    await Promise.all(
      one.world.bus.held.map((held) => (held.entity.startsWith('fans') ? fans : one.process).deliver(held)),
    );
    expect(await one.process.brakes.list()).toEqual([]);
    expect((await statuses(one.process)).inactive).toBe(5);
  });

  it('begins anew with a firing of everything, and one of a single miner joins the one of a moment ago', async () => {
    const one = rig(falling(() => true, GONE));
    await fired(one, 5);
    await one.process.drain();
    expect((await statuses(one.process)).inactive).toBe(5);
    await one.process.mass.begin('graph', { isWhole: false });
    await one.process.start('u100');
    await deliverAll(one, [one.process]);
    expect(await one.process.brakes.list()).toHaveLength(1);
    expect((await statuses(one.process)).inactive).toBe(0);
  });

  it('deletes what an older one has left, and no more than the limit is ever kept', async () => {
    const one = rig(falling(() => true, GONE));
    await fired(one, 60);
    await one.process.drain({ deliveriesMax: 70 }).catch(() => undefined);
    const rows = async (): Promise<number> => {
      let found = 0;
      for (const shard of '0123456789abcdef') {
        for await (const { row } of one.world.ledger.control.scan(`mass.graph.user-gone.${shard}`)) {
          found += Number(!row.endsWith('-count'));
        }
      }
      return found;
    };
    expect(await rows()).toBeLessThanOrEqual(5 + 4);
    expect(await rows()).toBeGreaterThan(0);
    await one.process.mass.begin('graph', { users: 10, isWhole: true });
    expect(await rows()).toBe(0);
  });

  it('ends a give-back that a process has left half done', async () => {
    const one = rig(falling(() => true, GONE));
    await fired(one, 6);
    const held = [...one.world.bus.held];
    for (const message of held.slice(0, 5)) await one.process.deliver(message);
    const setStatus = one.process.users.setStatus.bind(one.process.users);
    one.process.users.setStatus = async (userId, status) => {
      if (status === 'active') throw new Error('killed');
      return setStatus(userId, status);
    };
    await expect(one.process.deliver(held[5]!)).rejects.toThrow('killed');
    expect((await statuses(one.process)).inactive).toBe(5);
    const later = one.restart();
    expect(await later.mass.finish()).toBe(1);
    expect(await statuses(later)).toEqual({ active: 6, inactive: 0 });
    expect(await later.mass.finish()).toBe(0);
  });
});
