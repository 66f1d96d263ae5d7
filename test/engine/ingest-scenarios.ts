import { type Candidate, decideClaim } from '../../runtime/core/checkpoint.ts';

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
}

export interface Protocol {
  /** Real: claim, then write. Broken: write what the row seems to allow, then claim. */
  readonly order: 'claim-write' | 'write-claim';
  readonly decide: typeof decideClaim;
}

export const CLAIM_WRITE_DONE: Protocol = { order: 'claim-write', decide: decideClaim };

/** What can be seen of a state. */
export interface ModelView {
  readonly rows: readonly string[];
  readonly done: readonly boolean[];
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
