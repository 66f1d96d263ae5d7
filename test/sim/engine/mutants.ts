import { decodeCheckpoint, encodeCheckpoint } from '../../../runtime/core/checkpoint.ts';
import {
  decodeEnvelope,
  ENVELOPE_CONTENT_TYPE,
  ENVELOPE_MAX_BYTES,
  type Envelope,
} from '../../../runtime/core/envelope.ts';
import { FRESH_CONTENT } from '../../../runtime/core/content-guard.ts';
import { ITEM_HASH_DIGITS, USER_HASH_DIGITS } from '../../../runtime/core/keys.ts';
import { envelopeObject } from '../../../runtime/core/lake-name.ts';
import { FRESH_GUARD } from '../../../runtime/core/marker.ts';
import type { Entity } from '../../../runtime/core/route.ts';
import type { PipelineDeps } from '../../../runtime/engine/pipeline.ts';
import type { Cache, Digest, OutgoingMessage, Rows, RowWrite, SharedBudgets } from '../../../runtime/ports.ts';
import type { Settings } from '../../../runtime/settings.ts';

/** A deliberate bug, put between the engine and its ports: the checkers must find it. */
export interface Mutant {
  /** What the checkers must say. */
  readonly found: RegExp;
  /** Seeds among which one must show it. Default: `SEEDS_PER_MUTANT`; more for what takes a rare order of events. */
  readonly seeds?: number;
  readonly deps?: (deps: PipelineDeps) => PipelineDeps;
  readonly entities?: (entities: readonly Entity[]) => readonly Entity[];
  readonly settings?: (settings: Settings) => Settings;
}

type Send = PipelineDeps['bus']['send'];

const isEnvelope = ({ contentType }: OutgoingMessage): boolean => contentType === ENVELOPE_CONTENT_TYPE;

function withSend(deps: PipelineDeps, send: Send): PipelineDeps {
  const { bus } = deps;
  return {
    ...deps,
    bus: { send, consume: (...consume) => bus.consume(...consume), close: () => bus.close() },
  };
}

function withRows(deps: PipelineDeps, table: 'items' | 'runs', write: (rows: Rows) => Rows['write']): PipelineDeps {
  const rows = deps.ledger[table];
  const changed: Rows = {
    read: (keys) => rows.read(keys),
    write: write(rows),
    scan: (partition, range) => rows.scan(partition, range),
  };
  return { ...deps, ledger: { ...deps.ledger, [table]: changed } };
}

function withCaches(deps: PipelineDeps, change: (tier: Cache) => Cache): PipelineDeps {
  return { ...deps, tiers: deps.tiers.map(change) };
}

/** Between a process and the budgets of its fleet; a fleet without any stays as it is. */
function withShared(deps: PipelineDeps, change: (shared: SharedBudgets) => Partial<SharedBudgets>): PipelineDeps {
  const { sharedBudgets } = deps;
  return sharedBudgets === undefined
    ? deps
    : { ...deps, sharedBudgets: { ...sharedBudgets, ...change(sharedBudgets) } };
}

/** An open breaker lets everybody through who has waited for its time. */
function probesForAll(shared: SharedBudgets): Partial<SharedBudgets> {
  const due = new Map<string, number>();
  return {
    take: async (call, ask) => {
      const answer = await shared.take(call, ask);
      const { verdict, nowMs } = answer;
      const way = `${call.upstream} ${call.proxyUrl}`;
      if (verdict.kind === 'go' || verdict.why !== 'breaker') due.delete(way);
      else if (!due.has(way)) due.set(way, nowMs + verdict.waitMs);
      else if (nowMs >= due.get(way)!) return { ...answer, verdict: { kind: 'go', waitMs: 0 } };
      return answer;
    },
  };
}

function cacheEntries(envelope: Envelope, digest: Digest): (readonly [string, string])[] {
  return envelope.items.map(({ userId, id, version }) => {
    const user = digest.sha256(userId, USER_HASH_DIGITS);
    const item = digest.sha256(JSON.stringify(id), ITEM_HASH_DIGITS);
    return [`c1:{${user}}:${envelope.minerName}:${item}`, version] as const;
  });
}

function linesOf(envelope: Envelope): string {
  const lines = envelope.items.map(({ userId, id, version, observedAtMs, dataText }) => {
    const meta = { miner: envelope.minerName, userId, id, version, late: false };
    return JSON.stringify({
      ...meta,
      observedAt: new Date(observedAtMs).toISOString(),
      data: JSON.parse(dataText ?? '0') as unknown,
    });
  });
  return lines.map((line) => `${line}\n`).join('');
}

function forgetfulClaims(write: RowWrite): RowWrite {
  if (write.value === null) return write;
  const row = decodeCheckpoint(write.value);
  return { ...write, value: encodeCheckpoint({ ...row, claims: [] }) };
}

