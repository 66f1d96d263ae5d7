import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readStackConfig } from '../../infra/config.ts';
import { readConfigFile } from '../../infra/config-file.ts';
import { KEYS } from '../../infra/config-keys.ts';
import { SETTINGS } from '../../runtime/settings.ts';
import { rawValues, sampleConfig } from './sample-config.ts';

const SOMEBODY = '01234567-89ab-cdef-0123-456789abcdef';

/** The mistakes of a stack with changes. */
function errorsOf(
  changes: Readonly<Record<string, string | undefined>>,
  stage: 'dev' | 'prod' = 'dev',
): readonly string[] {
  const result = readStackConfig(stage, rawValues(stage, changes));
  return result.ok ? [] : result.errors;
}

describe('the committed stacks', () => {
  test.each(['dev', 'prod'] as const)('%s is valid and holds no secret', (stage) => {
    const { values, secrets } = readConfigFile(process.cwd(), stage);
    expect(secrets).toEqual([]);
    expect(readStackConfig(stage, values)).toMatchObject({ ok: true, config: { stack: stage, stage } });
  });

  test('prod has the Standard C3 that was asked for, dev the smallest managed one', () => {
    expect([sampleConfig('prod').redis, sampleConfig('dev').redis]).toEqual(['standard-c3', 'managed-b0']);
  });

  test('one line switches prod to a managed Redis', () => {
    expect(sampleConfig('prod', { 'adit:redis': 'managed-b5' }).redis).toBe('managed-b5');
  });
});

describe('defaults', () => {
  const optional = Object.keys(KEYS).filter((key) => 'fallback' in KEYS[key as keyof typeof KEYS]);
  const without = Object.fromEntries(optional.map((key) => [key, undefined]));

  test('of dev', () => {
    expect(sampleConfig('dev', without)).toMatchObject({
      redis: 'managed-b0',
      instanceMemoryMb: 2048,
      instanceLimit: 40,
      listener: 'none',
      developers: [],
      logDailyCapGb: 0.2,
      logRetentionDays: 30,
    });
  });

  test('of prod', () => {
    expect(sampleConfig('prod', without)).toMatchObject({
      redis: 'standard-c3',
      instanceMemoryMb: 2048,
      instanceLimit: 100,
      listener: 'none',
      developers: [],
      logDailyCapGb: 1,
      logRetentionDays: 30,
    });
  });

  test('of the settings are those of the cloud', () => {
    const { settings } = sampleConfig('dev', { 'adit:settings': '{"userCallsPerSecond":2}' });
    expect(settings.userCallsPerSecond).toBe(2);
    expect(settings.rateLimitWaitMs).toBe(SETTINGS.rateLimitWaitMs.cloud);
  });
});

test('what is written is what is read', () => {
  const config = sampleConfig('dev', {
    'adit:developers': JSON.stringify([SOMEBODY]),
    'adit:alertEmails': '["a.b+c@sub.example.com","d@example.org"]',
    'adit:upstreamUrls': '{"graph":"https://graph.example.com:8443/v1//"}',
    'adit:instanceMemoryMb': '512',
    'adit:instanceLimit': '1000',
    'adit:logDailyCapGb': '0.5',
    'adit:logRetentionDays': '730',
    'adit:monthlyBudgetUsd': '99.5',
    'adit:redis': 'managed-b10',
    'azure-native:subscriptionId': SOMEBODY,
    'other:thing': 'of another owner',
  });
  expect(config).toMatchObject({
    developers: [SOMEBODY],
    alertEmails: ['a.b+c@sub.example.com', 'd@example.org'],
    upstreamUrls: { graph: 'https://graph.example.com:8443/v1' },
    instanceMemoryMb: 512,
    instanceLimit: 1000,
    logDailyCapGb: 0.5,
    logRetentionDays: 730,
    monthlyBudgetUsd: 99.5,
    redis: 'managed-b10',
  });
});

