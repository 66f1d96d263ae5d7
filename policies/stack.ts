import type { Prices } from '../runtime/core/cost.ts';
import type { Miner } from '../runtime/core/miner.ts';
import { DEFAULT_WORKLOAD, readWorkload } from '../runtime/core/workload.ts';
import type { Workload } from '../runtime/core/workload-fields.ts';
import { type ExceptionReading, readExceptions } from './exceptions.ts';
import { parseJson } from '../runtime/core/json.ts';

/** Service class of a stack. */
export type Stage = 'dev' | 'prod';

/** Everything that a rule may know beside the resources. */
export interface Stack extends ExceptionReading {
  readonly name: string;
  readonly stage: Stage;
  /** Undefined: the configuration names none. */
  readonly budgetUsd: number | undefined;
  /** Tags that every resource carries. */
  readonly tags: Readonly<Record<string, string>>;
  /** Why a SKU is larger than the workload needs, by service. */
  readonly skuReasons: Readonly<Record<string, string>>;
  /** What the stack is to carry. */
  readonly workload: Workload;
  readonly prices: Prices;
  /** Date of the check, `YYYY-MM-DD`. */
  readonly today: string;
  /** What is mined. */
  readonly miners: readonly Miner[];
  /** Sections of the playbook. */
  readonly playbook: ReadonlySet<string>;
  /** `host.json` in a packed function app; undefined: it cannot be read. */
  readonly hostJson: (archivePath: string) => unknown;
}

/** What a stack stands in. */
export type Surroundings = Pick<Stack, 'today' | 'miners' | 'prices' | 'playbook' | 'hostJson'>;

/**
 * Reads the raw configuration of a stack, as Pulumi hands it to a policy pack too (PULUMI_CONFIG). It is read here a
 * second time, on purpose without a line of infra's: what infra misreads is then seen. What is missing is a finding, and
 * a stack that does not say what it is is held to the rules of prod.
 */
export function readStack(name: string, values: Readonly<Record<string, string>>, surroundings: Surroundings): Stack {
  const budget = Number(values['adit:monthlyBudgetUsd']);
  const stage = values['adit:stage'] === 'dev' ? 'dev' : 'prod';
  return {
    ...surroundings,
    ...readExceptions(values['adit:exceptions']),
    name,
    stage,
    budgetUsd: budget > 0 ? budget : undefined,
    tags: {
      project: 'adit',
      stack: name,
      stage,
      owner: values['adit:owner'] ?? '',
      costCenter: values['adit:costCenter'] ?? '',
    },
    skuReasons: readReasons(values['adit:skuReasons']),
    workload: workloadOf(values['adit:workload']),
  };
}

/** The program refuses a workload that cannot be read, so what counts then is of no matter. */
function workloadOf(text: string | undefined): Workload {
  const value: unknown = parseJson(text ?? '{}');
  if (typeof value !== 'object' || value === null) return DEFAULT_WORKLOAD;
  const given = Object.entries(value).map(([name, field]) => [
    name,
    typeof field === 'string' ? field : JSON.stringify(field),
  ]);
  const read = readWorkload(Object.fromEntries(given) as Readonly<Record<string, string>>, 'key');
  return read.ok ? read.workload : DEFAULT_WORKLOAD;
}

function readReasons(text: string | undefined): Readonly<Record<string, string>> {
  const value: unknown = parseJson(text ?? '{}');
  if (typeof value !== 'object' || value === null) return {};
  const isReason = (entry: [string, unknown]): entry is [string, string] =>
    typeof entry[1] === 'string' && entry[1].trim() !== '';
  return Object.fromEntries(Object.entries(value).filter(isReason));
}
