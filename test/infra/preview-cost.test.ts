import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { costLines, monthlyCostOf } from '../../infra/preview/cost.ts';
import { findingLines } from '../../infra/preview/finding.ts';
import { ProgramFault } from '../../infra/preview/program-fault.ts';
import type { PreviewJson } from '../../infra/preview/tree.ts';
import { ProductCopy } from '../policies/product-copy.ts';

const LIMIT_MS = 180_000;

const azure = (type: string, name: string, inputs: PreviewJson['outputs']) => ({
  type: `azure-native:${type}`,
  name,
  inputs,
});
const BUS = azure('servicebus:Namespace', 'bus', { sku: { name: 'Standard' } });
const C3 = azure('redis:Redis', 'redis', { sku: { name: 'Standard', family: 'C', capacity: 3 } });

describe('the monthly cost', () => {
  it('adds up its rows', () => {
    const { total, rows } = monthlyCostOf([BUS, C3], {});
    expect(total).toBeCloseTo(
      rows.reduce((sum, { usdPerMonth }) => sum + (usdPerMonth ?? 0), 0),
      9,
    );
    expect(rows.find(({ meter }) => meter === 'redis-standard-c3')).toMatchObject({ quantity: 2, usdPerMonth: 328.5 });
  });

  it('takes budget and workload from the configuration', () => {
    const small = monthlyCostOf([BUS], { 'adit:monthlyBudgetUsd': '50', 'adit:workload': '{"callsPerDay": 1000}' });
    const large = monthlyCostOf([BUS], { 'adit:workload': '{"callsPerDay": 50000000}' });
    expect(small.budget).toBe(50);
    expect(large.budget).toBeNull();
    expect(large.total).toBeGreaterThan(small.total);
  });

  it('refuses a workload that it cannot read', () => {
    expect(() => monthlyCostOf([BUS], { 'adit:workload': '{"callsPerDay": "many"}' })).toThrow(ProgramFault);
  });

  it('shows what the same stack costs with managed Redis, where it has Standard C3', () => {
    const cost = monthlyCostOf([BUS, C3], {});
    expect(cost.total - (cost.withManagedRedis ?? 0)).toBeCloseTo(328.5 - 227.76, 2);
    expect(costLines(cost).join('\n')).toContain('with adit:redis: managed-b5 it would be $');
    expect(monthlyCostOf([BUS], {}).withManagedRedis).toBeNull();
  });

  it("says what the article's bill would need, where the stack costs more than that", () => {
    const small = azure('redisenterprise:RedisEnterprise', 'redis', {
      sku: { name: 'Balanced_B0' },
      highAvailability: 'Enabled',
    });
    const usdFor = (callsPerDay: number): number =>
      monthlyCostOf([BUS, small], { 'adit:workload': JSON.stringify({ callsPerDay }) }).total;
    const cost = monthlyCostOf([BUS, C3], { 'adit:workload': '{"callsPerDay": 150000000}' });
    const bill = cost.articleBill;
    expect(cost.total - (bill?.withSmallestCache ?? 0)).toBeCloseTo(328.5 - 23.36, 2);
    expect(bill?.callsPerDay).toBeGreaterThan(0);
    expect(bill?.callsPerDay).toBeLessThan(150_000_000);
    expect(usdFor(bill?.callsPerDay ?? 0)).toBeLessThanOrEqual(400);
    expect(usdFor((bill?.callsPerDay ?? 0) + 1000)).toBeGreaterThan(400);
    expect(costLines(cost).join('\n')).toContain("the article's $400.00 would need the smallest cache with two nodes");
    expect(monthlyCostOf([BUS], {}).articleBill).toBeNull();
  });

  it('lists what nobody has priced, and never as free', () => {
    const lines = costLines(monthlyCostOf([azure('compute:VirtualMachine', 'vm', {})], {}));
    expect(lines).toContain('  unpriced, and not free: azure-native:compute:VirtualMachine vm');
  });

  it('says of a price that nobody knows that it is unknown', () => {
    const b10 = azure('redisenterprise:RedisEnterprise', 'redis', {
      sku: { name: 'Balanced_B10' },
      highAvailability: 'Enabled',
    });
    const cost = monthlyCostOf([b10], {});
    expect(cost.missing).toHaveLength(1);
    expect(costLines(cost)[2]).toMatch(/Balanced_B10.* unknown /);
  });

  it('shows the dearest first, and how much of the budget is left', () => {
    const lines = costLines(monthlyCostOf([BUS, C3], { 'adit:monthlyBudgetUsd': '300' }));
    expect(lines[2]).toMatch(/^ {2}redis +Standard_C3 +\$164\.25 \/ node-month +2 +\$328\.50/);
    expect(lines.join('\n')).toMatch(/budget \$300\.00, \$\d+\.\d\d too much/);
  });
});

