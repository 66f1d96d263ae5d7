import { amountText, type Confidence } from './cost.ts';

/** One thing that Azure sells for a tier, judged against a workload. */
export interface SizeChoice {
  /** For people, for example `Standard C3, 6 GB, 2 nodes`. */
  readonly name: string;
  /** As a resource says it: `Standard_C3`, `Balanced_B5`, `Standard`, `FC1`. */
  readonly sku: string;
  /** Nodes of a cache, units of a namespace, memory in MB of an instance. */
  readonly capacity: number;
  /** The line of `Pulumi.<stack>.yaml` that deploys it; undefined when none does. */
  readonly config?: string;
  /** Null when a price is unknown: such a choice is never taken for the cheapest. */
  readonly usdPerMonth: number | null;
  readonly confidence: Confidence;
  readonly carries: boolean;
  /** What it lacks, or what to know about it. */
  readonly why: string;
  /** How much more of the load it would carry: 2 means twice; below 1 it does not carry. */
  readonly headroom: number;
}

/** A tier of the stack, its choices compared. */
export interface SizedTier {
  readonly tier: 'service-bus' | 'redis' | 'functions' | 'listener';
  /** The arithmetic behind the need. */
  readonly arithmetic: readonly string[];
  /** Cheapest first, unknown prices last. */
  readonly choices: readonly SizeChoice[];
  /** The cheapest that carries the load; undefined when nothing here does, or nothing that does has a price. */
  readonly chosen: SizeChoice | undefined;
  /** The cheapest that carries more than the chosen one. */
  readonly next: SizeChoice | undefined;
  /** What would force the next one. */
  readonly forcedBy: string;
  /** The cheapest when what it leaves to another tier is paid too; undefined where nothing can be left to another. */
  readonly thrifty?: SizeChoice;
}

/** Ranks choices: the cheapest known price that carries, and the cheapest that carries more than it. */
export function sizedTier(
  tier: SizedTier['tier'],
  arithmetic: readonly string[],
  given: readonly SizeChoice[],
  limitText: (chosen: SizeChoice) => string,
): SizedTier {
  const choices = given.toSorted((left, right) => rankOf(left) - rankOf(right) || left.headroom - right.headroom);
  const priced = choices.filter(({ usdPerMonth }) => usdPerMonth !== null);
  const chosen = priced.find(({ carries }) => carries);
  const next = chosen && priced.find(({ carries, headroom }) => carries && headroom > chosen.headroom);
  const forcedBy = chosen === undefined ? 'nothing here carries the load at a known price' : limitText(chosen);
  return { ...{ tier, arithmetic, choices, chosen, next }, forcedBy };
}

function rankOf({ usdPerMonth }: SizeChoice): number {
  return usdPerMonth ?? Number.POSITIVE_INFINITY;
}

/** More than this is no load worth a figure. */
const TIMES_LIMIT = 1_000_000;

/** So many times the load, for people. */
export function timesText(headroom: number): string {
  return headroom > TIMES_LIMIT ? 'far more than the load' : `${amountText(headroom)} times the load`;
}