test('an empty configuration names every required key at once, each with rule and example', () => {
  const result = readStackConfig('dev', {});
  expect(result).toEqual({
    ok: false,
    errors: [
      'adit:stage is missing; it must be dev or prod. Example: adit:stage: dev',
      'adit:prefix is missing; it must be 3 to 9 lower-case letters and digits, a letter first. Example: adit:prefix: adit7',
      'azure-native:location is missing; it must be the short name of a region, lower-case letters and digits without spaces. Example: azure-native:location: eastus',
      'adit:owner is missing; it must be text of 1 to 256 characters. Example: adit:owner: data-platform',
      'adit:costCenter is missing; it must be text of 1 to 256 characters. Example: adit:costCenter: cc-1042',
      'adit:alertEmails is missing; it must be a list of 1 to 50 different e-mail addresses. Example: adit:alertEmails: [oncall@example.com]',
      'adit:monthlyBudgetUsd is missing; it must be a number 1..1000000 (USD). Example: adit:monthlyBudgetUsd: 400',
      'adit:upstreamUrls is missing; it must be an object with the https URL of every upstream. Example: adit:upstreamUrls: { graph: https://graph.example.com }',
    ],
  });
});

test('an empty value counts as absent', () => {
  expect(errorsOf({ 'adit:owner': '' })).toEqual([
    'adit:owner is missing; it must be text of 1 to 256 characters. Example: adit:owner: data-platform',
  ]);
});

test.each([
  ['adit:stage', 'test', 'adit:stage must be dev or prod, got "test". Example: adit:stage: dev'],
  [
    'adit:prefix',
    'Adit-7',
    'adit:prefix must be 3 to 9 lower-case letters and digits, a letter first, got "Adit-7". Example: adit:prefix: adit7',
  ],
  [
    'azure-native:location',
    'East US',
    'azure-native:location must be the short name of a region, lower-case letters and digits without spaces, got "East US". Example: azure-native:location: eastus',
  ],
  [
    'adit:owner',
    'x'.repeat(257),
    `adit:owner must be text of 1 to 256 characters, got "${'x'.repeat(257)}". Example: adit:owner: data-platform`,
  ],
  [
    'adit:monthlyBudgetUsd',
    '0',
    'adit:monthlyBudgetUsd must be a number 1..1000000 (USD), got "0". Example: adit:monthlyBudgetUsd: 400',
  ],
  [
    'adit:redis',
    'premium-p1',
    'adit:redis must be one of managed-b0, managed-b1, managed-b3, managed-b5, managed-b10, standard-c3, got "premium-p1". Example: adit:redis: managed-b5',
  ],
  [
    'adit:instanceMemoryMb',
    '1024',
    'adit:instanceMemoryMb must be 512, 2048, 4096 (MB), got "1024". Example: adit:instanceMemoryMb: 2048',
  ],
  [
    'adit:instanceLimit',
    '10.5',
    'adit:instanceLimit must be a whole number 1..1000, got "10.5". Example: adit:instanceLimit: 40',
  ],
  [
    'adit:logDailyCapGb',
    '-1',
    'adit:logDailyCapGb must be a number 0.05..100 (GB), got "-1". Example: adit:logDailyCapGb: 0.2',
  ],
  [
    'adit:logRetentionDays',
    '7',
    'adit:logRetentionDays must be a whole number 30..730 (days), got "7". Example: adit:logRetentionDays: 30',
  ],
  ['adit:listener', 'vm', 'adit:listener must be none, got "vm". Example: adit:listener: none'],
  [
    'adit:listener',
    'app-service-b1',
    'adit:listener must be none, because nothing captures yet and app-service-b1 would be paid for nothing, got "app-service-b1". Example: adit:listener: none',
  ],
  [
    'adit:listener',
    'container-app',
    'adit:listener must be none, because nothing captures yet and container-app would be paid for nothing, got "container-app". Example: adit:listener: none',
  ],
  [
    'adit:developers',
    '["me"]',
    'adit:developers must be a list of at most 20 different object ids, got "me". Example: adit:developers: [00000000-0000-0000-0000-000000000000]',
  ],
  [
    'adit:alertEmails',
    'oncall@example.com',
    'adit:alertEmails must be a list of 1 to 50 different e-mail addresses, got "oncall@example.com". Example: adit:alertEmails: [oncall@example.com]',
  ],
  [
    'adit:alertEmails',
    '[]',
    'adit:alertEmails must be a list of 1 to 50 different e-mail addresses, got []. Example: adit:alertEmails: [oncall@example.com]',
  ],
  [
    'adit:alertEmails',
    '["a@example.com","A@example.com"]',
    'adit:alertEmails must be a list of 1 to 50 different e-mail addresses, got "a@example.com". Example: adit:alertEmails: [oncall@example.com]',
  ],
  [
    'adit:reddis',
    'managed-b5',
    'adit:reddis is not a key of a stack; did you mean adit:redis? Example: adit:redis: managed-b5',
  ],
  [
    'adit:location',
    'eastus',
    'adit:location is not a key of a stack; did you mean azure-native:location? Example: azure-native:location: eastus',
  ],
])('%s: %s is refused with key, rule, value and example', (key, value, message) => {
  expect(errorsOf({ [key]: value })).toEqual([message]);
});

