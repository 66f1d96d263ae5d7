import { systemClock, systemRandom } from '../../../runtime/adapters/system.ts';
import { openServiceBus } from '../../../runtime/adapters/service-bus.ts';

/** Run as a process of its own: handles messages of one queue and says the text of each once it is settled. */
const [connectionString = '', entity = ''] = process.argv.slice(2);
const bus = openServiceBus({
  clock: systemClock,
  random: systemRandom,
  connect: { connectionString },
  lockDurationMs: 5000,
});
const consumer = bus.consume(entity, { concurrency: 16, onError: () => undefined }, async ({ body }) => ({
  settlement: { kind: 'complete' },
  settled: () => void process.stdout.write(`${Buffer.from(body).toString('utf8')}\n`),
}));
process.stdin.resume();
process.stdin.once('end', () => {
  void consumer.stop(5000).then(() => bus.close());
});
