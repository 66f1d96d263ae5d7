import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { brotli } from '../../../runtime/adapters/compression.ts';
import { openFileLake } from '../../../runtime/adapters/file-lake.ts';
import { openMemoryCache } from '../../../runtime/adapters/memory-cache.ts';
import { openSqliteLedger } from '../../../runtime/adapters/sqlite-ledger.ts';
import { sha256Digest, systemRandom } from '../../../runtime/adapters/system.ts';
import { openUndiciUpstream } from '../../../runtime/adapters/undici-upstream.ts';
import { Fault, type FaultCode } from '../../../runtime/core/faults.ts';
import { entitiesOf } from '../../../runtime/core/route.ts';
import type { Run } from '../../../runtime/core/run.ts';
import type { UpstreamDefinition } from '../../../runtime/core/upstream.ts';
import { Pipeline } from '../../../runtime/engine/pipeline.ts';
import { Runs } from '../../../runtime/engine/runs.ts';
import type { Lake, Upstream } from '../../../runtime/ports.ts';
import { readSettings, type Settings } from '../../../runtime/settings.ts';
import { graph } from '../../../runtime/upstreams/graph.ts';
import { MINER, userNamed } from '../../fakes/engine-rig.ts';
import { MemoryBus } from '../../fakes/memory-bus.ts';
import { testSealing } from '../../fakes/test-sealing.ts';
import { type HostileCase, PLAIN, pageText } from './hostile-case.ts';
import { type HostileServer, startHostileServer } from './hostile-server.ts';
import { SkipClock } from './skip-clock.ts';

/** Users beside the hostile ones, and what each has: their lists must be in the lake whatever the others are served. */
export const HEALTHY_USERS = 6;
const HEALTHY_PAGES = 12;
const HEALTHY_PAGE_ITEMS = 10;

/** What became of one user. */
export interface UserResult {
  readonly run: Run | undefined;
  /** Codes of the faults that were met, in order. */
  readonly faults: readonly FaultCode[];
  readonly items: readonly string[];
  readonly rejected: readonly string[];
  /** Waits that the upstream was understood to ask for, in ms. */
  readonly asked: readonly number[];
  readonly calls: readonly { readonly nowMs: number; readonly limit: number; readonly token: string }[];
}

export interface HostileRun {
  readonly server: HostileServer;
  readonly end: string;
  /** Handlers that threw, and dead letters: none of it is a way to treat an upstream. */
  readonly escaped: readonly string[];
  /** Connections that were open after everything was closed. */
  readonly openSockets: number;
  of(userId: string): UserResult;
  healthy(): readonly UserResult[];
}

export interface HostileOptions {
  readonly settings?: Partial<Settings>;
}

const healthyId = (number: number): string => `healthy-${number}`;

/** Items of a healthy user, as served. */
export function healthyItems(number: number): readonly string[] {
  return Array.from({ length: HEALTHY_PAGES * HEALTHY_PAGE_ITEMS }, (_, at) => `{"id":"i${at}","of":${number}}`);
}

/** The user id of a case. */
export function userIdOf(cases: readonly HostileCase[], at: number): string {
  return cases[at]?.userId ?? `hostile-${at}`;
}

/**
 * Mines all cases and the healthy users beside them in one firing of one process: real server, real client, ledger on SQLite,
 * lake of files. Ends when nobody is left to be mined.
 */
