import { writeSync } from 'node:fs';
import { miners } from '../catalog.ts';
import { INGESTION_QUEUE, routeOf } from '../core/route.ts';
import type { Bus, Upstream } from '../ports.ts';

/**
 * Letters written when a phase begins (upper case) and ends (lower case): a page is fetched, a message with items or with a marker
 * is sent, an envelope is ingested, a slice is mined.
 */
const LETTERS = {
  page: ['P', 'p'],
  send: ['S', 's'],
  fire: ['F', 'f'],
  ingest: ['I', 'i'],
  slice: ['M', 'm'],
} as const;

const MINING_QUEUES: ReadonlySet<string> = new Set(miners.map((miner) => routeOf(miner).miningQueue));

/**
 * Tells a file descriptor when a phase of the work begins and ends, so that a crash test knows what it has hit.
 * The write is synchronous: what was begun when the process died is in the pipe.
 */
export function tracePhases(fd: number, ports: { upstream: Upstream; bus: Bus }): { upstream: Upstream; bus: Bus } {
  const within = async <T>(phase: keyof typeof LETTERS, work: () => Promise<T>): Promise<T> => {
    writeSync(fd, LETTERS[phase][0]);
    try {
      return await work();
    } finally {
      writeSync(fd, LETTERS[phase][1]);
    }
  };
  const { upstream, bus } = ports;
  return {
    upstream: {
      call: (call, signal) => within('page', () => upstream.call(call, signal)),
      close: () => upstream.close(),
    },
    bus: {
      send: (entity, messages, signal) =>
        within(MINING_QUEUES.has(entity) ? 'fire' : 'send', () => bus.send(entity, messages, signal)),
      consume: (entity, options, handler) => {
        const phase = entity === INGESTION_QUEUE ? 'ingest' : 'slice';
        return bus.consume(entity, options, (message, lock) => within(phase, () => handler(message, lock)));
      },
      close: () => bus.close(),
    },
  };
}
