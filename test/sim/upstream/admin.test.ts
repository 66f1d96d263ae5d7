import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { startSimulator } from '../../../runtime/local/upstream/simulator.ts';
import { closeAll, admin, start, temporaryFolder } from './running.ts';

afterEach(closeAll);

describe('admin', () => {
  it('changes the scenario while it runs', async () => {
    const { reader, simulator } = await start();
    expect((await reader.page('u1', 'fans')).status).toBe(200);
    expect((await admin(simulator, 'scenario', { name: 'gone', goneUserShare: 1 })).status).toBe(200);
    expect((await reader.page('u1', 'fans')).status).toBe(404);
    expect((await admin(simulator, 'scenario', { goneUserShare: 0 })).status).toBe(200);
    expect((await reader.page('u1', 'fans')).status).toBe(200);
    expect(JSON.parse((await admin(simulator, 'stats')).text)).toMatchObject({
      epoch: 0,
      users: 3,
      pages: 2,
      calls: { '200': 2, '404': 1 },
    });
  });

  it('says what is wrong with a request', async () => {
    const { simulator } = await start();
    const text = async (path: string, body: unknown): Promise<string> => {
      const answer = await admin(simulator, path, body);
      expect(answer.status).toBe(400);
      return answer.text;
    };
    expect(await text('epoch', {})).toContain('the body must be');
    expect(await text('epoch', { epoch: -1 })).toContain('epoch must be a whole number');
    expect(await text('scenario', { name: 'nonsense' })).toContain('calm');
    expect(await text('scenario', { overlapShar: 1 })).toContain('overlapShar');
    expect(await text('scenario', { overlapShare: 2 })).toContain('overlapShare must be 0..1');
    expect(await text('scenario', [])).toContain('object');
    expect((await admin(simulator, 'nothing')).status).toBe(404);
  });
});

describe('options', () => {
  it.each([
    [{ users: 0 }, /^users must be/],
    [{ users: 1, seed: 1.5 }, /^seed must be/],
    [{ users: 1, epoch: -1 }, /^epoch must be/],
    [{ users: 1, scenario: 'nonsense' }, /^scenario must be/],
    [{ users: 1, scenario: { nonsense: 1 } as object }, /^scenario has no field "nonsense"/],
    [{ users: 1, itemsPerList: { exactly: -1 } }, /^itemsPerList must be/],
  ])('%j is refused by name', async (options, message) => {
    await expect(startSimulator(options)).rejects.toThrow(message);
  });

  it('a scenario may be a JSON file', async () => {
    const file = join(temporaryFolder(), 'mine.json');
    writeFileSync(file, '{"goneUserShare":1}');
    const { reader } = await start({ scenario: file });
    expect((await reader.page('u1', 'fans')).status).toBe(404);
  });

  it('closing twice is closing once', async () => {
    const { simulator } = await start();
    await Promise.all([simulator.close(), simulator.close()]);
    await simulator.close();
  });
});