test('the value of an unknown key is not repeated', () => {
  expect(errorsOf({ 'adit:token': 'hunter2' }).join()).not.toContain('hunter2');
});

describe('upstream URLs', () => {
  const example = 'Example: adit:upstreamUrls: { graph: https://graph.example.com }';

  test.each([
    ['{}', `adit:upstreamUrls must name every upstream of the catalog, graph is missing. ${example}`],
    [
      '{"graph":"https://a.example","grahp":"https://b.example"}',
      `adit:upstreamUrls: grahp is not an upstream of the catalog; did you mean graph? ${example}`,
    ],
    [
      '{"graph":"http://a.example"}',
      `adit:upstreamUrls: graph must be an https URL, got "http://a.example". ${example}`,
    ],
    ['{"graph":7}', `adit:upstreamUrls: graph must be an https URL, got "7". ${example}`],
    [
      '{"graph":"https://a.example/?q=1"}',
      `adit:upstreamUrls: graph must be a URL without query and fragment, got "https://a.example/?q=1". ${example}`,
    ],
    [
      '["https://a.example"]',
      `adit:upstreamUrls must be an object with the https URL of every upstream, got "[\\"https://a.example\\"]". ${example}`,
    ],
  ])('%s is refused', (value, message) => {
    expect(errorsOf({ 'adit:upstreamUrls': value })).toEqual([message]);
  });

  test('a password in a URL is refused and not repeated', () => {
    expect(errorsOf({ 'adit:upstreamUrls': '{"graph":"https://u:hunter2@a.example"}' })).toEqual([
      `adit:upstreamUrls: graph must be a URL without credentials, got one with them. ${example}`,
    ]);
  });
});

test('the settings of the runtime are held to their own table, all at once', () => {
  expect(
    errorsOf({
      'adit:settings': '{"sliceMs":1,"userCalsPerSecond":3,"brokerPort":7000,"fireEveryMs":1,"instances":3}',
    }),
  ).toEqual([
    'adit:settings: brokerPort must not be set, because it means something on this machine only, got "7000". Example: npm start -- --set brokerPort=7000',
    'adit:settings: fireEveryMs must not be set, because it means something on this machine only, got "1". Example: npm start -- --set fireEveryMs=1',
    'adit:settings: instances must not be set, because the stack derives it from adit:instanceLimit and the catalog, got "3". Example: adit:instanceLimit: 40',
    'adit:settings: sliceMs must be a whole number 100..240000 (ms), got "1". Example: adit:settings: { sliceMs: 60000 }',
    'adit:settings: there is no setting "userCalsPerSecond"; did you mean userCallsPerSecond? Example: adit:settings: { userCallsPerSecond: 1 }',
  ]);
});

describe('contradictions', () => {
  test('nobody mines into prod from a desk', () => {
    expect(errorsOf({ 'adit:developers': JSON.stringify([SOMEBODY]) }, 'prod')).toEqual([
      'adit:developers must be empty when adit:stage is prod, because nobody mines into prod from a desk, got 1. Example: adit:developers: []',
    ]);
  });

  test.each(['managed-b0', 'managed-b1'])('prod refuses the burstable %s and names the next one', (redis) => {
    expect(errorsOf({ 'adit:redis': redis }, 'prod')).toEqual([
      `adit:redis must not be burstable when adit:stage is prod, because it slows down under a load that lasts, got "${redis}". Example: adit:redis: managed-b5`,
    ]);
  });

  test('a prefix and a stack that are good apart and too long together', () => {
    const result = readStackConfig('continuous', rawValues('dev', { 'adit:prefix': 'abcdefghi' }));
    expect(result.ok).toBe(true);
    const longer = readStackConfig('continuous1x', rawValues('dev', { 'adit:prefix': 'abcdefghi' }));
    const advice = 'Example: adit:prefix: abc, or a shorter name of the stack';
    const rule = 'the name of the storage account must be 3 to 24 characters (lower-case letters and digits)';
    expect(longer).toEqual({
      ok: false,
      errors: [
        `adit:prefix abcdefghi with the stack continuous1x: ${rule}, got "abcdefghicontinuous1xdata" with 25. ${advice}`,
        `adit:prefix abcdefghi with the stack continuous1x: ${rule}, got "abcdefghicontinuous1xhost" with 25. ${advice}`,
      ],
    });
  });

  test.each(['a_b', 'a--b', '-a', 'org/dev', ''])('the stack name %j cannot be part of a name in Azure', (stack) => {
    const result = readStackConfig(stack, rawValues('dev'));
    expect(result.ok ? [] : result.errors).toEqual([
      `the name of a stack must be letters, digits and single hyphens between them, because it is part of every name in Azure, got ${JSON.stringify(stack)}. Example: pulumi stack init dev`,
    ]);
  });
});

