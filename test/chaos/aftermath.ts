import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ServiceBusClient } from '@azure/service-bus';
import { miners } from '../../runtime/catalog.ts';
import { entitiesOf } from '../../runtime/core/route.ts';

/** Dead letters of one queue that are looked at. */
const PEEK_LIMIT = 250;

/** Envelopes of a ledger, and items that were in the lake already under another envelope: the price of fighting over users. */
export function foughtOver(state: string): { envelopes: number; envelopesKnown: number; itemsKnown: number } {
  const ledger = new DatabaseSync(join(state, 'ledger.db'), { readOnly: true });
  try {
    const count = { envelopes: 0, envelopesKnown: 0, itemsKnown: 0 };
    for (const { value } of ledger.prepare('SELECT value FROM envelopes').all()) {
      const { items, owned } = JSON.parse(String(value)) as { items: number; owned: number };
      count.envelopes += 1;
      count.envelopesKnown += owned < items ? 1 : 0;
      count.itemsKnown += items - owned;
    }
    return count;
  } finally {
    ledger.close();
  }
}

/** Dead letters, counted by `queue: reason`. */
export async function deadLetters(connectionString: string): Promise<Readonly<Record<string, number>>> {
  const client = new ServiceBusClient(connectionString);
  try {
    const counts: Record<string, number> = {};
    for (const { name, kind } of entitiesOf(miners)) {
      if (kind !== 'queue') continue;
      const receiver = client.createReceiver(name, { subQueueType: 'deadLetter' });
      for (const { deadLetterReason } of await receiver.peekMessages(PEEK_LIMIT)) {
        const key = `${name}: ${deadLetterReason ?? 'no reason'}`;
        counts[key] = (counts[key] ?? 0) + 1;
      }
      await receiver.close();
    }
    return counts;
  } finally {
    await client.close();
  }
}
