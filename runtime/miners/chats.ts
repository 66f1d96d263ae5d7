import type { Miner } from '../core/miner.ts';
import { dataList, userList } from '../core/page.ts';

/** Chat messages of a user. */
export const chats: Miner = {
  name: 'chats',
  upstream: 'graph',
  lane: 'realtime',
  schedule: '0 10 */6 * * *',
  cacheTtlMs: 24 * 60 * 60 * 1000,
  request: (userId) => userList(userId, 'chats'),
  page: dataList,
};
