import { sha256Digest } from '../../runtime/adapters/system.ts';
import { decodeCheckpoint } from '../../runtime/core/checkpoint.ts';
import { encodeEnvelope } from '../../runtime/core/envelope.ts';
import { decodeEnvelopeState } from '../../runtime/core/envelope-row.ts';
import { envelopeKey } from '../../runtime/core/keys.ts';
import { envelopeObject } from '../../runtime/core/lake-name.ts';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { Checkpoints } from '../../runtime/engine/checkpoints.ts';
import { Completeness } from '../../runtime/engine/completeness.ts';
import { markDiscarded } from '../../runtime/engine/discard.ts';
import { ingest, type IngestDeps } from '../../runtime/engine/ingest.ts';
import type { Cache, Handled, IncomingMessage, Rows, StoredRow } from '../../runtime/ports.ts';
import { Dice } from '../fakes/dice.ts';
import { HandBus } from '../fakes/hand-bus.ts';
import { MemoryCache } from '../fakes/memory-cache.ts';
import { MemoryLake } from '../fakes/memory-lake.ts';
import { memoryLedger } from '../fakes/memory-rows.ts';
import { plainCompression } from '../fakes/plain-compression.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { DISCARDED, DONE, NOT_ENDED, RELEASED, REOPENED } from './ingest-layout.ts';
import { IngestModel } from './ingest-model.ts';
import { CLAIM_WRITE_DONE, type ModelView, type Protocol, type Scenario } from './ingest-scenarios.ts';

/** The model's clock stands still at 0. */
const STILL = { now: () => 0, sleep: () => Promise.resolve() };

const MINER_NAME = 'chats';

/** Which port call a step of the model is. Settling is the consumer's, after the handler has returned. */
const CALLS: Readonly<Record<string, string>> = {
  looks: 'envelopes.read',
  reads: 'items.read',
  swaps: 'items.write',
  writes: 'lake.create',
  'marks done': 'envelopes.write',
  'tells the cache': 'cache.setMany',
  reopens: 'envelopes.write',
  'looks again': 'envelopes.read',
  empties: 'lake.create',
  'reads to void': 'items.read',
  voids: 'items.write',
  ends: 'envelopes.write',
};

/** Calls that the code leaves out where they would change nothing. */
const OPTIONAL = new Set(['items.write', 'cache.setMany']);

/** One call of a worker that waits to be let through. */
interface Gate {
  readonly call: string;
  readonly open: () => void;
}

/** One worker: the real ingest, whose every port call waits until the walk lets it through. */
class Worker {
  gate: Gate | undefined;
  handled: Handled | undefined;
  /** Its message goes back. */
  error: unknown;
  readonly deps: IngestDeps;

  constructor(world: WalkWorld) {
    const pass = async <T>(call: string, effect: () => Promise<T>): Promise<T> => {
      await new Promise<void>((resolve) => (this.gate = { call, open: resolve }));
      return effect();
    };
    const gated = (rows: Rows, name: string): Rows => ({
      read: (keys) => pass(`${name}.read`, () => rows.read(keys)),
      write: (writes) => pass(`${name}.write`, () => rows.write(writes)),
      scan: (partition, range) => rows.scan(partition, range),
    });
    const { ledger, lake, cache } = world;
    const tier: Cache = {
      getMany: (keys) => cache.getMany(keys),
      setMany: (entries, ttlMs) => pass('cache.setMany', () => cache.setMany(entries, ttlMs)),
      deleteMany: (keys) => cache.deleteMany(keys),
      close: () => cache.close(),
    };
    const items = gated(ledger.items, 'items');
    this.deps = {
      ...{ clock: STILL, digest: sha256Digest, compression: plainCompression, queue: INGESTION_QUEUE },
      ...{ bus: new HandBus(STILL), random: seededRandom(1), cacheTtlMs: () => 1000 },
      ledger: { ...ledger, items, envelopes: gated(ledger.envelopes, 'envelopes') },
      lake: {
        write: (name, text) => lake.write(name, text),
        create: (name, text) => pass('lake.create', () => lake.create(name, text)),
        read: (name) => lake.read(name),
        list: (prefix) => lake.list(prefix),
      },
      checkpoints: new Checkpoints({ digest: sha256Digest, items, tiers: [tier], onTierError: () => undefined }),
      completeness: new Completeness({ lake, meter: { count: () => undefined } }),
    };
  }

  begin(message: IncomingMessage): void {
    void ingest(this.deps, message).then(
      (handled) => (this.handled = handled),
      (error: unknown) => (this.error = error),
    );
  }

  open(): void {
    const { gate } = this;
    this.gate = undefined;
    gate?.open();
  }
}

