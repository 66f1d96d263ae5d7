import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceBusClient } from '@azure/service-bus';
import { openFileLog } from '../../../runtime/adapters/pino-log.ts';
import { LOG_REDACTION } from '../../../runtime/host/redaction.ts';
import { startBroker } from '../../../runtime/local/broker/broker.ts';
import { queue, RETRIES } from './stage.ts';

/**
 * Run by a test on a tiny file system: sends until the disk is full, makes space, starts the broker again and reads what is there.
 * Prints one line of JSON.
 */
const [dir = ''] = process.argv.slice(2);
const CALL_LIMIT = 10_000;
const filler = join(dir, 'filler');
writeFileSync(filler, Buffer.alloc(2_000_000, 1));
const log = openFileLog(join(dir, 'adit.log'), LOG_REDACTION);
const entities = [queue('q')];

const broker = await startBroker({ stateDir: join(dir, 'broker'), port: 0, entities });
const client = new ServiceBusClient(broker.connectionString, { retryOptions: { ...RETRIES, maxRetries: 0 } });
const sender = client.createSender('q');
const acknowledged: string[] = [];
for (let call = 0; call < CALL_LIMIT; call += 1) {
  try {
    await sender.sendMessages({ messageId: String(call), body: Buffer.from(`${call} ${'x'.repeat(20_000)}`) });
    acknowledged.push(String(call));
  } catch {
    break;
  }
}
const { code: failure } = await broker.failed;
// The log shares the full disk: lines may be lost, the process must not be.
for (let line = 0; line < 100; line += 1) log.warn('x'.repeat(1000));
await client.close().catch(() => undefined);
await broker.close();
rmSync(filler);
log.warn('there is space again');

const again = await startBroker({ stateDir: join(dir, 'broker'), port: 0, entities });
const reader = new ServiceBusClient(again.connectionString, { retryOptions: RETRIES });
const receiver = reader.createReceiver('q', { receiveMode: 'receiveAndDelete' });
const found = new Set<string>();
while (found.size < acknowledged.length) {
  const messages = await receiver.receiveMessages(50, { maxWaitTimeInMs: 1000 });
  if (messages.length === 0) break;
  for (const message of messages) found.add(String(message.messageId));
}
const lost = acknowledged.filter((id) => !found.has(id)).length;
await reader.createSender('q').sendMessages({ body: 'goes on' });
await reader.close();
await again.close();
log.close();
process.stdout.write(`${JSON.stringify({ count: acknowledged.length, lost, failure })}\n`);
