import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../runtime/ports.ts';
import { Pace } from '../contract/storage/pace.ts';
import { TcpGate } from '../contract/storage/tcp-gate.ts';

/** What a victim talks to. */
export type Peer = 'broker' | 'redis' | 'upstream';

/** `cut` connections are closed and new ones refused · `freeze` they stay open and nothing goes through · `delay` every chunk is late. */
export type CutKind = 'cut' | 'freeze' | 'delay';

/** Quiet time between two faults of one victim, in ms. */
const QUIET = { minMs: 200, maxMs: 1500 };

/** How long a fault lasts, in ms. A freeze is longer than the timeouts of the clients at times. */
const LAST: Readonly<Record<CutKind, { minMs: number; maxMs: number }>> = {
  cut: { minMs: 20, maxMs: 1000 },
  freeze: { minMs: 100, maxMs: 6500 },
  delay: { minMs: 200, maxMs: 2000 },
};

/** Delay of one chunk, in ms. */
const DELAY = { minMs: 2, maxMs: 60 };

const KINDS = ['cut', 'freeze', 'delay'] as const;

interface Wire {
  readonly peer: Peer;
  readonly gate: TcpGate;
  readonly pace: Pace;
  readonly port: number;
}

/** The connections of one victim: a gate in front of everything that it talks to. */
export class Network {
  readonly #wires: readonly Wire[];

  private constructor(wires: readonly Wire[]) {
    this.#wires = wires;
  }

  /** Ports of 127.0.0.1 by peer; a peer without one is not there. */
  static async open(ports: Readonly<Partial<Record<Peer, number>>>): Promise<Network> {
    const open = async ([peer, port]: [string, number]): Promise<Wire> => {
      const pace = new Pace();
      return { peer: peer as Peer, port, pace, gate: await TcpGate.open(port, pace) };
    };
    return new Network(await Promise.all(Object.entries(ports).map(open)));
  }

  /** Port to reach a peer by. */
  portOf(peer: Peer): number {
    return this.#wires.find((wire) => wire.peer === peer)?.gate.port ?? 0;
  }

  /** One fault after the other until `signal` is aborted; then everything is well. `onFault` is told before each. */
  async trouble(random: Random, signal: AbortSignal, onFault: (peer: Peer, kind: CutKind) => void): Promise<void> {
    try {
      for (;;) {
        await sleep(between(QUIET, random), undefined, { signal });
        const wire = this.#wires[Math.floor(random.next() * this.#wires.length)];
        const kind = KINDS[Math.floor(random.next() * KINDS.length)] ?? 'cut';
        if (wire === undefined) return;
        onFault(wire.peer, kind);
        await fault(wire, kind, random, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async close(): Promise<void> {
    for (const { pace } of this.#wires) pace.release();
    await Promise.all(this.#wires.map(({ gate }) => gate.close()));
  }
}

async function fault({ gate, pace, port }: Wire, kind: CutKind, random: Random, signal: AbortSignal): Promise<void> {
  const lastMs = between(LAST[kind], random);
  const delayMs = between(DELAY, random);
  // Half of the frozen connections come back to life, with what was sent meanwhile; the others turn out to be dead.
  const isDead = kind === 'cut' || (kind === 'freeze' && random.next() < 0.5);
  try {
    if (kind === 'cut') gate.turn('cut');
    else if (kind === 'freeze') pace.hold();
    else pace.delay(delayMs);
    await sleep(lastMs, undefined, { signal });
  } finally {
    // Cut first: bytes that were held back must not arrive on a connection that is called dead.
    if (isDead) gate.turn('cut');
    pace.release();
    if (isDead) gate.turn(port);
  }
}

function between({ minMs, maxMs }: { minMs: number; maxMs: number }, random: Random): number {
  return minMs + random.next() * (maxMs - minMs);
}
