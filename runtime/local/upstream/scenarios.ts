import { readFileSync } from 'node:fs';

/**
 * How the simulated upstream behaves. Every share is 0..1; a share of users or lists that is above 0 hits at least one.
 * All of it is data: a scenario is a partial table merged over `CALM`.
 */
export interface Scenario {
  /** State of the data: each epoch edits, inserts and deletes. From 0. */
  readonly epoch: number;
  /** Items that get new content in an epoch; a quarter of the edits go back to the first content. */
  readonly editShare: number;
  /** Items that disappear in an epoch. Markers that point at them die. */
  readonly deleteShare: number;
  /** Items that are new at the head of every list in an epoch. */
  readonly insertsPerEpoch: number;
  /** Items that are new at the head of a list with each page of it that is read. May be a fraction. */
  readonly insertsPerPage: number;
  /** Most items that reading adds to one list. */
  readonly insertsPerListMax: number;
  /** Items with NUL, lone surrogates, `__proto__`, duplicate keys and numbers that no double holds. */
  readonly strangeItemShare: number;
  /** Pages with items that have no id, or a number for it, beside the good ones. */
  readonly badItemPageShare: number;

  /** Users whose pages are compressed, if the client accepts it; the shares add up to at most 1. */
  readonly gzipShare: number;
  readonly brShare: number;
  readonly zstdShare: number;

  /** Pages without items that have a next. */
  readonly emptyPageShare: number;
  /** Pages that begin with the last items of the page before. */
  readonly overlapShare: number;
  /** Pages with fewer items than asked for. */
  readonly shortPageShare: number;
  /** Lists whose second page says once that its marker is dead. */
  readonly deadMarkerListShare: number;

  /** Users whose lists answer with the marker that was sent, for ever. */
  readonly stuckUserShare: number;
  /** Users whose lists go round in a circle of `cycleLength` markers. */
  readonly cycleUserShare: number;
  readonly cycleLength: number;
  /** Users whose lists give new markers over the same items for ever. */
  readonly treadmillUserShare: number;

  /** Calls per second that a user may make; 0 = any. */
  readonly ratePerSecond: number;
  readonly rateBurst: number;
  /** Calls in `allowanceWindowMs` that a user may make, times all users for all of them; told in the usage headers; 0 = any. */
  readonly allowanceCalls: number;
  readonly allowanceWindowMs: number;

  /** Chance of a call to begin a burst of failures, and of a call inside one to end it. */
  readonly burstEnterShare: number;
  readonly burstLeaveShare: number;
  /** Mean latency in ms, exponentially distributed; 0 = none. */
  readonly delayMs: number;
  /** Calls that take `slowCallMs` more. */
  readonly slowCallShare: number;
  readonly slowCallMs: number;

  /** Users whose first token is refused after `expireAfterCalls` calls, until tokens are renewed. */
  readonly expiredUserShare: number;
  readonly expireAfterCalls: number;
  readonly goneUserShare: number;
  /** Users who lack the permission for the second half of the catalog. */
  readonly forbiddenUserShare: number;
  /** Users whose second page is broken: HTML, no data, no marker, a bomb, a body that drips, and so on. */
  readonly brokenUserShare: number;
}

/** Nothing goes wrong. */
export const CALM: Scenario = {
  epoch: 0,
  editShare: 0.03,
  deleteShare: 0,
  insertsPerEpoch: 0,
  insertsPerPage: 0,
  insertsPerListMax: 50,
  strangeItemShare: 0,
  badItemPageShare: 0,
  gzipShare: 0.5,
  brShare: 0,
  zstdShare: 0,
  emptyPageShare: 0,
  overlapShare: 0,
  shortPageShare: 0,
  deadMarkerListShare: 0,
  stuckUserShare: 0,
  cycleUserShare: 0,
  cycleLength: 2,
  treadmillUserShare: 0,
  ratePerSecond: 0,
  rateBurst: 20,
  allowanceCalls: 0,
  allowanceWindowMs: 60_000,
  burstEnterShare: 0,
  burstLeaveShare: 0.4,
  delayMs: 0,
  slowCallShare: 0,
  slowCallMs: 2_000,
  expiredUserShare: 0,
  expireAfterCalls: 0,
  goneUserShare: 0,
  forbiddenUserShare: 0,
  brokenUserShare: 0,
};

/** The named scenarios, as differences from `CALM`. */
export const SCENARIOS: Readonly<Record<string, Partial<Scenario>>> = {
  calm: {},
  overlap: { overlapShare: 0.6 },
  'empty-pages': { emptyPageShare: 0.25, shortPageShare: 0.2 },
  edits: { epoch: 1 },
  growth: { insertsPerPage: 3, insertsPerEpoch: 5 },
  deletes: { epoch: 1, editShare: 0, deleteShare: 0.05, deadMarkerListShare: 0.05 },
  'rate-limits': { ratePerSecond: 10, rateBurst: 5, allowanceCalls: 5_000, allowanceWindowMs: 3_600_000 },
  allowance: { allowanceCalls: 40, allowanceWindowMs: 60_000 },
  bursts: { burstEnterShare: 0.05 },
  slow: { delayMs: 60, slowCallShare: 0.01 },
  'expired-tokens': { expiredUserShare: 0.2, expireAfterCalls: 3 },
  gone: { goneUserShare: 0.02 },
  forbidden: { forbiddenUserShare: 0.05 },
  stuck: { stuckUserShare: 0.05 },
  cycle: { cycleUserShare: 0.05, cycleLength: 2 },
  treadmill: { treadmillUserShare: 0.05 },
  strange: { strangeItemShare: 0.1, badItemPageShare: 0.1 },
  broken: { brokenUserShare: 0.3 },
  mixed: {
    brShare: 0.1,
    zstdShare: 0.1,
    gzipShare: 0.4,
    overlapShare: 0.1,
    emptyPageShare: 0.05,
    shortPageShare: 0.1,
    insertsPerPage: 0.5,
    ratePerSecond: 30,
    rateBurst: 30,
    burstEnterShare: 0.01,
    delayMs: 3,
    strangeItemShare: 0.01,
  },
};

/** Fields of a scenario over those of a named one; without a name, over those of the one that is in force. */
export type ScenarioFields = Partial<Scenario> & { readonly name?: string };

/**
 * A scenario by name, from a JSON file (a path that ends in `.json`), or from fields, merged over `base`.
 * @throws Error that names the field, its rule and its value.
 */
export function resolveScenario(given: string | ScenarioFields, base: Scenario = CALM): Scenario {
  if (typeof given !== 'string') {
    const { name, ...fields } = given;
    return checked({ ...(name === undefined ? base : named(name)), ...fields });
  }
  return given.endsWith('.json')
    ? resolveScenario(JSON.parse(readFileSync(given, 'utf8')) as ScenarioFields)
    : named(given);
}

function named(name: string): Scenario {
  if (Object.hasOwn(SCENARIOS, name)) return { ...CALM, ...SCENARIOS[name] };
  throw new Error(
    `scenario must be a .json file or one of ${Object.keys(SCENARIOS).join(', ')}, got ${JSON.stringify(name)}`,
  );
}

function checked(scenario: Scenario): Scenario {
  for (const [name, value] of Object.entries(scenario) as [string, unknown][]) {
    if (!Object.hasOwn(CALM, name)) throw new Error(`scenario has no field ${JSON.stringify(name)}`);
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
      throw new Error(`${name} must be a number from 0, got ${JSON.stringify(value)}`);
    if (name.endsWith('Share') && value > 1) throw new Error(`${name} must be 0..1, got ${value}`);
  }
  return scenario;
}
