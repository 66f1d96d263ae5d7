import type { Workload } from '../runtime/core/workload-fields.ts';
import type { Settings } from '../runtime/settings.ts';
import type { PolicyException } from './exceptions.ts';

/** Service class of a stack: decides sizes, protection and retention. */
export type StackStage = 'dev' | 'prod';

/** Every cache that can be chosen, smallest first; the managed ones are Azure Managed Redis. */
export const REDIS_KINDS = [
  'managed-b0',
  'managed-b1',
  'managed-b3',
  'managed-b5',
  'managed-b10',
  'standard-c3',
] as const;

export type RedisKind = (typeof REDIS_KINDS)[number];

/** The configuration of a stack, checked. Every key is documented where it is read, in `config.ts`. */
export interface StackConfig {
  readonly stack: string;
  readonly stage: StackStage;
  /** Begins every name that must be unique in Azure. */
  readonly prefix: string;
  /** Azure region, for example `eastus`. */
  readonly location: string;
  readonly owner: string;
  readonly costCenter: string;
  readonly alertEmails: readonly string[];
  readonly monthlyBudgetUsd: number;
  readonly redis: RedisKind;
  readonly instanceMemoryMb: 512 | 2048 | 4096;
  /** Instances of one function at most, 1..1000. */
  readonly instanceLimit: number;
  /** Host of the sockets. Nothing captures yet, so there is none. */
  readonly listener: 'none';
  /** Base URL of every upstream of the catalog. */
  readonly upstreamUrls: Readonly<Record<string, string>>;
  /** Object ids of people who may mine into the stack from their own machine; dev only. */
  readonly developers: readonly string[];
  readonly logDailyCapGb: number;
  readonly logRetentionDays: number;
  readonly settings: Settings;
  /** What the stack is expected to mine: its bill and the sizes it needs are computed from it. */
  readonly workload: Workload;
  /** Why a SKU is larger than the workload needs, by service. Read by policies only. */
  readonly skuReasons: Readonly<Record<string, string>>;
  /** Findings of policies that are accepted for a while. Read by policies only. */
  readonly exceptions: readonly PolicyException[];
}

/** A configuration, or every mistake in it at once: key, rule, value, example. */
export type ReadStackConfig =
  | { readonly ok: true; readonly config: StackConfig }
  | { readonly ok: false; readonly errors: readonly string[] };