describe('findings', () => {
  it('stand with what refuses the change first', () => {
    const finding = { policy: 'a', resource: null, message: 'text' } as const;
    expect(
      findingLines([
        { ...finding, level: 'advisory' },
        { ...finding, policy: 'b', level: 'mandatory' },
      ]),
    ).toEqual([
      'policies: 1 mandatory, 1 advisory',
      '  mandatory  b  the stack',
      '    text',
      '  advisory  a  the stack',
      '    text',
    ]);
    expect(findingLines([])).toEqual(['policies: nothing found']);
  });
});

describe('npm run preview with the policies of this repository', { timeout: LIMIT_MS }, () => {
  let copy: ProductCopy;
  beforeAll(async () => {
    copy = await ProductCopy.make();
  });
  afterAll(() => copy.remove());

  it.each(['dev', 'prod'])('accepts the committed stack %s, with its bill', async (stack) => {
    const { code, out, err } = await copy.preview('--stack', stack, '--json');
    expect({ code, err }).toMatchObject({ code: 0 });
    const { monthlyCost, findings } = JSON.parse(out) as Required<PreviewJson>;
    expect(monthlyCost.total).toBeLessThanOrEqual(monthlyCost.budget ?? 0);
    expect(monthlyCost.isComplete).toBe(true);
    expect(findings.filter(({ level }) => level === 'mandatory')).toEqual([]);
  });

  it('refuses a public container, an unwatched lane and a Premium bus in the program, and exits with 1', async () => {
    await copy.edit('infra/storage.ts', 'allowBlobPublicAccess: false', 'allowBlobPublicAccess: true');
    await copy.edit(
      'infra/messaging.ts',
      "{ name: 'Standard', tier: 'Standard' }",
      "{ name: 'Premium', tier: 'Premium', capacity: 1 }",
    );
    await copy.edit('infra/plan-alerts.ts', '...depthAlerts(inputs.miners),', '');
    const { code, out, err } = await copy.preview('--stack', 'prod');
    expect({ code, err }).toMatchObject({ code: 1 });
    for (const rule of ['no-public-blobs', 'approved-bus-sku', 'queue-has-alert', 'stack-within-budget']) {
      expect(out).toContain(`  mandatory  ${rule}  `);
    }
    expect(out).toMatch(/total \$[\d,.]+ .*; budget \$720\.00, \$[\d,.]+ too much/);
  });

  it('refuses an exception from a policy that there is not, and exits with 2', async () => {
    await copy.edit(
      'Pulumi.dev.yaml',
      'adit:stage: dev',
      'adit:stage: dev\n  adit:exceptions: [{ policy: no-such-rule, owner: ada, reason: a slip, expires: "2027-01-31" }]',
    );
    const { code, err } = await copy.preview('--stack', 'dev');
    expect({ code, err }).toMatchObject({ code: 2 });
    expect(err).toContain('adit:exceptions names "no-such-rule", which is no policy.');
  });

  it('refuses an exception without an end, and exits with 2', async () => {
    await copy.edit('Pulumi.dev.yaml', ', expires: "2027-01-31"', '');
    const { code, err } = await copy.preview('--stack', 'dev');
    expect({ code, err }).toMatchObject({ code: 2 });
    expect(err).toContain('adit:exceptions, entry 1: expires must be a day in quotes, "YYYY-MM-DD", got undefined');
  });
});
