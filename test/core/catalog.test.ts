import { Cron } from 'croner';
import { describe, expect, it } from 'vitest';
import { miners, upstreams } from '../../runtime/catalog.ts';
import { entitiesOf, INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';

const SIX_HOURS_MS = 6 * 3_600_000;

describe('the catalog', () => {
  it('lists the five data types of the article under names that queues and folders can carry', () => {
    expect(miners.map((miner) => miner.name)).toEqual(['transactions', 'wall-posts', 'earnings', 'chats', 'fans']);
    for (const { name } of miners) expect(name).toMatch(/^[a-z][a-z0-9-]{0,40}$/);
    expect(new Set(miners.map(({ name }) => name)).size).toBe(miners.length);
  });

  it('names upstreams that it lists', () => {
    const known = upstreams.map((upstream) => upstream.name);
    for (const miner of miners) expect(known).toContain(miner.upstream);
  });

  it('fires every data type every six hours, never two at the same minute', () => {
    const from = new Date('2026-11-23T00:00:30Z');
    const options = { mode: '6-part', domAndDow: true, timezone: 'UTC', paused: true } as const;
    const firsts = miners.map((miner) => {
      const runs = new Cron(miner.schedule, options).nextRuns(3, from).map((run) => run.getTime());
      expect(runs[1]! - runs[0]!, miner.name).toBe(SIX_HOURS_MS);
      expect(runs[2]! - runs[1]!, miner.name).toBe(SIX_HOURS_MS);
      return runs[0]! % SIX_HOURS_MS;
    });
    expect(new Set(firsts).size).toBe(miners.length);
  });

  it('makes the routes of the article: a mining queue each, data topics that forward, one ingestion queue', () => {
    const names = entitiesOf(miners).map((entity) =>
      entity.kind === 'subscription' ? `${entity.topic}/lake` : entity.name,
    );
    expect(names).toEqual([
      'point-time-data-ingestion-queue',
      'transactions-mining-queue',
      'transactions-data-topic',
      'transactions-data-topic/lake',
      'wall-posts-mining-queue',
      'wall-posts-data-topic',
      'wall-posts-data-topic/lake',
      'earnings-mining-queue',
      'chats-mining-queue',
      'fans-mining-queue',
    ]);
    for (const miner of miners) {
      const route = routeOf(miner);
      expect(route.sendTo).toBe(miner.dataTopic === true ? `${miner.name}-data-topic` : INGESTION_QUEUE);
    }
  });
});
