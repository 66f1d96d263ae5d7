import { describe, expect, it } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { GoneUsers } from '../../runtime/engine/gone-users.ts';
import { Users } from '../../runtime/engine/users.ts';
import { userNamed } from '../fakes/engine-rig.ts';
import { MemoryRows } from '../fakes/memory-rows.ts';
import { testSealing } from '../fakes/test-sealing.ts';

async function rig(count: number) {
  const rows = new MemoryRows();
  const users = new Users({ rows, digest: sha256Digest, sealing: testSealing });
  const all = Array.from({ length: count }, (_, at) => userNamed(`u${at}`));
  await users.import(all);
  const warnings: string[] = [];
  const gone = new GoneUsers({ users, log: { info: () => undefined, warn: (message) => warnings.push(message) } });
  gone.firing(count);
  const inactive = async (): Promise<number> => {
    let found = 0;
    for await (const user of users.list()) found += Number(user.status === 'inactive');
    return found;
  };
  return { users, all, gone, warnings, inactive };
}

describe('users that the upstream does not know any more', () => {
  it.each([
    [10, 5],
    [250, 5],
    [1000, 20],
  ])('of %d, up to %d are set inactive', async (count, limit) => {
    const { all, gone, inactive } = await rig(count);
    for (const user of all.slice(0, limit)) await gone.add(user);
    expect(await inactive()).toBe(limit);
  });

  it('are all given back when there are more: a wrong base URL must not deactivate everyone', async () => {
    const { all, gone, inactive, warnings } = await rig(10);
    for (const user of all) await gone.add(user);
    expect(await inactive()).toBe(0);
    expect(warnings.at(-1)).toContain('mass-gone');
  });

  it('are all given back also when they are found at once', async () => {
    const { all, gone, inactive } = await rig(50);
    await Promise.all(all.map((user) => gone.add(user)));
    expect(await inactive()).toBe(0);
  });

  it('are counted once, however many miners miss them', async () => {
    const { all, gone, inactive } = await rig(10);
    for (let miner = 0; miner < 5; miner += 1) for (const user of all.slice(0, 5)) await gone.add(user);
    expect(await inactive()).toBe(5);
  });

  it('are counted anew with each firing', async () => {
    const { all, gone, inactive } = await rig(20);
    for (const user of all.slice(0, 5)) await gone.add(user);
    gone.firing(15);
    for (const user of all.slice(5, 10)) await gone.add(user);
    expect(await inactive()).toBe(10);
  });

  it('do not stop the next one when the table cannot be asked', async () => {
    const rows = new MemoryRows();
    const users = new Users({ rows, digest: sha256Digest, sealing: testSealing });
    await users.import([userNamed('u1'), userNamed('u2')]);
    const gone = new GoneUsers({ users, log: { info: () => undefined, warn: () => undefined } });
    rows.fail = new Error('away');
    await expect(gone.add(userNamed('u1'))).rejects.toThrow('away');
    rows.fail = undefined;
    await gone.add(userNamed('u2'));
    expect((await users.read('u2'))?.status).toBe('inactive');
  });
});
