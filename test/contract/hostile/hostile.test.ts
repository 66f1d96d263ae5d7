import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENCODING_CASES } from './cases-encoding.ts';
import { ERROR_CASES, GONE_CASES, TOKEN_CASES } from './cases-errors.ts';
import { LARGE_CASES } from './cases-large.ts';
import { MARKER_CASES } from './cases-markers.ts';
import { NAME_CASES } from './cases-names.ts';
import { closeProxies, PROXY_CASES } from './cases-proxies.ts';
import { VALUE_CASES } from './cases-values.ts';
import { DATE_CASES, SHARED_WAIT_CASES, WAIT_CASES } from './cases-waits.ts';
import { WIRE_CASES } from './cases-wire.ts';
import type { HostileCase } from './hostile-case.ts';
import {
  HEALTHY_USERS,
  healthyItems,
  type HostileOptions,
  type HostileRun,
  mistakesOf,
  runHostile,
  userIdOf,
} from './hostile-run.ts';

interface Area extends HostileOptions {
  readonly cases: readonly HostileCase[];
}

/** THE table: every area is one process with all its cases side by side, and healthy users beside them. */
const AREAS: Readonly<Record<string, Area>> = {
  'the wire': { cases: WIRE_CASES, settings: { callTimeoutMs: 3000 } },
  'the large': { cases: LARGE_CASES, settings: { pageMaxBytes: 12_000_000 } },
  proxies: { cases: PROXY_CASES, settings: { callTimeoutMs: 6000 } },
  encodings: { cases: ENCODING_CASES },
  errors: { cases: ERROR_CASES },
  tokens: { cases: TOKEN_CASES },
  waits: { cases: WAIT_CASES },
  ...Object.fromEntries(DATE_CASES.map((one) => [`${one.name}, alone`, { cases: [one] }])),
  'waits of everybody': { cases: SHARED_WAIT_CASES },
  values: { cases: VALUE_CASES },
  names: { cases: NAME_CASES },
  markers: { cases: MARKER_CASES },
  'users who are gone': { cases: GONE_CASES },
};

const RUN_LIMIT_MS = 300_000;

const all = Object.values(AREAS).flatMap(({ cases }) => cases);
const escaped = new Set<string>();

describe.each(Object.entries(AREAS))('%s', (_area, { cases, ...options }) => {
  let run: HostileRun;

  beforeAll(async () => {
    for (const { name } of cases) escaped.add(name);
    run = await runHostile(cases, options);
  }, RUN_LIMIT_MS);

  it.each(cases.map(({ name }, at) => [name, at] as const))('%s', (name, at) => {
    expect(mistakesOf(cases[at] as HostileCase, run.of(userIdOf(cases, at)))).toEqual([]);
    escaped.delete(name);
  });

  it('costs no healthy user an item, a duplicate or a fault', () => {
    for (const [number, { run: own, items, rejected }] of run.healthy().entries()) {
      expect(own?.state, own?.reason).toBe('done');
      expect(items.toSorted()).toEqual([...healthyItems(number)].sort());
      expect(rejected).toEqual([]);
    }
    expect(run.healthy()).toHaveLength(HEALTHY_USERS);
  });

  it('ends, with no handler that threw, no dead letter and no socket left', () => {
    expect(run.escaped).toEqual([]);
    expect(run.end).toBe('drained');
    expect(run.openSockets).toBe(0);
  });
});

it('are at least 150 cases, each with a name of its own', () => {
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  expect(all.length).toBeGreaterThanOrEqual(150);
});

afterAll(closeProxies);
afterAll(() => process.stdout.write(`\nhostile: ${all.length} named cases, ${escaped.size} escaped\n`));
