import { startRedis } from '../../../runtime/local/redis.ts';

/** Run as a process that a test ends in several ways: starts Redis, says its pid, and waits or leaves. */
const [dir = '', then = ''] = process.argv.slice(2);
const redis = await startRedis({ dir });
process.on('SIGINT', () => undefined);
process.stdout.write(`${JSON.stringify({ url: redis?.url, pid: redis?.pid })}\n`);
if (then === 'wait') setInterval(() => undefined, 60_000);
