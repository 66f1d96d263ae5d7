import type { Miner } from '../core/miner.ts';
import { dataList, userList } from '../core/page.ts';

/** Posts on a user's wall. */
export const wallPosts: Miner = {
  name: 'wall-posts',
  upstream: 'graph',
  lane: 'bulk',
  schedule: '0 20 */6 * * *',
  cacheTtlMs: 6 * 60 * 60 * 1000,
  dataTopic: true,
  request: (userId) => userList(userId, 'wall-posts'),
  page: dataList,
};
