import { describe, expect, it } from 'vitest';
import { decideClaim, type ItemCheckpoint, voidClaim } from '../../runtime/core/checkpoint.ts';
import { IngestModel } from './ingest-model.ts';
import {
  ABA,
  CLAIM_WRITE_DONE,
  DISCARD_SCENARIOS,
  DISCARDED_BETWEEN,
  DISCARDED_NEWEST,
  DISCARDED_TWIN,
  INGEST_SCENARIOS,
  type Protocol,
  type Scenario,
  TIE,
} from './ingest-scenarios.ts';
import { walkBoth } from './ingest-walk.ts';

describe('claim, write, done, settle', () => {
  it.each(INGEST_SCENARIOS)(
    'loses nothing and writes nothing twice, in every interleaving of two workers: %s',
    (name, scenario, statesMin) => {
      const { states, finalStates, violation } = new IngestModel(scenario).run();
      process.stdout.write(`ingest model: ${name}: ${states} states, ${finalStates} ends\n`);
      expect(violation).toBeUndefined();
      expect(states).toBeGreaterThan(statesMin);
      expect(finalStates).toBeGreaterThan(0);
    },
    120_000,
  );
});

describe('an envelope that a person gives up', () => {
  it.each(DISCARD_SCENARIOS)(
    'takes nothing else with it, in every interleaving of two workers and the person: %s',
    (name, scenario, statesMin) => {
      const { states, finalStates, violation } = new IngestModel(scenario).run();
      process.stdout.write(`ingest model: discard ${name}: ${states} states, ${finalStates} ends\n`);
      expect(violation).toBeUndefined();
      expect(states).toBeGreaterThan(statesMin);
      expect(finalStates).toBeGreaterThan(0);
    },
    120_000,
  );
});

/** Rows that forget who owned the versions before the last one. */
const LAST_ONLY: Protocol = {
  order: 'claim-write',
  decide: (row, ...rest) => {
    const decision = decideClaim(row, ...rest);
    return decision.write === undefined ? decision : { ...decision, write: lastOnly(decision.write) };
  },
};

function lastOnly(row: ItemCheckpoint): ItemCheckpoint {
  return { ...row, claims: row.claims.filter((held) => held.version === row.last.version).slice(-1) };
}

/** Observations of one millisecond in the order of their claims. */
const FIRST_COME: Protocol = {
  order: 'claim-write',
  decide: (row, candidate, owner, nowMs) => {
    const decision = decideClaim(row, candidate, owner, nowMs);
    const isTie = row?.last.observedAtMs === candidate.observedAtMs && row.last.version !== candidate.version;
    const isOwn = row?.claims.some((held) => held.owner === owner && held.version === candidate.version) === true;
    if (!isTie || isOwn) return decision;
    const held = { ...candidate, owner, isLate: false, claimedAtMs: nowMs };
    const write = { last: candidate, claims: [...row.claims, held] };
    return { verdict: 'own', isLate: false, write, isReopened: false };
  },
};

/** Only what is claimed already is made void. */
const UNFENCED: typeof voidClaim = (row, candidate, owner, nowMs) =>
  row?.claims.some((held) => held.owner === owner) === true ? voidClaim(row, candidate, owner, nowMs) : undefined;

const STILL_LAST: typeof voidClaim = (row, ...rest) => {
  const voided = voidClaim(row, ...rest);
  return row === undefined || voided === undefined ? voided : { ...voided, last: row.last };
};

describe('the checker finds what is wrong with', () => {
  it.each<[string, Protocol, Scenario]>([
    ['writing before claiming', { ...CLAIM_WRITE_DONE, order: 'write-claim' }, ABA],
    ['rows that keep only the last version', LAST_ONLY, ABA],
    ['versions of one millisecond taken as they come', FIRST_COME, TIE],
    ['claims that nobody reopened the envelope for', { ...CLAIM_WRITE_DONE, reopens: false }, DISCARDED_TWIN],
    ['a discarded envelope that may still claim', { ...CLAIM_WRITE_DONE, voidClaim: UNFENCED }, DISCARDED_BETWEEN],
    ['a discarded claim that stays the last', { ...CLAIM_WRITE_DONE, voidClaim: STILL_LAST }, DISCARDED_NEWEST],
  ])('%s', (name, protocol, scenario) => {
    const { states, violation } = new IngestModel(scenario, protocol).run();
    process.stdout.write(`ingest model: ${name}: after ${states} states: ${violation?.split(' after: ')[0]}\n`);
    expect(violation).toMatch(/changed its bytes|twice in a row|lost|the newest row|the lake has no such row/);
  });
});

describe('the model and the code', () => {
  const single = [...INGEST_SCENARIOS, ...DISCARD_SCENARIOS].filter(([, { envelopes }]) =>
    envelopes.every((items) => items.length === 1),
  );

  it.each(single)('take the same steps to the same state, on 300 walks of chance: %s', async (name, scenario) => {
    const walked = await walkBoth(scenario, { walks: 300, seed: 1 });
    expect(walked.difference).toBeUndefined();
    expect(walked.steps).toBeGreaterThan(3000);
  });

  it('are told apart when the code does something else', async () => {
    const { difference } = await walkBoth(ABA, {
      walks: 300,
      seed: 1,
      protocol: { ...CLAIM_WRITE_DONE, order: 'write-claim' },
    });
    expect(difference).toMatch(/waits for/);
  });
});
