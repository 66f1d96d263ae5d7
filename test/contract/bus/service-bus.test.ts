import { systemClock, systemRandom } from '../../../runtime/adapters/system.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { vi } from 'vitest';
import { openServiceBusDepths } from '../../../runtime/adapters/service-bus-depths.ts';
import { openServiceBus } from '../../../runtime/adapters/service-bus.ts';
import { BrokerProcess } from './broker-process.ts';
import { CONTRACT_ENTITIES, describeBus } from './bus-contract.ts';

vi.setConfig({ testTimeout: 30_000 });

describeBus('Service Bus client on the local broker', async () => {
  const broker = await BrokerProcess.start(CONTRACT_ENTITIES);
  const connect = { connectionString: broker.connectionString };
  const bus = openServiceBus({ clock: systemClock, random: systemRandom, connect, lockDurationMs: 30_000 });
  return {
    bus,
    depths: openServiceBusDepths({ connect }),
    nowMs: () => Date.now(),
    pass: (ms) => delay(ms),
    async close() {
      await bus.close();
      await broker.remove();
    },
  };
});