export async function runHostile(cases: readonly HostileCase[], options: HostileOptions = {}): Promise<HostileRun> {
  const dir = await mkdtemp(join(tmpdir(), 'adit-hostile-'));
  const clock = new SkipClock();
  const answers = new Map(cases.map((one, at) => [userIdOf(cases, at), one.answer]));
  for (let number = 0; number < HEALTHY_USERS; number += 1) answers.set(healthyId(number), healthyAnswer(number));
  const server = await startHostileServer(
    (userId) => answers.get(userId),
    () => clock.now(),
  );
  const notes: Notes = { faults: new Map(), asked: new Map() };
  const client = openUndiciUpstream({ connections: 64, connectTimeoutMs: 1000 });
  const ledger = openSqliteLedger({ file: join(dir, 'ledger.db') });
  const lake = openFileLake({ dir: join(dir, 'lake') });
  try {
    const escaped: string[] = [];
    const pipeline = openPipeline({ clock, client, ledger, lake, notes, escaped, server }, options);
    const users = [
      ...cases.map((one, at) => userNamed(userIdOf(cases, at), { accessToken: `token-${at}`, ...one.user })),
      ...Array.from({ length: HEALTHY_USERS }, (_, number) => userNamed(healthyId(number))),
    ];
    await pipeline.users.import(users);
    pipeline.startIngest();
    pipeline.startMining();
    await pipeline.fire(() => users, users.length, new AbortController().signal);
    const end = await ended(pipeline);
    await pipeline.stop(1000);
    await client.close();
    await server.idle();
    const runs = await runsOf(
      ledger.runs,
      users.map(({ userId }) => userId),
    );
    const [items, rejected] = [await linesOf(lake, 'lake/'), await linesOf(lake, 'rejected/')];
    const of = (userId: string): UserResult => ({
      run: runs.get(userId),
      faults: notes.faults.get(userId) ?? [],
      asked: notes.asked.get(userId) ?? [],
      items: items.get(userId) ?? [],
      rejected: rejected.get(userId) ?? [],
      calls: server.calls.filter((call) => call.userId === userId),
    });
    const healthy = (): readonly UserResult[] =>
      Array.from({ length: HEALTHY_USERS }, (_, number) => of(healthyId(number)));
    return { server, end, escaped, openSockets: server.open(), of, healthy };
  } finally {
    await client.close();
    await ledger.close();
    await server.close();
    await rm(dir, { recursive: true, force: true });
  }
}

function healthyAnswer(number: number): HostileCase['answer'] {
  const items = healthyItems(number);
  return ({ after }) => {
    const from = Number(after ?? 0);
    const to = from + HEALTHY_PAGE_ITEMS;
    return { body: pageText(items.slice(from, to), to < items.length ? String(to) : undefined) };
  };
}

interface Parts {
  readonly clock: SkipClock;
  readonly client: Upstream;
  readonly ledger: ReturnType<typeof openSqliteLedger>;
  readonly lake: Lake;
  readonly notes: Notes;
  readonly escaped: string[];
  readonly server: HostileServer;
}

function openPipeline(parts: Parts, options: HostileOptions): Pipeline {
  const { clock, client, ledger, lake, notes, escaped, server } = parts;
  const read = readSettings('home', []);
  if (!read.ok) throw new Error(read.errors.join('\n'));
  const settings = {
    ...read.settings,
    callTimeoutMs: 60_000,
    pageMaxBytes: 1_000_000,
    lingerMs: 1,
    ...options.settings,
  };
  const bus = new MemoryBus({ clock, entities: entitiesOf([MINER]) });
  const warn = (message: string, fields: unknown): void => {
    if (/goes back|dead letter/.test(message)) escaped.push(`${message}: ${JSON.stringify(fields)}`);
  };
  const note = noting(notes);
  const deps = {
    ...{ clock, random: systemRandom, digest: sha256Digest, sealing: testSealing, compression: brotli },
    ...{
      bus,
      depths: bus,
      ledger,
      lake,
      tiers: [openMemoryCache({ entries: 10_000 })],
      upstream: note.upstream(client),
    },
    ...{ meter: { count: () => undefined }, log: { info: () => undefined, warn } },
  };
  const upstreams = [note.definition];
  return new Pipeline(deps, { miners: [MINER], upstreams, baseUrls: { graph: server.url }, settings });
}

/** By user. */
interface Notes {
  readonly faults: Map<string, FaultCode[]>;
  readonly asked: Map<string, number[]>;
}

/** From here on an allowance counts as used up, and for how long when that is not said; as the engine has it. */
const USED_UP_PERCENT = 95;
const USED_UP_MS = 60_000;

