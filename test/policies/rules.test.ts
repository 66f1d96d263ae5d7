import { describe, expect, it } from 'vitest';
import { UNKNOWN, type Value } from '../../policies/inputs.ts';
import { judgeAll } from '../../policies/judge.ts';
import type { Resource } from '../../policies/rule.ts';
import { RULES } from '../../policies/rules.ts';
import type { Stack } from '../../policies/stack.ts';
import { policyStack, sampleResource } from './policy-stack.ts';

/** What one rule says, with its level. */
function said(rule: string, resources: readonly Resource[], stack: Stack): readonly string[] {
  const rules = RULES.filter(({ name }) => name === rule);
  expect(rules).toHaveLength(1);
  return judgeAll(rules, resources, stack).map(({ level, message }) => `${level}: ${message.split('. To do:')[0]}`);
}

const c3 = (capacity: Value = 3): Resource =>
  sampleResource('redis:Redis', { sku: { name: 'Standard', family: 'C', capacity } });

describe('the budget', () => {
  it('is not passed by what costs less', () => {
    expect(said('stack-within-budget', [c3()], policyStack('prod', { 'adit:monthlyBudgetUsd': '329' }))).toEqual([]);
  });

  it('is passed with the figure, and with what costs most', () => {
    expect(said('stack-within-budget', [c3()], policyStack('prod', { 'adit:monthlyBudgetUsd': '300' }))).toEqual([
      'mandatory: it costs $328.50 a month, the budget is $300.00 (sample Standard_C3 $328.50)',
    ]);
  });

  it('that is not there is a finding', () => {
    const [first] = said('stack-within-budget', [c3()], policyStack('prod', { 'adit:monthlyBudgetUsd': undefined }));
    expect(first).toBe('mandatory: the configuration has no adit:monthlyBudgetUsd');
  });

  it('that storage will outgrow within a year is said', () => {
    const account = sampleResource('storage:StorageAccount', { accountName: 'data', sku: { name: 'Standard_ZRS' } });
    const table = sampleResource('storage:Table', { accountName: 'data', tableName: 'aditenvelopes' });
    const lake = sampleResource('storage:BlobContainer', { accountName: 'data', containerName: 'lake' });
    const findings = said('stack-within-budget', [account, table, lake], policyStack('prod'));
    expect(findings).toEqual([]);
    const tight = policyStack('prod', { 'adit:monthlyBudgetUsd': '300' });
    expect(said('stack-within-budget', [account, table, lake], tight)).toEqual([
      expect.stringMatching(/^advisory: it will cost \$\d+\.\d\d in month 12, because what is stored grows/),
    ]);
  });
});

describe('prices', () => {
  const in120 = new Date('2027-03-23T00:00:00Z');
  const in121 = new Date('2027-03-24T00:00:00Z');

  it('are old after 120 days', () => {
    const stack = policyStack('prod', {}, in120);
    const reviewed = { ...stack, prices: { ...stack.prices, reviewedOn: '2026-11-23' } };
    expect(said('prices-are-reviewed', [], reviewed)).toEqual([]);
    const later = { ...policyStack('prod', {}, in121), prices: reviewed.prices };
    expect(said('prices-are-reviewed', [], later)).toEqual([
      'advisory: the last review was on 2026-11-23, 121 days ago',
    ]);
  });

  it('that a table lacks are a finding and not 0', () => {
    const stack = policyStack('prod');
    const meters = stack.prices.meters.filter(({ id }) => id !== 'redis-standard-c3');
    const [finding] = said('everything-is-priced', [c3()], { ...stack, prices: { ...stack.prices, meters } });
    expect(finding).toContain('mandatory: redis-standard-c3 has no price here, which is not 0');
  });

  it('of a size that is not known yet cannot be seen', () => {
    expect(said('everything-is-priced', [c3(UNKNOWN)], policyStack('prod'))).toEqual([
      'advisory: could not see sku.capacity: it is known only after the deployment',
    ]);
  });
});

describe('a service that retires', () => {
  it.each([
    ['2027-09-29', 'advisory'],
    ['2027-09-30', 'mandatory'],
    ['2029-01-01', 'mandatory'],
  ])('is, on %s, %s', (today, level) => {
    const [finding] = said('no-retired-service', [c3()], policyStack('prod', {}, new Date(`${today}T00:00:00Z`)));
    expect(finding).toBe(
      `${level}: Azure Cache for Redis retires on 2028-09-30; its successor is Azure Managed Redis (adit:redis: managed-b5)`,
    );
  });

  it('that cannot be created any more is refused at once', () => {
    const cluster = sampleResource('redisenterprise:RedisEnterprise', { sku: { name: 'Enterprise_E10' } });
    expect(said('no-retired-service', [cluster], policyStack('prod'))[0]).toMatch(
      /^mandatory: .* 2027-03-31; .*Balanced_B5/,
    );
  });
});

