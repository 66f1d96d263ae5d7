import { expect, test } from 'vitest';
import { nameErrors, namesOf } from '../../infra/names.ts';

test('every name is derived from the prefix and the stack', () => {
  expect(namesOf('adit7', 'dev')).toEqual({
    resourceGroup: 'adit7-dev',
    serviceBusNamespace: 'adit7-dev-bus',
    redis: 'adit7-dev',
    dataAccount: 'adit7devdata',
    hostAccount: 'adit7devhost',
    functionApp: 'adit7-dev',
    functionPlan: 'adit7-dev',
    vault: 'adit7-dev',
    identity: 'adit7-dev-functions',
    workspace: 'adit7-dev-logs',
    insights: 'adit7-dev',
    actionGroup: 'adit7-dev-alerts',
    actionGroupShort: 'adit7-dev',
    dashboard: 'adit7-dev',
    budget: 'adit7-dev-monthly',
  });
});

test('the names of prefix and stack of ordinary length are good', () => {
  for (const [prefix, stack] of [
    ['abc', 'd'],
    ['adit7', 'dev'],
    ['adit7', 'prod'],
    ['adit7', 'pr-1042'],
    ['abcdefghi', 'production'],
    ['adit7', 'Dev'],
  ] as const) {
    expect(nameErrors(namesOf(prefix, stack)), `${prefix} ${stack}`).toEqual([]);
  }
});

test('storage accounts have neither hyphens nor capitals', () => {
  expect(namesOf('adit7', 'Pr-7')).toMatchObject({ dataAccount: 'adit7pr7data', hostAccount: 'adit7pr7host' });
});

test('a short name is cut to 12 characters and does not end in a hyphen', () => {
  expect(namesOf('abcdefghi', 'production').actionGroupShort).toBe('abcdefghi-pr');
  expect(namesOf('abcdefghi', 'x-production').actionGroupShort).toBe('abcdefghi-x');
});

test('a namespace never ends in what Azure reserves', () => {
  for (const stack of ['sb', 'mgmt', 'a-sb'])
    expect(namesOf('adit7', stack).serviceBusNamespace).not.toMatch(/-(sb|mgmt)$/);
});

test('every name that is too long for Azure is named with its limit, all at once', () => {
  expect(nameErrors(namesOf('abcdefghi', 'continuous-integration'))).toEqual([
    'the name of the storage account must be 3 to 24 characters (lower-case letters and digits), got "abcdefghicontinuousintegrationdata" with 34',
    'the name of the storage account must be 3 to 24 characters (lower-case letters and digits), got "abcdefghicontinuousintegrationhost" with 34',
    'the name of the key vault must be 3 to 24 characters (letters, digits and single hyphens, a letter first, a letter or digit last), got "abcdefghi-continuous-integration" with 32',
  ]);
});

test('each kind of name is held to its own limits', () => {
  const good = namesOf('adit7', 'dev');
  const limits = {
    resourceGroup: 90,
    serviceBusNamespace: 50,
    redis: 63,
    dataAccount: 24,
    hostAccount: 24,
    functionApp: 60,
    functionPlan: 60,
    vault: 24,
    identity: 128,
    workspace: 63,
    insights: 260,
    actionGroup: 260,
    actionGroupShort: 12,
    dashboard: 256,
    budget: 63,
  };
  expect(Object.keys(limits)).toEqual(Object.keys(good));
  for (const [key, limit] of Object.entries(limits)) {
    expect(nameErrors({ ...good, [key]: 'a'.repeat(limit) }), key).toEqual([]);
    expect(nameErrors({ ...good, [key]: 'a'.repeat(limit + 1) }), key).toHaveLength(1);
    expect(nameErrors({ ...good, [key]: 'a b' }), key).toHaveLength(1);
    expect(nameErrors({ ...good, [key]: '' }), key).toHaveLength(1);
  }
  expect(nameErrors({ ...good, serviceBusNamespace: 'abcde' })).toHaveLength(1);
  expect(nameErrors({ ...good, vault: '7-dev' })).toHaveLength(1);
  expect(nameErrors({ ...good, redis: 'a--b' })).toHaveLength(1);
});
