import { type Meter, meterIn, type Prices } from './core/cost.ts';
import { readPrices } from './core/cost-table.ts';
import table from './prices.json' with { type: 'json' };

function checked(data: unknown): Prices {
  const read = readPrices(data);
  if (read.ok) return read.prices;
  throw new Error(`runtime/prices.json: ${read.errors.join('\n')}\nNext: mend it, or take it from git again`);
}

/** THE table of prices, read from `prices.json`; `npm run prices` prints it, `npm run prices -- --refresh` renews it. */
export const PRICES: Prices = checked(table);

/** The meter with this id in `PRICES`, or undefined: a missing price is a finding, never 0. */
export function meterOf(id: string): Meter | undefined {
  return meterIn(PRICES, id);
}
