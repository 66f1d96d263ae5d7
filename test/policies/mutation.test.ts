import { beforeAll, describe, expect, it } from 'vitest';
import { look, UNKNOWN } from '../../policies/inputs.ts';
import type { Verdict } from '../../policies/judge.ts';
import type { Resource } from '../../policies/rule.ts';
import { RULES } from '../../policies/rules.ts';
import type { Stack, Stage } from '../../policies/stack.ts';
import { runStackProgram } from '../infra/stack-program.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';
import { changed, newlySaid, policyResources, policyStack, sampleResource, verdictsOn } from './policy-stack.ts';

const RUN_LIMIT_MS = 120_000;

/** So wide that no single flip passes it: what a budget refuses has tests of its own. */
const WIDE_BUDGET = { 'adit:monthlyBudgetUsd': '20000' };

/** What a stack may do without: the picture, and the maker of a secret that must be there by itself. */
const UNGUARDED: readonly string[] = ['applicationinsights:Workbook', 'pulumi-nodejs:dynamic/adit:SealingKey'];

function labelOf({ type, name, path, to }: Mutation): string {
  const value = to === undefined ? 'absent' : JSON.stringify(to);
  return `${type} ${name ?? ''} ${path} ${value}`.replaceAll('  ', ' ');
}

describe.each<Stage>(['dev', 'prod'])('the program of %s', (stage) => {
  let resources: readonly Resource[] = [];
  let stack: Stack;
  let before: readonly Verdict[] = [];
  beforeAll(async () => {
    resources = policyResources(await runStackProgram(stage, { changes: WIDE_BUDGET }));
    stack = policyStack(stage, WIDE_BUDGET);
    before = verdictsOn(resources, stack);
  }, RUN_LIMIT_MS);

  const mutations = MUTATIONS.filter((mutation) => (mutation.stage ?? stage) === stage);

  function targetOf({ type, name }: Mutation): Resource {
    const found = resources.find((one) => one.type === `azure-native:${type}` && (name ?? one.name) === one.name);
    if (found === undefined) throw new Error(`the program registers no ${type} ${name ?? ''}`);
    return found;
  }

  function withOther(target: Resource, other: Resource): readonly Resource[] {
    return resources.map((resource) => (resource === target ? other : resource));
  }

  it('is refused by nothing', () => {
    expect(before.filter(({ level }) => level === 'mandatory')).toEqual([]);
  });

  it.each(mutations.map((mutation) => [labelOf(mutation), mutation] as const))('%s', (_, mutation) => {
    const target = targetOf(mutation);
    const after = verdictsOn(withOther(target, changed(target, mutation.path, mutation.to)), stack);
    expect(newlySaid(before, after)).toEqual(mutation.fires);
  });

  it.each(mutations.map((mutation) => [labelOf(mutation), mutation] as const))(
    'is not refused where this is not known yet: %s',
    (_, mutation) => {
      const target = targetOf(mutation);
      const after = verdictsOn(withOther(target, changed(target, mutation.path, UNKNOWN)), stack);
      const refusals = newlySaid(before, after).filter((rule) => !rule.endsWith('(advisory)'));
      // What is wrong by being there at all is wrong with any value.
      const isStranger = look(target.inputs, mutation.path) === undefined;
      expect(refusals.filter((rule) => !isStranger || !mutation.fires.includes(rule))).toEqual([]);
    },
  );

  it('says of a resource that nobody has priced that it is not free', () => {
    const after = verdictsOn([...resources, sampleResource('compute:VirtualMachine', {})], stack);
    expect(newlySaid(before, after)).toEqual(['everything-is-priced']);
  });

  it.each([
    ['servicebus:Namespace', ['no-idle-resource', 'one-of-each']],
    ['web:AppServicePlan', ['no-idle-resource']],
    ['keyvault:Vault', ['one-of-each']],
  ])('says of a second %s that it is one too many', (type, fires) => {
    const target = targetOf({ type, fires: [], path: '', to: undefined });
    const name = 'another';
    const inputs = changed(target, 'namespaceName', 'another').inputs;
    const second: Resource = { ...target, name, urn: `${target.urn}2`, inputs: { ...inputs, name } };
    const said = newlySaid(before, verdictsOn([...resources, second], stack));
    expect(said).toEqual(fires);
  });

  it('says what is missing of everything that it registers, or is no worse without it', () => {
    const unguarded = resources.filter((gone) => {
      const after = verdictsOn(
        resources.filter((resource) => resource !== gone),
        stack,
      );
      return newlySaid(before, after).length === 0;
    });
    const types = new Set(unguarded.map(({ type }) => type.replace('azure-native:', '')));
    expect([...types].filter((type) => !type.startsWith('adit:infra:')).toSorted()).toEqual(UNGUARDED);
  });

  it('says of everything that holds data that it is not protected, in prod', () => {
    const bare = resources.map((resource) => ({ ...resource, isProtected: false }));
    const said = verdictsOn(bare, stack).filter(({ policy }) => policy === 'data-is-protected');
    const kept = resources.filter(({ isProtected }) => isProtected).map(({ urn }) => urn);
    expect(said.map(({ urn }) => urn)).toEqual(stage === 'prod' ? kept : []);
    expect(kept.length > 0).toBe(stage === 'prod');
  });
});

it('flips something for every rule', () => {
  const elsewhere = ['stack-within-budget', 'everything-is-priced', 'prices-are-reviewed', 'exceptions-count'];
  const structural = ['no-idle-resource', 'one-of-each', 'data-is-protected'];
  const flipped = new Set(MUTATIONS.flatMap(({ fires }) => fires.map((rule) => rule.replace(' (advisory)', ''))));
  const missing = RULES.map(({ name }) => name).filter((name) => !flipped.has(name));
  expect(missing.toSorted()).toEqual([...elsewhere, ...structural].filter((name) => !flipped.has(name)).toSorted());
});