/** What outlives the workers of one walk. */
class WalkWorld {
  readonly ledger = memoryLedger();
  readonly lake = new MemoryLake();
  readonly cache = new MemoryCache(STILL);
  readonly workers: (Worker | undefined)[] = [undefined, undefined];
  /** The write of a dead worker that is still on its way. */
  stray: Gate | undefined;
  readonly #scenario: Scenario;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
  }

  deliver(worker: number, envelope: number): void {
    const fresh = new Worker(this);
    this.workers[worker] = fresh;
    const items = this.#scenario.envelopes[envelope]!.map(({ item, version, observedAtMs }) => ({
      ...{ userId: 'u1', runId: 'r1', id: `i${item}`, version, observedAtMs, dataText: '{}' },
    }));
    const header = { schemaVersion: 1, envelopeId: `E${envelope}`, minerName: MINER_NAME, source: 'mine' as const };
    const body = new TextEncoder().encode(encodeEnvelope({ ...header, composedAtMs: 0, items }));
    const [contentType, subject, sessionId] = ['x', undefined, undefined];
    fresh.begin({
      ...{ messageId: 'm', body, contentType, subject, sessionId },
      ...{ properties: {}, deliveryCount: 0, enqueuedAtMs: 0 },
    });
  }

  async view(items: number): Promise<ModelView> {
    const { checkpoints } = new Worker(this).deps;
    const keys = Array.from({ length: items }, (_, item) => checkpoints.keyOf(MINER_NAME, 'u1', `i${item}`));
    const rows = await this.ledger.items.read(keys);
    const envelopes = [...this.#scenario.envelopes.keys()];
    const ended = await this.ledger.envelopes.read(envelopes.map((envelope) => envelopeKey(`E${envelope}`)));
    const texts = envelopes.map((envelope) => this.lake.objects.get(envelopeObject(MINER_NAME, 0, `E${envelope}`)));
    return {
      rows: rows.map((row) => (row === undefined ? '' : row.value)),
      ended: ended.map(endedOf),
      objects: texts.map((text) => text !== undefined),
      lake: texts.flatMap((text) => linesOf(text)).toSorted(),
    };
  }
}

/** As a state of the model has it. */
function endedOf(row: StoredRow | undefined): number {
  if (row === undefined) return NOT_ENDED;
  const state = decodeEnvelopeState(row.value);
  if (state.kind === 'reopened') return REOPENED - 1 + state.times;
  if (state.kind === 'done') return DONE;
  return state.isReleased ? RELEASED : DISCARDED;
}

function linesOf(text: string | undefined): readonly string[] {
  const lines = (text ?? '').split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const { id, version, late } = JSON.parse(line) as { id: string; version: string; late: boolean };
    return `${id.slice(1)} ${version} ${late}`;
  });
}

export interface WalkOptions {
  readonly walks: number;
  readonly seed: number;
  /** Default: the real one. */
  readonly protocol?: Protocol;
}

export interface Walked {
  readonly steps: number;
  /** The first state in which model and code differ, with the steps that lead to it. */
  readonly difference: string | undefined;
}

/**
 * Walks through the model at random and takes the real ingest along the same way, port call by port call: after each step both
 * must have left the same rows, marks and objects. For envelopes with one item; more are claimed in one call by the code, and
 * one by one in the model.
 */
export async function walkBoth(scenario: Scenario, options: WalkOptions): Promise<Walked> {
  const dice = new Dice(options.seed);
  const items = 1 + Math.max(...scenario.envelopes.flat().map(({ item }) => item));
  let steps = 0;
  for (let walk = 0; walk < options.walks; walk += 1) {
    const model = new IngestModel(scenario, options.protocol ?? CLAIM_WRITE_DONE);
    const world = new WalkWorld(scenario);
    const trail: string[] = [];
    let state = model.start();
    for (let ways = model.steps(state); ways.length > 0; ways = model.steps(state)) {
      const { step, next } = dice.of(ways);
      trail.push(step);
      steps += 1;
      const odd = await follow(world, step);
      state = next;
      const [expected, found] = [shown(model.view(state)), shown(await world.view(items))];
      const difference = odd ?? (expected === found ? undefined : `${found} instead of ${expected}`);
      if (difference !== undefined) return { steps, difference: `${difference} after: ${trail.join(', ')}` };
    }
  }
  return { steps, difference: undefined };
}

/** Lets the code take one step. What is odd about it, or undefined. */
async function follow(world: WalkWorld, step: string): Promise<string | undefined> {
  const odd = take(world, step);
  // Everything that the step started has come to its next call when a turn is over.
  await new Promise((resolve) => setImmediate(resolve));
  return odd;
}

function take(world: WalkWorld, step: string): string | undefined {
  const delivery = /^E(\d) to W(\d)$/.exec(step);
  if (delivery !== null) {
    world.deliver(Number(delivery[2]), Number(delivery[1]) - 1);
    return undefined;
  }
  if (step.startsWith('discard of')) {
    void markDiscarded(world.ledger.envelopes, `E${Number(step.slice(-1)) - 1}`, 0);
    return undefined;
  }
  if (step.startsWith('stray write')) {
    world.stray?.open();
    return undefined;
  }
  const [, name, does] = /^W(\d) (.+?)(?: E\d)?$/.exec(step) ?? [];
  const worker = world.workers[Number(name)];
  if (worker === undefined || does === undefined) return `no worker can follow "${step}"`;
  if (does.startsWith('dies')) {
    if (does === 'dies while it writes') world.stray = worker.gate;
    world.workers[Number(name)] = undefined;
    return undefined;
  }
  if (does === 'settles') {
    world.workers[Number(name)] = undefined;
    return worker.handled?.settlement.kind === 'complete' ? undefined : `waits for ${worker.gate?.call} in "${step}"`;
  }
  const call = CALLS[does];
  if (call === worker.gate?.call) worker.open();
  else if (call === undefined || !OPTIONAL.has(call)) return `waits for ${worker.gate?.call} in "${step}"`;
  return undefined;
}

/** Claims are compared without the order in which JSON writes them. */
function shown({ rows, ended, objects, lake }: ModelView): string {
  const claims = rows.map((row) => (row === '' ? row : decodeCheckpoint(row)));
  return JSON.stringify({ claims, ended, objects, lake: lake.toSorted() });
}
