import type { Miner } from '../core/miner.ts';
import { dataList, userList } from '../core/page.ts';

/** People who follow a user. */
export const fans: Miner = {
  name: 'fans',
  upstream: 'graph',
  lane: 'bulk',
  schedule: '0 30 */6 * * *',
  cacheTtlMs: 2 * 60 * 60 * 1000,
  request: (userId) => userList(userId, 'fans'),
  page: dataList,
};
