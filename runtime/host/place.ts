import type { Miner } from '../core/miner.ts';
import type { Pipeline } from '../engine/pipeline.ts';
import type { Lake } from '../ports.ts';

/** What runs where, for the first screen. */
export interface PlaceFacts {
  readonly stateDir: string;
  readonly broker: string;
  readonly cache: string;
  readonly storage: string;
  readonly logFile: string;
  /** How to look at the result. */
  readonly look: string;
}

/** Where a person's process mines into, before anything is mined: the cloud on this machine, or a deployed stack. */
export interface Place {
  readonly facts: PlaceFacts;
  readonly lake: Lake;
  /** Other processes may mine the same users over the same bus and ledger. */
  readonly isShared: boolean;
  openPipeline(miners: readonly Miner[], baseUrls: Readonly<Record<string, string>>): Pipeline;
  /** Why nothing can go on, for example a broker that has ended; undefined while all is well. */
  failure(): Error | undefined;
  /** Leaves nothing running. Idempotent. */
  close(): Promise<void>;
}
