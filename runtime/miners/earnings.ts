import type { Miner } from '../core/miner.ts';
import { dataList, userList } from '../core/page.ts';

/** What a user earned, by source and period. */
export const earnings: Miner = {
  name: 'earnings',
  upstream: 'graph',
  lane: 'money',
  schedule: '0 5 */6 * * *',
  cacheTtlMs: 1 * 60 * 60 * 1000,
  request: (userId) => userList(userId, 'earnings'),
  page: dataList,
};
