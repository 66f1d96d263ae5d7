import { writeSync } from 'node:fs';
import { INGESTION_QUEUE } from '../core/route.ts';
import type { Bus, Upstream } from '../ports.ts';

/** Letters written when a phase begins (upper case) and ends (lower case). */
const LETTERS = { page: ['P', 'p'], send: ['S', 's'], ingest: ['I', 'i'] } as const;

/**
 * Tells a file descriptor when a page, a send or an ingest begins and ends, so that a crash test knows what it has hit.
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
      send: (entity, messages, signal) => within('send', () => bus.send(entity, messages, signal)),
      consume: (entity, options, handler) => {
        if (entity !== INGESTION_QUEUE) return bus.consume(entity, options, handler);
        return bus.consume(entity, options, (message, lock) => within('ingest', () => handler(message, lock)));
      },
      close: () => bus.close(),
    },
  };
}
