import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { BusBed, Seen, WAIT, texts } from './bus-bed.ts';
import { outgoing, queueEntity, textOf } from './bus-contract.ts';

vi.setConfig({ testTimeout: 90_000 });

const WORKER = join(import.meta.dirname, 'bus-worker.ts');

let bed: BusBed;
beforeAll(async () => {
  bed = await BusBed.start(Array.from({ length: 6 }, (_, index) => queueEntity(`queue-${index}`)));
});
afterEach(() => bed.endTest());
afterAll(() => bed.broker.remove());

describe('Service Bus client under load', () => {
  it('handles 2,500 messages once each with a concurrency of 64', async () => {
    const bus = bed.open();
    const seen = new Seen();
    await bus.send(
      'queue-0',
      texts(2500).map((text) => outgoing(text)),
    );
    const consumer = bus.consume('queue-0', { concurrency: 64, onError: seen.onError }, async (message) =>
      seen.add(textOf(message)),
    );
    await seen.waitForSettled(2500);
    await consumer.stop(5000);
    expect([seen.handled.size, seen.twice, seen.errors]).toEqual([2500, [], []]);
  });

  it('shares a queue between two processes without handling a message twice', async () => {
    const bus = bed.open();
    const workers = [0, 1].map(() => spawn(process.execPath, [WORKER, bed.broker.connectionString, 'queue-1']));
    const lines: string[][] = workers.map(({ stdout }) => {
      const own: string[] = [];
      createInterface({ input: stdout }).on('line', (line) => own.push(line));
      return own;
    });
    await bus.send(
      'queue-1',
      texts(50, 'first').map((text) => outgoing(text)),
    );
    await vi.waitFor(() => expect(lines.flat()).toHaveLength(50), WAIT);
    for (let round = 0; lines.some((own) => own.length === 0) || round < 4; round += 1) {
      if (round > 50) throw new Error('one process took everything');
      const before = lines.flat().length;
      await bus.send(
        'queue-1',
        texts(200, `round ${round} `).map((text) => outgoing(text)),
      );
      await vi.waitFor(() => expect(lines.flat().length).toBe(before + 200), WAIT);
    }
    for (const { stdin } of workers) stdin.end();
    await Promise.all(workers.map((worker) => once(worker, 'exit')));
    expect(new Set(lines.flat()).size).toBe(lines.flat().length);
  });

  it('C1: handles 2,100 other messages while one handler holds its message', async () => {
    const bus = bed.open();
    const seen = new Seen();
    const release = Promise.withResolvers<void>();
    await bus.send('queue-2', [outgoing('slow')]);
    await bus.send(
      'queue-2',
      texts(2600).map((text) => outgoing(text)),
    );
    const consumer = bus.consume('queue-2', { concurrency: 32, onError: seen.onError }, async (message) => {
      const text = textOf(message);
      if (text === 'slow') await release.promise;
      return seen.add(text);
    });
    await seen.waitForSettled(2600);
    expect(bed.events).toContainEqual({ kind: 'receiver-rolled', entity: 'queue-2' });
    release.resolve();
    await seen.waitForSettled(2601);
    await consumer.stop(5000);
    expect([seen.twice, seen.errors]).toEqual([[], []]);
  });

  it('C5: sends 5,000 messages of as many callers at once', async () => {
    const bus = bed.open();
    await Promise.all(texts(5000).map((text) => bus.send('queue-5', [outgoing(text)])));
    const seen = new Seen();
    const consumer = bus.consume('queue-5', { concurrency: 500, onError: seen.onError }, async (message) =>
      seen.add(textOf(message)),
    );
    await seen.waitForSettled(5000);
    await consumer.stop(5000);
    expect([seen.handled.size, seen.twice]).toEqual([5000, []]);
  });
});
