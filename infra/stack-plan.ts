import type { FunctionDeclaration } from '../runtime/core/functions.ts';
import type { Lane } from '../runtime/core/miner.ts';
import type { Entity } from '../runtime/core/route.ts';
import type { StackStage } from './stack-config.ts';

/** Everything that a stack is, as plain data: the components only translate it into resources. */
export interface StackPlan {
  readonly stage: StackStage;
  readonly location: string;
  readonly names: Names;
  readonly tags: Readonly<Record<string, string>>;
  /** What holds data cannot be deleted or replaced, and stays behind when it leaves the program. */
  readonly keepsData: boolean;
  readonly entities: readonly PlannedEntity[];
  readonly functions: readonly FunctionDeclaration[];
  readonly compute: ComputePlan;
  readonly redis: RedisPlan;
  readonly storage: StoragePlan;
  readonly roles: readonly RolePlan[];
  /** Object ids of people with the roles whose `holder` is `developer`. */
  readonly developers: readonly string[];
  readonly alerts: readonly AlertPlan[];
  readonly alertEmails: readonly string[];
  readonly dashboard: readonly DashboardTile[];
  readonly budget: BudgetPlan;
  readonly telemetry: TelemetryPlan;
  readonly upstreamUrls: Readonly<Record<string, string>>;
  /** `ADIT_*` variables of every numeric setting that means something in the cloud. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Physical names. Those marked "global" are unique in all of Azure. */
export interface Names {
  readonly resourceGroup: string;
  /** Global; 6 to 50 characters. */
  readonly serviceBusNamespace: string;
  /** Global; 1 to 63 characters. */
  readonly redis: string;
  /** Global; storage account of the ledger and the lake; 3 to 24 lower-case letters and digits. */
  readonly dataAccount: string;
  /** Global; storage account of the function host and the deployed packages; 3 to 24 lower-case letters and digits. */
  readonly hostAccount: string;
  /** Global; 2 to 60 characters. */
  readonly functionApp: string;
  readonly functionPlan: string;
  /** Global; 3 to 24 characters. */
  readonly vault: string;
  readonly identity: string;
  readonly workspace: string;
  readonly insights: string;
  readonly actionGroup: string;
  /** 1 to 12 characters. */
  readonly actionGroupShort: string;
  readonly dashboard: string;
  readonly budget: string;
}

/** An entity of the message bus. It is protected while its miner is in the catalog and not retired. */
export interface PlannedEntity {
  readonly entity: Entity;
  readonly isProtected: boolean;
}

/** Flex Consumption. */
export interface ComputePlan {
  /** Major version of Node, one place for app, bundle and preflight. */
  readonly nodeVersion: string;
  readonly instanceMemoryMb: number;
  readonly instanceLimit: number;
}

/** `cache`: Azure Cache for Redis · `managed`: Azure Managed Redis. Ports are TLS. */
export type RedisPlan =
  | { readonly kind: 'cache'; readonly family: 'C' | 'P'; readonly capacity: number; readonly port: 6380 }
  | { readonly kind: 'managed'; readonly sku: string; readonly isHighlyAvailable: boolean; readonly port: 10000 };

/** Ledger, lake and what the function host needs. */
export interface StoragePlan {
  readonly dataSku: 'Standard_LRS' | 'Standard_ZRS';
  readonly tables: readonly string[];
  readonly lakeContainer: string;
  readonly deploymentContainer: string;
  readonly coolAfterDays: number;
  /** Age at which a lake blob moves on to `coldestTier`. */
  readonly archiveAfterDays: number;
  /** `archive` where the redundancy has it; zone-redundant accounts have none and end in `cold`. */
  readonly coldestTier: 'archive' | 'cold';
  readonly softDeleteDays: number;
}

/** Resource that a role is granted on. */
export type RoleScope = 'serviceBus' | 'dataAccount' | 'hostAccount' | 'insights' | 'vault';

/** One grant. Redis is entered by its own access policies, not by these. */
export interface RolePlan {
  /** Unique, kebab-case. */
  readonly name: string;
  readonly holder: 'functions' | 'developer';
  readonly scope: RoleScope;
  /** Display name of the built-in role. */
  readonly role: string;
  /** Its GUID. */
  readonly roleId: string;
  /** Why it is needed, one sentence. */
  readonly reason: string;
}

/** Resource whose metrics an alert or a tile reads. */
export type MetricScope = 'serviceBus' | 'redis' | 'functionApp' | 'insights';

/** One metric and how it is read. */
export interface MetricPlan {
  readonly scope: MetricScope;
  /** For example `Microsoft.ServiceBus/namespaces`. */
  readonly namespace: string;
  readonly metric: string;
  readonly aggregation: 'Average' | 'Maximum' | 'Total' | 'Count';
  /** Only these values of a dimension, for example queues of `EntityName`. */
  readonly dimension?: { readonly name: string; readonly values: readonly string[] };
}

/** One alert; its `name` is also the anchor of its section in `runtime/ops/PLAYBOOK.md`. */
export interface AlertPlan extends MetricPlan {
  /** Unique, kebab-case. */
  readonly name: string;
  /** One sentence for the person who is woken: what is wrong. */
  readonly summary: string;
  /** 0 critical .. 4 verbose. */
  readonly severity: 0 | 1 | 2 | 3 | 4;
  readonly operator: 'GreaterThan' | 'GreaterThanOrEqual' | 'LessThan';
  readonly threshold: number;
  /** Unit of the threshold, for people. */
  readonly unit: string;
  readonly windowMinutes: number;
  readonly everyMinutes: number;
  readonly lane?: Lane;
}

/** One chart of the dashboard. */
export interface DashboardTile {
  readonly title: string;
  readonly metrics: readonly MetricPlan[];
  /** Alerts that watch the same numbers. */
  readonly alerts: readonly string[];
}

/** Monthly, in USD. */
export interface BudgetPlan {
  readonly amountUsd: number;
  readonly thresholds: readonly { readonly percent: number; readonly kind: 'Actual' | 'Forecasted' }[];
}

/** Logs and traces. */
export interface TelemetryPlan {
  readonly dailyCapGb: number;
  readonly retentionDays: number;
  readonly samplingPercent: number;
}
