import { REDIS_SIZES } from '../runtime/core/cost-redis.ts';
import { type Sizes, sizesFor, tierOf } from '../runtime/core/sizing.ts';
import type { SizeChoice } from '../runtime/core/sizing-choice.ts';
import { shortType } from './expectation.ts';
import { look, textOf, UNKNOWN, type Value } from './inputs.ts';
import { ADVICE, type Finding, type Resource, type ResourceRule, unseen } from './rule.ts';
import type { Stack } from './stack.ts';

/** Steps of a ladder that a SKU may be above its need before it is refused without a reason. */
const STEPS_ALLOWED = 1;

/** What is sized: where its SKU stands, on which ladder, and what the workload needs. */
interface Sized {
  readonly type: string;
  /** As in `adit:skuReasons`. */
  readonly service: string;
  readonly tier: Parameters<typeof tierOf>[1];
  /** Sizes from the smallest up; larger ones than the last count as the last. */
  readonly ladder: readonly number[];
  /** Inputs that the size is read from. */
  readonly paths: readonly string[];
  /** On the ladder; undefined: the SKU is on none. */
  readonly size: (values: readonly (Value | undefined)[]) => number | undefined;
  readonly need: (choice: SizeChoice, stack: Stack) => number | undefined;
  readonly text: (size: number) => string;
}

/** Memory in GB of a cache by its SKU, such as `Standard_C3` or `Balanced_B5`. */
function memoryOf(sku: string): number | undefined {
  return REDIS_SIZES.find((size) => size.sku === sku)?.memoryGb;
}

/** Memory of the smallest cache that does not run on credits: prod needs no less (rule "cache-has-replica"). */
const STEADY_GB = Math.min(
  ...REDIS_SIZES.flatMap(({ isBurstable, isRetiring, memoryGb }) => (isBurstable || isRetiring ? [] : [memoryGb])),
);

const CACHE = {
  service: 'redis',
  tier: 'redis',
  ladder: [0.25, 0.5, 1, 2.5, 6, 12, 26, 53],
  need: ({ sku }: SizeChoice, { stage }: Stack): number | undefined => {
    const memoryGb = memoryOf(sku);
    return memoryGb === undefined || stage === 'dev' ? memoryGb : Math.max(memoryGb, STEADY_GB);
  },
  text: (size: number): string => `${size} GB`,
} as const;

/** Basic 0, Standard 1, Premium as many more as it has units. */
function busSize(name: Value | undefined, units: Value | undefined): number | undefined {
  if (name === 'Basic') return 0;
  if (name === 'Standard') return 1;
  return name === 'Premium' ? 1 + (typeof units === 'number' ? units : 1) : undefined;
}

function busText(size: number): string {
  if (size <= 1) return size === 0 ? 'Basic' : 'Standard';
  return `Premium with ${size - 1} ${size === 2 ? 'unit' : 'units'}`;
}

const MEMORY_PATH = 'functionAppConfig.scaleAndConcurrency.instanceMemoryMB';

const SIZED: readonly Sized[] = [
  {
    type: 'servicebus:Namespace',
    service: 'serviceBus',
    tier: 'service-bus',
    ladder: [0, 1, 2, 3, 5, 9, 17],
    paths: ['sku.name', 'sku.capacity'],
    size: ([name, units]) => busSize(name, units),
    need: ({ sku, capacity }) => busSize(sku, capacity),
    text: busText,
  },
  {
    ...CACHE,
    type: 'redis:Redis',
    paths: ['sku.name', 'sku.family', 'sku.capacity'],
    size: ([name, family, capacity]) => memoryOf(`${textOf(name)}_${textOf(family)}${textOf(capacity)}`),
  },
  {
    ...CACHE,
    type: 'redisenterprise:RedisEnterprise',
    paths: ['sku.name'],
    size: ([name]) => memoryOf(textOf(name)),
  },
  {
    type: 'web:WebApp',
    service: 'functions',
    tier: 'functions',
    ladder: [512, 2048, 4096],
    paths: [MEMORY_PATH],
    size: ([memory]) => (typeof memory === 'number' ? memory : undefined),
    need: ({ capacity }) => capacity,
    text: (size) => `${size} MB`,
  },
];

let last: { readonly stack: Stack; readonly sizes: Sizes } | undefined;

function sizesOf(stack: Stack): Sizes {
  if (last?.stack !== stack) last = { stack, sizes: sizesFor(stack.workload, stack.prices) };
  return last.sizes;
}

function stepOf(ladder: readonly number[], size: number): number {
  return ladder.filter((step) => step <= size).length;
}

function compared(resource: Resource, stack: Stack): readonly Finding[] {
  const sized = SIZED.find(({ type }) => type === shortType(resource.type));
  if (sized === undefined) return [];
  const values = sized.paths.map((path) => look(resource.inputs, path));
  const hidden = sized.paths[values.indexOf(UNKNOWN)];
  if (hidden !== undefined) return [unseen(resource, hidden)];
  const tier = tierOf(sizesOf(stack), sized.tier);
  // The thrifty choice leaves to the ledger what a cache would have to be large for, and pays for it there.
  const choice = tier.thrifty ?? tier.chosen;
  const size = sized.size(values);
  const need = choice === undefined ? undefined : sized.need(choice, stack);
  // A SKU that is on no ladder is found by the rules about approved SKUs.
  if (size === undefined || need === undefined) return [];
  const steps = stepOf(sized.ladder, size) - stepOf(sized.ladder, need);
  return steps === 0 ? [] : [stepFinding(resource, stack, sized, { size, need, steps })];
}

function stepFinding(
  { urn }: Resource,
  { skuReasons }: Stack,
  { service, text }: Sized,
  { size, need, steps }: { readonly size: number; readonly need: number; readonly steps: number },
): Finding {
  const reason = skuReasons[service];
  const much = `${Math.abs(steps)} ${Math.abs(steps) === 1 ? 'step' : 'steps'}`;
  const fact = `it has ${text(size)}, the workload needs ${text(need)}: ${much} too ${steps > 0 ? 'large' : 'small'}`;
  if (steps <= STEPS_ALLOWED)
    return { urn, message: reason === undefined ? fact : `${fact}. Recorded reason: ${reason}` };
  return reason === undefined
    ? { urn, message: `${fact}, and adit:skuReasons has no reason for ${service}`, level: 'mandatory' }
    : { urn, message: `${fact}. Recorded reason: ${reason}` };
}

/** Sizes are what the workload needs. */
export const SIZING_RULE: ResourceRule = {
  kind: 'resource',
  name: 'sku-fits-workload',
  area: 'cost',
  level: ADVICE,
  what: `A SKU is what adit:workload needs; more than ${STEPS_ALLOWED} step above it needs a recorded reason.`,
  reason: 'Article ch. 6, "Infrastructure Right-Sizing": C3 took the place of P1 with a "negligible" difference.',
  change:
    'Take the size that "npm run adit -- size" names, correct adit:workload, or record the reason in adit:skuReasons.',
  applies: (type) => SIZED.some((sized) => sized.type === shortType(type)),
  check: compared,
};
