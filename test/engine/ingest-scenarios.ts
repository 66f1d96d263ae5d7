import { type Candidate, decideClaim, type voidClaim } from '../../runtime/core/checkpoint.ts';

/** One version of one item in an envelope. */
export interface ModelItem extends Candidate {
  readonly item: number;
}

/** What is checked: envelopes that arrive in any order, and how much may go wrong on the way. */
export interface Scenario {
  readonly envelopes: readonly (readonly ModelItem[])[];
  readonly crashes: number;
  /** Writes of dead workers that land later. */
  readonly strayWrites: number;
  /** Places of envelopes that a person may give up at any time, or not. Default: none. */
  readonly discards?: readonly number[];
}

export interface Protocol {
  /** Real: claim, then write. Broken: write what the row seems to allow, then claim. */
  readonly order: 'claim-write' | 'write-claim';
  readonly decide: typeof decideClaim;
  /** Broken: an envelope is not reopened before it claims what a discarded one had. Default: as it is. */
  readonly reopens?: false;
  /** Default: the real one. */
  readonly voidClaim?: typeof voidClaim;
}

export const CLAIM_WRITE_DONE: Protocol = { order: 'claim-write', decide: decideClaim };

/** What can be seen of a state. */
export interface ModelView {
  readonly rows: readonly string[];
  /** What the ledger says of every envelope, as in the layout of a state. */
  readonly ended: readonly number[];
  readonly objects: readonly boolean[];
  /** `item version isLate` of every row of the lake. */
  readonly lake: readonly string[];
}

export interface ModelResult {
  readonly states: number;
  readonly finalStates: number;
  /** The first violation that was found, with the steps that lead to it. */
  readonly violation: string | undefined;
}

/** The steps that lead to a state, last one first. */
export interface Trace {
  readonly step: string;
  readonly before: Trace | undefined;
}

/** Them in order. */
export function stepsOf(trace: Trace | undefined): readonly string[] {
  const steps: string[] = [];
  for (let at = trace; at !== undefined; at = at.before) steps.unshift(at.step);
  return steps;
}

const version = (text: string, observedAtMs: number, item = 0): ModelItem => ({ version: text, observedAtMs, item });

/** A, B, A in three envelopes. */
export const ABA: Scenario = {
  envelopes: [[version('A', 1)], [version('B', 2)], [version('A', 3)]],
  crashes: 2,
  strayWrites: 1,
};

/** Two versions of one millisecond. */
export const TIE: Scenario = {
  envelopes: [[version('A', 1)], [version('A', 5)], [version('B', 5)]],
  crashes: 2,
  strayWrites: 1,
};

/** What is explored, and how many states that takes at least. */
export const INGEST_SCENARIOS: readonly [name: string, scenario: Scenario, statesMin: number][] = [
  ['A, B, A in three envelopes', ABA, 1_000_000],
  ['two versions of one millisecond', TIE, 500_000],
  [
    'a page that was sent twice',
    { envelopes: [[version('A', 1)], [version('A', 2)]], crashes: 2, strayWrites: 1 },
    25_000,
  ],
  [
    'two items an envelope',
    {
      envelopes: [
        [version('A', 1), version('X', 1, 1)],
        [version('B', 2), version('X', 2, 1)],
      ],
      crashes: 2,
      strayWrites: 1,
    },
    200_000,
  ],
  [
    'A, B, A beside a page that was sent twice, one crash',
    {
      envelopes: [[version('A', 1), version('X', 1, 1)], [version('B', 2)], [version('A', 3), version('X', 3, 1)]],
      crashes: 1,
      strayWrites: 1,
    },
    500_000,
  ],
  [
    'A, B, A, A in four envelopes, lost locks only',
    {
      envelopes: [[version('A', 1)], [version('B', 2)], [version('A', 3)], [version('A', 4)]],
      crashes: 0,
      strayWrites: 0,
    },
    100_000,
  ],
];

const A1 = version('A', 1);
const B2 = version('B', 2);

/** The newer one of A, B may be given up. */
export const DISCARDED_NEWEST: Scenario = { envelopes: [[A1], [B2]], crashes: 2, strayWrites: 1, discards: [1] };

/** The middle one of A, B, A may be given up. */
export const DISCARDED_BETWEEN: Scenario = {
  envelopes: [[A1], [B2], [version('A', 3)]],
  crashes: 1,
  strayWrites: 0,
  discards: [1],
};

/** Two envelopes carry one version, and the one that claims it may be given up: what was known to the other one is its own then. */
export const DISCARDED_TWIN: Scenario = {
  envelopes: [[B2], [version('B', 3)]],
  crashes: 2,
  strayWrites: 1,
  discards: [0],
};

/** The same, and the other one carries something that is its own, so that it may have an object before. */
export const DISCARDED_TWIN_OF_TWO: Scenario = {
  envelopes: [[B2], [version('B', 3), version('X', 3, 1)]],
  crashes: 1,
  strayWrites: 1,
  discards: [0],
};

/** What is explored with a person who gives up envelopes, and how many states that takes at least. */
export const DISCARD_SCENARIOS: readonly [name: string, scenario: Scenario, statesMin: number][] = [
  ['the only one', { envelopes: [[A1]], crashes: 2, strayWrites: 1, discards: [0] }, 1000],
  ['the newest of A, B', DISCARDED_NEWEST, 200_000],
  ['the one between A and A', DISCARDED_BETWEEN, 500_000],
  ['one of two with the same version', DISCARDED_TWIN, 100_000],
  ['one of two with the same version, beside another item', DISCARDED_TWIN_OF_TWO, 100_000],
  ['each of two with the same version', { ...DISCARDED_TWIN, discards: [0, 1] }, 500_000],
  [
    'the newest, when the two before it are one version',
    { envelopes: [[A1], [version('A', 5)], [version('B', 6)]], crashes: 0, strayWrites: 0, discards: [2] },
    50_000,
  ],
  [
    'one that makes another one late',
    { envelopes: [[A1], [version('C', 3)], [version('B', 6)]], crashes: 0, strayWrites: 0, discards: [2] },
    100_000,
  ],
  [
    'two of three with the same version',
    { envelopes: [[B2], [version('B', 3)], [version('B', 4)]], crashes: 0, strayWrites: 0, discards: [0, 1] },
    200_000,
  ],
  [
    'one with two items',
    {
      envelopes: [
        [A1, version('X', 1, 1)],
        [version('A', 2), version('Y', 2, 1)],
      ],
      crashes: 1,
      strayWrites: 1,
      discards: [0],
    },
    300_000,
  ],
];