test('mistakes of all kinds are told at once', () => {
  const errors = errorsOf(
    {
      'adit:owner': undefined,
      'adit:colour': 'red',
      'adit:redis': 'managed-b0',
      'adit:developers': JSON.stringify([SOMEBODY]),
      'adit:upstreamUrls': '{"graph":"ftp://x"}',
      'adit:settings': '{"lingerMs":-1}',
      'adit:instanceLimit': 'many',
    },
    'prod',
  );
  const keys = ['colour', 'owner', 'redis', 'developers', 'upstreamUrls', 'settings', 'instanceLimit'];
  expect(errors).toHaveLength(keys.length);
  for (const key of keys) expect(errors.join('\n')).toContain(`adit:${key}`);
});

test('the example of every key is valid', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'adit-config-'));
  try {
    const lines = Object.entries(KEYS).map(([key, { example }]) => `  ${key}: ${example}\n`);
    writeFileSync(join(scratch, 'Pulumi.sample.yaml'), `config:\n${lines.join('')}`);
    expect(readStackConfig('sample', readConfigFile(scratch, 'sample').values)).toMatchObject({ ok: true });
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

describe('a configuration file', () => {
  let dir = '';
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'adit-config-file-'));
    const write = (stack: string, text: string): void => writeFileSync(join(dir, `Pulumi.${stack}.yaml`), text);
    write(
      'good',
      'encryptionsalt: v1:abc\nconfig:\n  adit:list: [a, 1]\n  adit:object: { a: { b: true } }\n  adit:n: 0.5\n  adit:t: "007"\n  adit:none:\n',
    );
    write(
      'secret',
      'config:\n  adit:a: { secure: xyz }\n  adit:b: { c: [{ secure: xyz }] }\n  adit:d: { secure: x, more: y }\n',
    );
    write('empty', '# nothing yet\n');
    write('broken', 'config:\n  a: [1\n');
    write('list', '- a\n');
    write('text', 'config: text\n');
    mkdirSync(join(dir, 'Pulumi.folder.yaml'));
    writeFileSync(join(dir, 'Pulumi.yaml'), 'name: adit\n');
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  test('gives text as it is and everything else as JSON', () => {
    expect(readConfigFile(dir, 'good')).toEqual({
      values: {
        'adit:list': '["a",1]',
        'adit:object': '{"a":{"b":true}}',
        'adit:n': '0.5',
        'adit:t': '007',
        'adit:none': '',
      },
      secrets: [],
    });
  });

  test('names encrypted values instead of giving them', () => {
    expect(readConfigFile(dir, 'secret')).toEqual({
      values: { 'adit:d': '{"secure":"x","more":"y"}' },
      secrets: ['adit:a', 'adit:b'],
    });
  });

  test('may be empty', () => {
    expect(readConfigFile(dir, 'empty')).toEqual({ values: {}, secrets: [] });
  });

  test('that does not exist is named, with the stacks that do', () => {
    const known = 'there are: broken, empty, folder, good, list, secret, text';
    expect(() => readConfigFile(dir, 'staging')).toThrow(`Pulumi.staging.yaml does not exist; ${known}`);
    expect(() => readConfigFile(dir, '../good')).toThrow(`Pulumi.../good.yaml does not exist; ${known}`);
    expect(() => readConfigFile(join(dir, 'Pulumi.folder.yaml'), 'dev')).toThrow(
      'Pulumi.dev.yaml does not exist; there is none in this folder',
    );
  });

  test('that cannot be understood is named with the reason', () => {
    expect(() => readConfigFile(dir, 'broken')).toThrow(/^Pulumi\.broken\.yaml is not YAML: /);
    expect(() => readConfigFile(dir, 'folder')).toThrow(/^Pulumi\.folder\.yaml cannot be read: .*EISDIR/);
    for (const stack of ['list', 'text']) {
      expect(() => readConfigFile(dir, stack)).toThrow(`Pulumi.${stack}.yaml must hold a "config:" block`);
    }
  });
});
