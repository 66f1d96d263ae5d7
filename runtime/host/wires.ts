import { brotli } from '../adapters/compression.ts';
import { openServiceBusDepths } from '../adapters/service-bus-depths.ts';
import { openServiceBus, type ServiceBusOptions } from '../adapters/service-bus.ts';
import { sha256Digest, systemClock, systemRandom } from '../adapters/system.ts';
import { openUndiciUpstream } from '../adapters/undici-upstream.ts';
import { upstreams } from '../catalog.ts';
import type { Miner } from '../core/miner.ts';
import { Pipeline, type PipelineDeps } from '../engine/pipeline.ts';
import type { Cache, Lake, Ledger, Log, Sealing, SharedBudgets } from '../ports.ts';
import type { Settings } from '../settings.ts';
import { guardBus, guardMeter, guardUpstream } from './guarded-ports.ts';
import { tracePhases } from './phase-trace.ts';
import type { Release } from './release.ts';

/** Longest wait for a connection, in ms. */
const CONNECT_TIMEOUT_MS = 10_000;

/** What a place has to say about itself before a pipeline can be laid through it. */
export interface WiresOptions {
  readonly settings: Settings;
  readonly log: Log;
  readonly connect: ServiceBusOptions['connect'];
  readonly ledger: Ledger;
  readonly lake: Lake;
  readonly sealing: Sealing;
  /** Cache tiers, fastest first. */
  readonly tiers: readonly Cache[];
  /** Absent: this process calls on its share of the limits. */
  readonly sharedBudgets?: SharedBudgets;
  /** File descriptor that is told about phases, as text. */
  readonly phaseFd: string | undefined;
}

/** Lays a pipeline for some miners. */
export type OpenPipeline = (miners: readonly Miner[], baseUrls: Readonly<Record<string, string>>) => Pipeline;

/** Opens the HTTP client and the bus, which are the same at home and in the cloud, and hands them to `releases`. */
export function openWires(options: WiresOptions, releases: Release[]): OpenPipeline {
  const { settings, log, connect, ledger, lake, sealing, tiers, sharedBudgets, phaseFd } = options;
  const plain = {
    upstream: guardUpstream(
      openUndiciUpstream({
        connections: settings.upstreamConcurrency,
        idleMs: settings.clientIdleMs,
        // A proxy that does not answer leaves time to go direct within the same call.
        connectTimeoutMs: Math.min(CONNECT_TIMEOUT_MS, Math.ceil(settings.callTimeoutMs / 3)),
      }),
    ),
    bus: guardBus(
      openServiceBus({
        connect,
        clock: systemClock,
        random: systemRandom,
        onEvent: (event) => log.warn('service bus client', { ...event }),
      }),
    ),
  };
  releases.push(() => plain.upstream.close());
  releases.push(() => plain.bus.close());
  const deps: PipelineDeps = {
    ...(phaseFd === undefined ? plain : tracePhases(Number(phaseFd), plain)),
    ledger,
    lake,
    sealing,
    tiers,
    ...(sharedBudgets !== undefined && { sharedBudgets }),
    log,
    clock: systemClock,
    random: systemRandom,
    digest: sha256Digest,
    compression: brotli,
    depths: openServiceBusDepths({ connect }),
    meter: guardMeter({ count: () => undefined }),
  };
  return (miners, baseUrls) => new Pipeline(deps, { miners, upstreams, settings, baseUrls });
}
