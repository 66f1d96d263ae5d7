import type { Miner } from '../core/miner.ts';
import { dataList, userList } from '../core/page.ts';

/** Payments in and out of a user's account. */
export const transactions: Miner = {
  name: 'transactions',
  upstream: 'graph',
  lane: 'money',
  schedule: '0 0 */6 * * *',
  // Article ch. 5; ch. 3 prints 1 day.
  cacheTtlMs: 6 * 60 * 60 * 1000,
  dataTopic: true,
  request: (userId) => userList(userId, 'transactions'),
  page: dataList,
};
