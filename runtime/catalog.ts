import type { Miner } from './core/miner.ts';
import type { UpstreamDefinition } from './core/upstream.ts';
import { chats } from './miners/chats.ts';
import { earnings } from './miners/earnings.ts';
import { fans } from './miners/fans.ts';
import { transactions } from './miners/transactions.ts';
import { wallPosts } from './miners/wall-posts.ts';
import { graph } from './upstreams/graph.ts';

/** THE list: every data type that is mined. Queues, timers, scale, alerts, dashboards and policies are derived from it. */
export const miners: readonly Miner[] = [transactions, wallPosts, earnings, chats, fans];

/** Every API that a miner may name. */
export const upstreams: readonly UpstreamDefinition[] = [graph];
