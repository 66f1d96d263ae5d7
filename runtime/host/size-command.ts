import { amountText, usdText } from '../core/cost.ts';
import { type Sizes, sizesFor } from '../core/sizing.ts';
import type { SizeChoice, SizedTier } from '../core/sizing-choice.ts';
import type { StackCost } from '../core/stack-cost.ts';
import { WORKLOAD, type WorkloadField } from '../core/workload-fields.ts';
import { readWorkload, workloadOption } from '../core/workload.ts';
import { PRICES } from '../prices.ts';
import { BadInput } from './bad-input.ts';

/** An option of `adit size`, as a command line library wants it. */
export interface SizeOption {
  /** For example `--calls-per-day <n>`. */
  readonly flags: string;
  readonly description: string;
}

/** One option per field of a workload. */
export const SIZE_OPTIONS: readonly SizeOption[] = Object.entries<WorkloadField>(WORKLOAD).map(([name, field]) => ({
  flags: `${workloadOption(name)} <n>`,
  description: `${field.docs} ${field.unit}, default ${field.likely} (${field.source})`,
}));

/**
 * `adit size`: the cheapest choice of every tier, as lines for people or as one JSON object.
 * @param given - the fields that were given, as text
 * @throws BadInput with every mistake at once
 */
export function sizeText(given: Readonly<Record<string, string>>, isJson: boolean): string {
  const read = readWorkload(given, 'option');
  if (!read.ok) throw new BadInput(read.errors.join('\n'));
  const sizes = sizesFor(read.workload, PRICES);
  return isJson ? JSON.stringify(sizes) : linesOf(sizes).join('\n');
}

function linesOf(sizes: Sizes): readonly string[] {
  const { currency, region, reviewedOn } = PRICES;
  return [
    ...sizes.arithmetic,
    ...sizes.tiers.flatMap(tierLines),
    '',
    'Worth knowing',
    ...sizes.notes.map((note) => `  ${note}`),
    '',
    `A month of the whole stack (${currency}, ${region}, prices reviewed ${reviewedOn})`,
    ...totalLines('as chosen', sizes.stack),
    ...totalLines('thrifty  ', sizes.thriftyStack),
    '',
    'npm run preview -- --stack prod prints the bill of what is really planned.',
  ];
}

const TITLES: Readonly<Record<SizedTier['tier'], string>> = {
  'service-bus': 'Service Bus',
  redis: 'Redis',
  functions: 'Functions',
  listener: 'Listener of sockets',
};

function tierLines(tier: SizedTier): readonly string[] {
  const { chosen, next, thrifty } = tier;
  return [
    '',
    TITLES[tier.tier],
    ...tier.arithmetic.map((line) => `  ${line}`),
    ...tier.choices.map((choice) => choiceLine(choice, tier)),
    chosen === undefined
      ? '  Nothing here carries the load at a known price.'
      : `  Cheapest that carries it: ${nameOf(chosen)}, ${usdText(chosen.usdPerMonth)} a month.`,
    ...(next === undefined
      ? []
      : [`  Next: ${nameOf(next)}, ${usdText(next.usdPerMonth)}, forced by ${tier.forcedBy}.`]),
    ...(thrifty === undefined || thrifty === chosen
      ? []
      : [
          `  Thrifty: ${nameOf(thrifty)}, ${usdText(thrifty.usdPerMonth)}; what it drops, the ledger answers for less than the difference.`,
        ]),
  ];
}

function nameOf({ name, config }: SizeChoice): string {
  return config === undefined ? name : `${name} (${config})`;
}

const NAME_WIDTH = 46;
const USD_WIDTH = 11;

function choiceLine(choice: SizeChoice, { chosen, next, thrifty }: SizedTier): string {
  const mark = choice === chosen ? '*' : choice === next ? '+' : choice === thrifty ? '~' : ' ';
  const usd = usdText(choice.usdPerMonth).padStart(USD_WIDTH);
  const isRecalled = choice.confidence === 'recalled' ? ' (price recalled)' : '';
  return `  ${mark} ${choice.name.padEnd(NAME_WIDTH)}${usd}  ${choice.carries ? 'carries' : 'does not'}: ${choice.why}${isRecalled}`;
}

function totalLines(title: string, stack: StackCost | undefined): readonly string[] {
  if (stack === undefined) return [`  ${title}: a tier has no choice with a known price`];
  const { months, perUserUsd, perMillionItemsUsd } = stack;
  const at = (month: 1 | 12 | 24): string => {
    const { totalUsd, lowUsd, highUsd } = months[month];
    return `month ${month} ${usdText(totalUsd)} (${usdText(lowUsd)} to ${usdText(highUsd)})`;
  };
  const per = `${usdText(perUserUsd)} a user, $${amountText(perMillionItemsUsd)} per million items served`;
  return [`  ${title}: ${at(1)}, ${at(12)}, ${at(24)}; ${per}`];
}
