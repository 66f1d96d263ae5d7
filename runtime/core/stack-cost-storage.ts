import { amountText, DAYS_PER_MONTH, HOURS_PER_MONTH } from './cost.ts';
import {
  type CostResource,
  type CostScene,
  listAt,
  numberAt,
  ofType,
  storedMonths,
  textAt,
  type Usage,
} from './stack-cost-plan.ts';
import { LAKE_CONTAINER } from './storage-names.ts';

const TEN_THOUSAND = 10_000;

/** Packages that the function host keeps, in GB. */
const PACKAGES_GB = 0.05;

/** An account, by what is in it: ledger tables, lake, or the files of the function host. */
export function accountUsage(account: CostResource, scene: CostScene): readonly Usage[] {
  const name = textAt(account.inputs, 'accountName');
  const skuName = textAt(account.inputs, 'sku', 'name');
  const redundancy = skuName?.replace(/^Standard_/, '').toLowerCase() ?? 'unknown';
  const sku = skuName ?? 'unknown';
  const isHere = ({ inputs }: CostResource): boolean => textAt(inputs, 'accountName') === name;
  const hasTables = ofType(scene.resources, 'storage:Table').some(isHere);
  const hasLake = ofType(scene.resources, 'storage:BlobContainer').some(
    (container) => isHere(container) && textAt(container.inputs, 'containerName') === LAKE_CONTAINER,
  );
  const usages = [
    ...(hasTables ? ledgerUsage(sku, redundancy, scene) : []),
    ...(hasLake ? lakeUsage(sku, redundancy, scene, account) : []),
  ];
  return usages.length > 0 ? usages : hostUsage(sku, redundancy, scene);
}

function ledgerUsage(sku: string, redundancy: string, scene: CostScene): readonly Usage[] {
  const { ledger, traffic, workload, month } = scene;
  const months = storedMonths(workload, month);
  const looked = ledger.isByItem ? 'one by item' : 'one by page';
  return [
    {
      ...{ sku, meter: `table-${redundancy}-gb`, quantity: traffic.ledgerGb * months },
      why: `${amountText(traffic.newItems)} rows a month x ${workload.ledgerRowBytes} B, ${amountText(months)} months on average`,
    },
    {
      ...{ sku, meter: 'table-transactions', quantity: ledger.total / TEN_THOUSAND },
      why:
        `${amountText(ledger.lookUps)} look-ups (${looked}) + ${amountText(ledger.claims)} claims` +
        ` + ${amountText(ledger.runRows)} run rows + ${amountText(ledger.monitor)} by the monitor`,
    },
  ];
}

/** A step of the lifecycle: the tier that objects move to, and their age then. */
interface LifecycleStep {
  readonly tier: string;
  readonly afterMonths: number;
}

const TIER_ACTIONS = { cool: 'tierToCool', cold: 'tierToCold', archive: 'tierToArchive' } as const;

/** The steps of the lake's lifecycle, youngest first. */
function lifecycleOf(account: CostResource, resources: readonly CostResource[]): readonly LifecycleStep[] {
  const name = textAt(account.inputs, 'accountName');
  const policies = ofType(resources, 'storage:ManagementPolicy').filter(
    ({ inputs }) => textAt(inputs, 'accountName') === name,
  );
  const rules = policies.flatMap(({ inputs }) => listAt(inputs, 'policy', 'rules'));
  const steps = rules.flatMap((rule) =>
    Object.entries(TIER_ACTIONS).flatMap(([tier, action]) => {
      const path = ['definition', 'actions', 'baseBlob', action, 'daysAfterModificationGreaterThan'] as const;
      const days = numberAt(rule, ...path);
      return days === undefined ? [] : [{ tier, afterMonths: days / DAYS_PER_MONTH }];
    }),
  );
  return steps.toSorted((left, right) => left.afterMonths - right.afterMonths);
}

function lakeUsage(sku: string, redundancy: string, scene: CostScene, account: CostResource): readonly Usage[] {
  const { traffic, workload, month } = scene;
  const steps = [{ tier: 'hot', afterMonths: 0 }, ...lifecycleOf(account, scene.resources)];
  const stored = storedMonths(workload, month);
  const object = `${amountText(traffic.itemsPerEnvelope)} items, ${amountText(traffic.lakeObjectBytes)} B`;
  return steps.flatMap(({ tier, afterMonths }, at): readonly Usage[] => {
    const untilMonths = steps[at + 1]?.afterMonths ?? Number.POSITIVE_INFINITY;
    const months = Math.max(0, Math.min(stored, untilMonths) - afterMonths);
    // Objects that reach the age of this step during the month; each is one write to the tier.
    const moving = at === 0 ? 1 : Math.max(0, Math.min(1, month - afterMonths));
    const moved = at === 0 ? 'written' : `moved after ${amountText(afterMonths)} months`;
    const writes = `${amountText(traffic.envelopes * moving)} objects ${moved} (${object})`;
    return [
      {
        sku,
        meter: `blob-${tier}-${redundancy}-gb`,
        quantity: traffic.lakeGb * months,
        why: `${amountText(traffic.lakeGb)} GB a month, ${amountText(months)} months`,
      },
      {
        sku,
        meter: `blob-${tier}-${redundancy}-writes`,
        quantity: (traffic.envelopes * moving) / TEN_THOUSAND,
        why: writes,
      },
    ];
  });
}

function hostUsage(sku: string, redundancy: string, { workload }: CostScene): readonly Usage[] {
  const operations = workload.hostOperationsPerMinute * 60 * HOURS_PER_MONTH;
  return [
    { sku, meter: `blob-hot-${redundancy}-gb`, quantity: PACKAGES_GB, why: 'packages of the function app' },
    {
      ...{ sku, meter: `blob-hot-${redundancy}-writes`, quantity: operations / TEN_THOUSAND },
      why: `${workload.hostOperationsPerMinute} a minute by the function host: locks and states of timers`,
    },
  ];
}
