import { ServiceBusClient } from '@azure/service-bus';

/**
 * A client in a process of its own, to be killed. Arguments: connection string, role, entity, count.
 * `hold`: receives and settles nothing; prints {"held": n} when it has `count` messages.
 * `send`: sends `count` messages one after another; prints {"sent": id} for each acknowledged one.
 * `drain`: receives and completes until killed; prints {"completed": id} after each confirmed settlement.
 */
const [connectionString = '', role, entity = '', countText = '1'] = process.argv.slice(2);
const count = Number(countText);
const client = new ServiceBusClient(connectionString, {
  retryOptions: { timeoutInMs: 5_000, retryDelayInMs: 100, maxRetries: 3 },
});

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function hold(): void {
  let held = 0;
  client.createReceiver(entity).subscribe(
    {
      async processMessage() {
        held += 1;
        if (held === count) print({ held });
        await new Promise(() => undefined);
      },
      async processError() {},
    },
    { maxConcurrentCalls: count, autoCompleteMessages: false },
  );
}

async function send(): Promise<void> {
  const sender = client.createSender(entity);
  for (let index = 0; index < count; index++) {
    const messageId = `${process.pid}-${index}`;
    await sender.sendMessages({ messageId, body: index });
    print({ sent: messageId });
  }
  await client.close();
}

function drain(): void {
  const receiver = client.createReceiver(entity);
  receiver.subscribe(
    {
      async processMessage(message) {
        await receiver.completeMessage(message);
        print({ completed: message.messageId });
      },
      async processError() {},
    },
    { maxConcurrentCalls: count, autoCompleteMessages: false },
  );
}

if (role === 'hold') hold();
else if (role === 'drain') drain();
else await send();
