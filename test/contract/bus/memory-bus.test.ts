import { describe, expect, it, vi } from 'vitest';
import { MemoryBus } from '../../fakes/memory-bus.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { CONTRACT_ENTITIES, describeBus, outgoing, queueEntity, textOf } from './bus-contract.ts';

describeBus('memory', async () => {
  const clock = new TestClock();
  const bus = new MemoryBus({ clock, entities: CONTRACT_ENTITIES });
  return { bus, depths: bus, nowMs: () => clock.now(), pass: (ms) => clock.advance(ms), close: () => bus.close() };
});

describe('memory bus', () => {
  it('delivers the messages of a killed consumer again when their locks run out', async () => {
    const clock = new TestClock();
    const bus = new MemoryBus({ clock, entities: [queueEntity('queue', 60_000)] });
    const options = { concurrency: 1, onError: () => undefined };
    await bus.send('queue', [outgoing('a')]);
    const dead = bus.consume('queue', options, () => new Promise(() => undefined));
    await vi.waitFor(() => expect(dead.inFlight()).toBe(1));
    const killed = bus.kill('queue', dead);
    const seen: string[] = [];
    bus.consume('queue', options, async (message) => {
      seen.push(`${textOf(message)} ${message.deliveryCount}`);
      return { settlement: { kind: 'complete' } };
    });
    await clock.advance(59_999);
    expect(seen).toEqual([]);
    await clock.advance(1);
    await killed;
    await vi.waitFor(() => expect(seen).toEqual(['a 1']));
    await bus.close();
  });

  it('calls nothing settled after the lock was lost', async () => {
    const bus = new MemoryBus({ clock: new TestClock(), entities: [queueEntity('queue')] });
    await bus.send('queue', [outgoing('a')]);
    const errors: unknown[] = [];
    let settled = 0;
    const options = { concurrency: 1, onError: (error: unknown) => void errors.push(error) };
    const consumer = bus.consume('queue', options, async (message, lock) => {
      if (message.deliveryCount === 0) await new Promise((resolve) => lock.addEventListener('abort', resolve));
      return { settlement: { kind: 'complete' }, settled: () => (settled += 1) };
    });
    await vi.waitFor(() => expect(consumer.inFlight()).toBe(1));
    bus.loseLocks();
    await vi.waitFor(() => expect(settled).toBe(1));
    expect(errors).toEqual([expect.objectContaining({ code: 'LOCK_LOST' })]);
    await bus.close();
  });

  it('drops a duplicate within the window of the queue', async () => {
    const clock = new TestClock();
    const bus = new MemoryBus({ clock, entities: [{ ...queueEntity('queue'), duplicateDetectionMs: 1000 }] });
    const message = outgoing('a');
    await bus.send('queue', [message, message]);
    await clock.advance(1000);
    await bus.send('queue', [message]);
    expect((await bus.depth('queue')).active).toBe(2);
  });
});