/** Deliberate bugs by name. */
export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'seen-before-sent': {
    found: /^loss/,
    deps: (deps) =>
      withSend(deps, async (entity, messages, signal) => {
        for (const message of messages.filter(isEnvelope)) {
          const envelope = decodeEnvelope(await deps.compression.decompress(message.body, ENVELOPE_MAX_BYTES));
          const entries = cacheEntries(envelope, deps.digest);
          await Promise.all(deps.tiers.map((tier) => tier.setMany(entries, 3_600_000).catch(() => undefined)));
        }
        await deps.bus.send(entity, messages, signal);
      }),
  },
  'write-before-claim': {
    found: /changed its bytes|^duplicate/,
    deps: (deps) => ({
      ...deps,
      compression: {
        compress: (text) => deps.compression.compress(text),
        decompress: async (bytes, maxBytes) => {
          const text = await deps.compression.decompress(bytes, maxBytes);
          const envelope = decodeEnvelope(text);
          const { minerName, composedAtMs, envelopeId } = envelope;
          await deps.lake.write(envelopeObject(minerName, composedAtMs, envelopeId), linesOf(envelope));
          return text;
        },
      },
    }),
  },
  'settled-before-written': {
    found: /^loss/,
    deps: (deps) => ({
      ...deps,
      lake: {
        write: async (name, text) => void deps.lake.write(name, text).catch(() => undefined),
        create: async (name, text) => {
          void deps.lake.create(name, text).catch(() => undefined);
          return true;
        },
        read: (name) => deps.lake.read(name),
        list: (prefix) => deps.lake.list(prefix),
      },
    }),
  },
  'failed-send-delivered': {
    found: /^loss/,
    deps: (deps) =>
      withSend(deps, (entity, messages, signal) =>
        deps.bus.send(entity, messages, signal).catch((error: unknown) => {
          if (!messages.some(isEnvelope)) throw error;
        }),
      ),
  },
  'send-not-awaited': {
    found: /^loss/,
    deps: (deps) =>
      withSend(deps, async (entity, messages, signal) => {
        const sent = deps.bus.send(entity, messages, signal);
        if (messages.some(isEnvelope)) void sent.catch(() => undefined);
        else await sent;
      }),
  },
  'guard-never-trips': {
    found: /^liveness/,
    deps: (deps) =>
      withRows(deps, 'runs', (rows) => (writes) => {
        const blind = writes.map((write) =>
          write.value === null
            ? write
            : {
                ...write,
                value: JSON.stringify({
                  ...(JSON.parse(write.value) as object),
                  guard: FRESH_GUARD,
                  content: FRESH_CONTENT,
                }),
              },
        );
        return rows.write(blind);
      }),
  },
  'run-moved-without-condition': {
    found: /went back|^loss|^liveness/,
    deps: (deps) =>
      withRows(deps, 'runs', (rows) => (writes) => rows.write(writes.map((write) => ({ ...write, ifMatch: 'any' })))),
  },
  'claimed-without-condition': {
    found: /^duplicate|changed its bytes|^loss/,
    deps: (deps) =>
      withRows(deps, 'items', (rows) => (writes) => rows.write(writes.map((write) => ({ ...write, ifMatch: 'any' })))),
  },
  'claims-forgotten': {
    found: /^duplicate|changed its bytes|^loss/,
    deps: (deps) => withRows(deps, 'items', (rows) => (writes) => rows.write(writes.map(forgetfulClaims))),
  },
  'revived-under-the-same-id': {
    found: /^liveness/,
    entities: (entities) =>
      entities.map((entity) =>
        entity.kind === 'queue' ? { ...entity, duplicateDetectionMs: 7 * 24 * 3_600_000 } : entity,
      ),
    deps: (deps) =>
      withSend(deps, (entity, messages, signal) => {
        const sameIds = messages.map((message) => {
          const { runId, slice } = message.properties;
          return runId === undefined ? message : { ...message, messageId: `${runId} ${slice}` };
        });
        return deps.bus.send(entity, sameIds, signal);
      }),
  },
  'cache-keeps-the-first': {
    found: /^order|^loss/,
    deps: (deps) =>
      withCaches(deps, (tier) => {
        const first = new Map<string, string>();
        return {
          getMany: async (keys) => {
            const values = await tier.getMany(keys);
            return values.map((value, index) => value ?? first.get(keys[index]!));
          },
          setMany: (entries, ttlMs) => {
            for (const [key, value] of entries) if (!first.has(key)) first.set(key, value);
            return tier.setMany(
              entries.map(([key, value]) => [key, first.get(key) ?? value] as const),
              ttlMs,
            );
          },
          deleteMany: (keys) => tier.deleteMany(keys),
          close: () => tier.close(),
        };
      }),
  },
  'budget-too-wide': {
    found: /^budget/,
    settings: (settings) => ({ ...settings, userCallsPerSecond: settings.userCallsPerSecond * 100 }),
  },
  'retry-after-ignored': {
    found: /^budget/,
    deps: (deps) => ({
      ...deps,
      upstream: {
        call: async (call, signal) => {
          const answer = await deps.upstream.call(call, signal);
          return answer.status === 429 ? { ...answer, headers: { 'retry-after': '0' } } : answer;
        },
        close: () => deps.upstream.close(),
      },
    }),
  },
  'each-process-a-whole-budget': {
    found: /^budget: fleet/,
    settings: (settings) => ({ ...settings, instances: 1 }),
    deps: ({ sharedBudgets: _, ...deps }) => deps,
  },
  'share-too-wide': {
    found: /^budget: fleet/,
    seeds: 400,
    // Only what a process calls alone: the shared budgets are the server's.
    settings: (settings) => ({ ...settings, instances: Math.max(1, Math.floor(settings.instances / 2)) }),
  },
  'places-before-a-flush-forgotten': {
    seeds: 600,
    found: /^budget: fleet/,
    deps: (deps) =>
      withShared(deps, (shared) => ({ take: (call, ask) => shared.take(call, { ...ask, coldReserveMs: 0 }) })),
  },
  'stops-not-told': {
    found: /^budget: .* has told/,
    deps: (deps) =>
      withShared(deps, (shared) => ({
        note: (call, { result, probe }, answered) =>
          shared.note(call, { result, stops: [], ...(probe !== undefined && { probe }) }, answered),
      })),
  },
  'everybody-probes': { found: /^budget: .*(probe|breaker)/, deps: (deps) => withShared(deps, probesForAll) },
};
