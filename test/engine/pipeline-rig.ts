import { sha256Digest } from '../../runtime/adapters/system.ts';
import type { Miner } from '../../runtime/core/miner.ts';
import { entitiesOf } from '../../runtime/core/route.ts';
import { Pipeline } from '../../runtime/engine/pipeline.ts';
import type { Clock, Log } from '../../runtime/ports.ts';
import { readSettings, type Settings } from '../../runtime/settings.ts';
import { graph } from '../../runtime/upstreams/graph.ts';
import { MINER } from '../fakes/engine-rig.ts';
import { MemoryBus } from '../fakes/memory-bus.ts';
import { MemoryLake } from '../fakes/memory-lake.ts';
import { memoryLedger, type MemoryLedger } from '../fakes/memory-rows.ts';
import { plainCompression } from '../fakes/plain-compression.ts';
import { type Script, ScriptedUpstream } from '../fakes/scripted-upstream.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { testSealing } from '../fakes/test-sealing.ts';

export const CHATS = MINER;
export const FANS: Miner = { ...MINER, name: 'fans' };

export interface PipelineRig {
  readonly bus: MemoryBus;
  readonly ledger: MemoryLedger;
  readonly lake: MemoryLake;
  readonly upstream: ScriptedUpstream;
  readonly settings: Settings;
  readonly log: Log;
  /** Messages of the log. */
  readonly logged: string[];
  /** Another process over the same world. */
  open(): Pipeline;
}

export interface PipelineRigOptions {
  readonly clock: Clock;
  readonly script: Script;
  /** Default: chats. */
  readonly miners?: readonly Miner[];
  readonly settings?: Partial<Settings>;
}

/**
 * A whole pipeline over fakes, with the settings of the cloud and no limits that a test would wait for. `before`: the world of
 * an earlier deployment, which goes on.
 */
export function pipelineRig(options: PipelineRigOptions, before?: PipelineRig): PipelineRig {
  const { clock, script, miners = [CHATS], settings: changes } = options;
  const read = readSettings('cloud', []);
  if (!read.ok) throw new Error(read.errors.join('\n'));
  const settings = {
    ...read.settings,
    userCallsPerSecond: 1000,
    upstreamCallsPerSecond: 100_000,
    instances: 1,
    lingerMs: 1,
    ...changes,
  };
  const bus = before?.bus ?? new MemoryBus({ clock, entities: entitiesOf(miners) });
  const ledger = before?.ledger ?? memoryLedger();
  const lake = before?.lake ?? new MemoryLake();
  const upstream = new ScriptedUpstream(script);
  const logged: string[] = [];
  const write = (message: string): void => void logged.push(message);
  const log = { info: write, warn: write };
  const deps = {
    ...{ clock, random: seededRandom(1), digest: sha256Digest, sealing: testSealing, compression: plainCompression },
    ...{ bus, depths: bus, ledger, lake, tiers: [], upstream, meter: { count: () => undefined }, log },
  };
  const baseUrls = { graph: 'http://upstream' };
  const open = (): Pipeline => new Pipeline(deps, { miners, upstreams: [graph], baseUrls, settings });
  return { bus, ledger, lake, upstream, settings, log, logged, open };
}
