import { afterEach, describe, expect, it } from 'vitest';

import { miners } from '../../../runtime/catalog.ts';
import type { Simulator } from '../../../runtime/local/upstream/simulator.ts';
import { itemsOf, namesOf, truthNames } from './reader.ts';
import type { Reader } from './reader.ts';
import { closeAll, admin, idsOf, start } from './running.ts';

afterEach(closeAll);

/** The names of everything that one reading of all lists finds. */
async function readAll(reader: Reader, simulator: Simulator): Promise<readonly string[]> {
  const lists = simulator.users().flatMap(({ userId }) => miners.map(({ name }) => [userId, name] as const));
  const names: string[] = [];
  for (const [userId, name] of lists) names.push(...namesOf(name, userId, (await reader.list(userId, name, 20)).items));
  return names;
}

describe('truth', () => {
  it('is exactly what a client has received, in every scenario that completes', async () => {
    for (const scenario of [
      'calm',
      'overlap',
      'empty-pages',
      'edits',
      'growth',
      'deletes',
      'bursts',
      'strange',
      'mixed',
    ]) {
      // Without its rate limits, which would have to be waited for.
      const { reader, simulator } = await start({
        scenario: { name: scenario, ratePerSecond: 0 },
        users: 4,
        itemsPerList: 60,
      });
      const seen = new Set<string>();
      for (const epoch of [simulator.stats().epoch, simulator.stats().epoch + 1]) {
        simulator.setEpoch(epoch);
        for (const name of await readAll(reader, simulator)) seen.add(name);
      }
      const truth = truthNames(simulator.truth());
      expect([...seen].filter((name) => !truth.has(name)).length, `${scenario}: seen, not in the truth`).toBe(0);
      expect(truth.size, scenario).toBe(seen.size);
      expect(simulator.stats().servedItems).toBe(truth.size);
    }
  }, 60_000);

  it('tells contents that come back: A, B, A are two distinct and three in sequence', async () => {
    const { reader, simulator } = await start({
      users: 1,
      itemsPerList: { exactly: 30 },
      scenario: { editShare: 0.5 },
    });
    for (let epoch = 0; epoch < 8; epoch += 1) {
      simulator.setEpoch(epoch);
      await reader.list('u1', 'fans');
      await reader.list('u1', 'fans');
    }
    const distinct = [...simulator.truth()];
    const sequence = [...simulator.truth({}, 'sequence')];
    expect(distinct.length).toBe(simulator.stats().servedItems);
    expect(sequence.length).toBe(simulator.stats().truth);
    expect(sequence.length).toBeGreaterThan(distinct.length);
    expect(new Set(sequence.map(({ data }) => data)).size).toBe(distinct.length);
    for (const id of new Set(idsOf(sequence))) {
      const contents = sequence.filter((item) => item.id === id).map(({ data }) => data);
      expect(contents.every((data, index) => data !== contents[index + 1])).toBe(true);
    }
  });

  it('is served as NDJSON with the items as they were served, by data type and user', async () => {
    const { reader, simulator } = await start({ itemsPerList: { exactly: 20 } });
    for (const { userId } of simulator.users()) for (const { name } of miners) await reader.list(userId, name);
    const lines = (await admin(simulator, 'truth?miner=transactions&user=u2')).text.trim().split('\n');
    expect(lines).toHaveLength(20);
    expect(lines[0]).toMatch(
      /^\{"miner":"transactions","userId":"u2","id":"txn_2_19","data":\{"id":"txn_2_19",.*\}\}$/,
    );
    const [item] = itemsOf(await reader.page('u2', 'transactions', { limit: 1 }));
    expect(lines[0]).toContain(`"data":${item?.text}}`);
    expect((await admin(simulator, 'truth')).text.trim().split('\n')).toHaveLength(3 * 20 * miners.length);
    expect((await admin(simulator, 'truth?user=nobody')).text).toBe('');
  });

  it('leaves out pages that were not delivered', async () => {
    const { simulator } = await start({ scenario: 'slow', users: 1, itemsPerList: { exactly: 100_000 } });
    const [user] = simulator.users();
    const headers = { authorization: `Bearer ${user?.accessToken}`, 'accept-encoding': 'identity' };
    simulator.setScenario({ delayMs: 0, slowCallShare: 0 });
    await (await fetch(`${simulator.url}/users/u1/fans?limit=10`, { headers })).text();
    simulator.setScenario({ slowCallShare: 1, slowCallMs: 200 });
    const abort = new AbortController();
    const lost = fetch(`${simulator.url}/users/u1/fans?limit=1000`, { headers, signal: abort.signal });
    setTimeout(() => abort.abort(), 50);
    await expect(lost).rejects.toThrow();
    while (simulator.stats().calls['lost'] === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(simulator.stats()).toMatchObject({ pages: 1, items: 10, servedItems: 10, calls: { '200': 1, lost: 1 } });
  });
});