/** Notes which user met what: of the client by the path that it asked for, of the judge by the answer that it judged. */
function noting({ faults, asked }: Notes): {
  upstream: (client: Upstream) => Upstream;
  definition: UpstreamDefinition;
} {
  const answered = new WeakMap<object, string>();
  const add = <T>(to: Map<string, T[]>, userId: string, what: T): void =>
    void to.set(userId, [...(to.get(userId) ?? []), what]);
  return {
    upstream: (client) => ({
      close: () => client.close(),
      call: async (call, signal) => {
        const userId = decodeURIComponent(new URL(call.url).pathname.split('/')[2] ?? '');
        try {
          const answer = await client.call(call, signal);
          answered.set(answer.headers, userId);
          return answer;
        } catch (error) {
          if (error instanceof Fault) add(faults, userId, error.code);
          throw error;
        }
      },
    }),
    definition: {
      ...graph,
      classify: (reply, hadMarker, nowMs) => {
        const userId = answered.get(reply.headers) ?? '';
        const fault = graph.classify(reply, hadMarker, nowMs);
        if (fault !== undefined) add(faults, userId, fault.code);
        if (fault?.retryAfterMs !== undefined) add(asked, userId, fault.retryAfterMs);
        return fault;
      },
      usage: (reply) => {
        const usages = graph.usage(reply);
        for (const { percent, regainMs = USED_UP_MS } of usages) {
          if (percent >= USED_UP_PERCENT) add(asked, answered.get(reply.headers) ?? '', regainMs);
        }
        return usages;
      },
    },
  };
}

async function ended(pipeline: Pipeline): Promise<string> {
  for (;;) {
    const state = await pipeline.state();
    if (state !== 'working') return state;
    await pause(20);
  }
}

async function runsOf(rows: Parts['ledger']['runs'], userIds: readonly string[]): Promise<ReadonlyMap<string, Run>> {
  const stored = await new Runs({ rows, digest: sha256Digest }).read(MINER.name, userIds);
  return new Map(stored.flatMap((one) => (one === undefined ? [] : [[one.run.userId, one.run] as const])));
}

const DATA = ',"data":';

/** JSON texts by user of everything below a prefix. No text before the data can hold `,"data":`, because its quotes are escaped. */
async function linesOf(lake: Lake, prefix: string): Promise<ReadonlyMap<string, string[]>> {
  const found = new Map<string, string[]>();
  for await (const name of lake.list(prefix)) {
    for (const line of ((await lake.read(name)) ?? '').split('\n').filter(Boolean)) {
      const at = line.indexOf(DATA);
      const { userId } = JSON.parse(`${line.slice(0, at)}}`) as { userId: string };
      found.set(userId, [...(found.get(userId) ?? []), line.slice(at + DATA.length, -1)]);
    }
  }
  return found;
}

/** How a user's result differs from what the table says; empty when it does not. */
export function mistakesOf(one: HostileCase, result: UserResult): readonly string[] {
  const { state, fault, items = PLAIN, rejected = [], waitMs = 0, askedMs, callsMax = 50 } = one.outcome;
  const { run, faults, calls, asked } = result;
  const mistakes: string[] = [];
  const expect = (what: string, isSo: boolean, got: unknown): void => {
    if (!isSo) mistakes.push(`${what}, got ${JSON.stringify(got ?? null).slice(0, 300)}`);
  };
  expect(`state ${state}`, run?.state === state, [run?.state, run?.reason]);
  const met = [...faults, ...(run?.reason === undefined || run.state === 'done' ? [] : [run.reason.split(':')[0]])];
  if (fault !== undefined) expect(`fault ${fault}`, met.includes(fault), met);
  else
    expect(
      'no fault',
      met.every((code) => code === 'transient'),
      met,
    );
  expect('items as served', isSame(result.items, items), result.items);
  expect('set aside as served', isSame(result.rejected, rejected), result.rejected);
  const late = faults.filter((code) => code === 'transient').length;
  expect(`at most ${callsMax} calls`, calls.length - (fault === 'transient' ? 0 : late) <= callsMax, calls.length);
  const tookMs = (calls.at(-1)?.nowMs ?? 0) - (calls[0]?.nowMs ?? 0);
  expect(`a wait of ${waitMs} ms`, tookMs >= waitMs, tookMs);
  if (askedMs === null) expect('nothing asked for', asked.length === 0, asked);
  if (askedMs) expect(`${askedMs.join('..')} ms asked for`, isWithin(asked, askedMs), asked);
  return mistakes;
}

function isWithin(values: readonly number[], [min, max]: readonly [number, number]): boolean {
  return values.length > 0 && values.every((value) => value >= min && value <= max);
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return JSON.stringify(one.toSorted()) === JSON.stringify(other.toSorted());
}