describe('a size', () => {
  const premium = (capacity: number): Resource =>
    sampleResource('servicebus:Namespace', { sku: { name: 'Premium', capacity } });
  const reason = { 'adit:skuReasons': '{"serviceBus":"a network that is closed to the public"}' };

  it('is what the workload needs', () => {
    const standard = sampleResource('servicebus:Namespace', { sku: { name: 'Standard' } });
    expect(said('sku-fits-workload', [standard], policyStack('prod'))).toEqual([]);
  });

  it('one step too large is said, two are refused', () => {
    expect(said('sku-fits-workload', [premium(1)], policyStack('prod'))).toEqual([
      'advisory: it has Premium with 1 unit, the workload needs Standard: 1 step too large',
    ]);
    expect(said('sku-fits-workload', [premium(2)], policyStack('prod'))).toEqual([
      'mandatory: it has Premium with 2 units, the workload needs Standard: 2 steps too large, and adit:skuReasons has no reason for serviceBus',
    ]);
  });

  it('may be too large for a recorded reason', () => {
    expect(said('sku-fits-workload', [premium(2)], policyStack('prod', reason))).toEqual([
      'advisory: it has Premium with 2 units, the workload needs Standard: 2 steps too large. Recorded reason: a network that is closed to the public',
    ]);
    expect(said('approved-bus-sku', [premium(1)], policyStack('prod', reason))).toEqual([]);
    expect(said('approved-bus-sku', [premium(1)], policyStack('prod'))).toHaveLength(1);
  });

  it("of prod's cache has its reason in the committed configuration", () => {
    expect(policyStack('prod').skuReasons['redis']).toMatch(/managed Redis/);
  });
});

describe('an exception', () => {
  const bus = sampleResource('servicebus:Namespace', { minimumTlsVersion: '1.0' });
  const exception = { policy: 'tls-minimum', owner: 'ada', reason: 'an old client', expires: '2026-11-23' };
  const withOne = (changes: Readonly<Record<string, unknown>>, now?: Date): Stack =>
    policyStack('prod', { 'adit:exceptions': JSON.stringify([{ ...exception, ...changes }]) }, now);

  it('makes a refusal advice, until its last day', () => {
    expect(said('tls-minimum', [bus], withOne({}))).toEqual([
      'advisory: minimumTlsVersion must be 1.2 or 1.3, is "1.0". Accepted until 2026-11-23 by ada: an old client',
    ]);
    expect(said('exceptions-count', [], withOne({}))).toEqual([]);
  });

  it('that has expired excuses nothing and is a finding', () => {
    const stack = withOne({}, new Date('2026-11-24T00:00:00Z'));
    expect(said('tls-minimum', [bus], stack)[0]).toMatch(/^mandatory/);
    expect(said('exceptions-count', [], stack)).toEqual([
      'mandatory: the exception of ada from tls-minimum expired on 2026-11-23',
    ]);
  });

  it('silences a finding where it says so', () => {
    expect(said('tls-minimum', [bus], withOne({ level: 'off' }))).toEqual([]);
  });

  it('of one resource excuses no other', () => {
    expect(said('tls-minimum', [bus], withOne({ resource: 'other' }))[0]).toMatch(/^mandatory/);
    expect(said('tls-minimum', [bus], withOne({ resource: 'sample' }))[0]).toMatch(/^advisory/);
  });

  it.each([
    [{ policy: 'no-such-rule' }, 'names no-such-rule, which is no rule'],
    [{ policy: 'exceptions-count' }, 'names exceptions-count, which is no rule'],
    [{ expires: undefined }, 'must expire: YYYY-MM-DD, got undefined'],
    [{ expires: '2027-02-30' }, 'must expire: YYYY-MM-DD, got 2027-02-30'],
    [{ owner: '' }, 'must have owner'],
    [{ level: 'mandatory' }, 'level must be advisory or off, got mandatory'],
    [{ until: '2027-01-01' }, 'unknown field until'],
  ])('%j is refused: %s', (changes, message) => {
    expect(said('exceptions-count', [], withOne(changes))[0]).toContain(message);
  });

  it('list that is none is refused', () => {
    const stack = policyStack('prod', { 'adit:exceptions': 'none' });
    expect(said('exceptions-count', [], stack)).toEqual(['mandatory: adit:exceptions must be a list']);
  });
});

describe('the timeout of functions', () => {
  const code = sampleResource('pulumi-nodejs:dynamic:Resource', { archivePath: 'a.zip', archiveHash: 'x' });
  const packed = (hostJson: unknown): Stack => ({ ...policyStack('prod'), hostJson: () => hostJson });

  it.each([
    ['00:10:00', []],
    [
      '00:01:00',
      ['mandatory: functionTimeout must be longer than a slice (60000 ms) and at most 30 minutes, is "00:01:00"'],
    ],
    ['02:00:00', [expect.stringMatching(/^mandatory/)]],
    [undefined, [expect.stringMatching(/^mandatory: .* is absent$/)]],
  ])('is read from host.json in the package: %s', (functionTimeout, findings) => {
    expect(said('function-timeout', [code], packed({ functionTimeout }))).toEqual(findings);
  });

  it('cannot be seen where there is no package to read', () => {
    expect(said('function-timeout', [code], packed(undefined))).toEqual([
      'advisory: could not see host.json in the package of the functions',
    ]);
  });
});

describe('a stack that does not say what it is', () => {
  it('is held to the rules of prod', () => {
    expect(policyStack('dev', { 'adit:stage': undefined }).stage).toBe('prod');
  });
});
