import { describe, expect, test } from 'vitest';
import { WORKLOAD } from '../../runtime/core/workload-fields.ts';
import { BadInput } from '../../runtime/host/bad-input.ts';
import { SIZE_OPTIONS, sizeText } from '../../runtime/host/size-command.ts';

const ARTICLE = { users: '500', callsPerDay: '2000000', itemsPerPage: '100', newRatio: '0.1' };

describe('npm run adit -- size', () => {
  const text = sizeText(ARTICLE, false);

  test.each([
    '60,833,333 calls a month = 2,000,000 a day x 730 h / 24',
    'marker message: 1 send + 0 forward + 1 receive + 1 settle = 3 operations',
    'busiest second: 500 pages (500 users at once) = 80.83 credits of 1000',
    'memory: 53,000,000 x 224 B = 11.06 GB',
    'mining 60,833,333 calls x 1 s / 24 slices at once = 2,534,722 s',
    'telemetry: 60,833,333 calls x 50 B = 2.833 GB, $0.00',
    'Cheapest that carries it: Standard, $10.11 a month.',
    'Next: Premium, 1 unit, $677.08, forced by 1000 credits/s, 12.37 times the load',
    'Cheapest that carries it: Flex, 2048 MB, 1 core (adit:instanceMemoryMb: 2048)',
    'Cheapest that carries it: none (adit:listener: none), $0.00 a month.',
  ])('prints "%s"', (line) => {
    expect(text).toContain(line);
  });

  test('compares every tier that Azure sells for it', () => {
    for (const name of [
      'Basic ',
      'Standard ',
      'Premium, 1 unit',
      'Consumption (legacy)',
      'Flex, 512 MB',
      'Container App',
      'App Service B1',
    ]) {
      expect(text).toContain(name);
    }
    for (const size of ['C0', 'C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'P1', 'B0', 'B1', 'B3', 'B5', 'B10']) {
      expect(text).toMatch(new RegExp(`(Basic|Standard|Premium|Balanced) ${size}, `));
    }
  });

  test('says which price is unknown and which is only recalled', () => {
    expect(text).toMatch(/Balanced B10, 12 GB, 2 nodes +unknown/);
    expect(text).toMatch(/Standard C4, 13 GB, 2 nodes +\$383\.25.*\(price recalled\)/);
  });

  test('prints the same as JSON', () => {
    const sizes = JSON.parse(sizeText(ARTICLE, true)) as {
      tiers: { tier: string; chosen: { sku: string } }[];
      stack: { months: object };
    };
    expect(sizes.tiers.map(({ tier, chosen }) => [tier, chosen.sku])).toEqual([
      ['service-bus', 'Standard'],
      ['redis', 'Standard_C5'],
      ['functions', 'FC1'],
      ['listener', 'none'],
    ]);
    expect(Object.keys(sizes.stack.months)).toEqual(['1', '12', '24']);
  });

  test('has an option for every field of a workload, with unit, default and source', () => {
    expect(SIZE_OPTIONS).toHaveLength(Object.keys(WORKLOAD).length);
    expect(SIZE_OPTIONS[0]).toEqual({
      flags: '--users <n>',
      description: 'Active users that are mined. users, default 500 (article, conclusion: 500+)',
    });
  });

  test('names every mistake at once, with option, rule, value and example', () => {
    expect(() => sizeText({ users: 'x', newRatio: '2' }, false)).toThrow(
      new BadInput(
        '--users must be a whole number 1..10000000 (users), got "x". Example: --users 500\n' +
          '--new-ratio must be a number 0..1 (share 0..1), got "2". Example: --new-ratio 0.1',
      ),
    );
  });
});
