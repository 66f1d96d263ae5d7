import { describe, expect, it } from 'vitest';

import { miners, upstreams } from '../../../runtime/catalog.ts';

describe('the catalog', () => {
  it('names every data type once, and only upstreams that exist', () => {
    const names = miners.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(['transactions', 'wall-posts', 'earnings', 'chats', 'fans']));
    const known = upstreams.map(({ name }) => name);
    for (const { upstream } of miners) expect(known).toContain(upstream);
  });

  it('fires no two data types in the same minute', () => {
    const schedules = miners.map(({ schedule }) => schedule);
    expect(new Set(schedules).size).toBe(schedules.length);
    for (const schedule of schedules) expect(schedule).toMatch(/^0 [0-5]?\d \*\/6 \* \* \*$/);
  });
});

describe.each(miners)('$name', (miner) => {
  it("asks for the user's list, whatever characters the id has", () => {
    expect(miner.request('u1')).toEqual({ path: `/users/u1/${miner.name}` });
    expect(miner.request('a/b ?#é')).toEqual({ path: `/users/a%2Fb%20%3F%23%C3%A9/${miner.name}` });
  });

  it('hands out the items of a page untouched, whatever they are', () => {
    const data = [{ id: '1', any: { depth: [1] } }, { id: 7 }, null, 'text'];
    expect(miner.page({ data, paging: {} }).items).toBe(data);
    expect(miner.page({ data: [] }).items).toEqual([]);
  });

  it.each([
    undefined,
    null,
    'text',
    7,
    [],
    {},
    { data: null },
    { data: {} },
    { data: 'x' },
    Object.create({ data: [] }),
  ])('refuses the body %j', (body: unknown) => {
    expect(() => miner.page(body)).toThrow(TypeError);
  });
});
