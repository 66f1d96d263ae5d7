import { expect, describe, test } from 'vitest';
import { readStackConfig } from '../../infra/config.ts';
import { miners } from '../../runtime/catalog.ts';
import { WORKLOAD, type WorkloadField } from '../../runtime/core/workload-fields.ts';
import {
  assumptionsOf,
  DEFAULT_WORKLOAD,
  readWorkload,
  variantOf,
  workloadOption,
} from '../../runtime/core/workload.ts';
import { SETTINGS } from '../../runtime/settings.ts';
import { rawValues, sampleConfig } from '../infra/sample-config.ts';

const FIELDS = Object.entries<WorkloadField>(WORKLOAD);

function errorsOf(given: Readonly<Record<string, string>>, place: 'option' | 'key' = 'option'): readonly string[] {
  const read = readWorkload(given, place);
  return read.ok ? [] : read.errors;
}

describe('every field', () => {
  test.each(FIELDS)('%s has a unit, a range that holds its values, and a source', (_name, field) => {
    const values = [
      field.likely,
      ...(field.cheap === undefined ? [] : [field.cheap]),
      ...(field.dear === undefined ? [] : [field.dear]),
    ];
    for (const value of values) expect(value >= field.min && value <= field.max).toBe(true);
    expect([field.unit, field.docs, field.source].every((text) => text.length > 0)).toBe(true);
  });

  test('names its option in kebab-case', () => {
    expect([workloadOption('users'), workloadOption('callsPerDay')]).toEqual(['--users', '--calls-per-day']);
  });
});

describe('what the fields take from the code', () => {
  const hours = miners.map(({ cacheTtlMs }) => cacheTtlMs / 3_600_000);
  const everyHours = 24 / WORKLOAD.firingsPerDay.likely;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

  test('data types, topics and firings are those of the catalog', () => {
    expect(WORKLOAD.dataTypes.likely).toBe(miners.length);
    expect(WORKLOAD.dataTopics.likely).toBe(miners.filter(({ dataTopic }) => dataTopic === true).length);
    expect(miners.every(({ schedule }) => / \*\/6 /.test(schedule))).toBe(true);
  });

  test('firings within a TTL: the mean over the catalog, each at least one', () => {
    expect(mean(hours.map((ttl) => Math.max(1, Math.ceil(ttl / everyHours))))).toBeCloseTo(
      WORKLOAD.cachedFirings.likely,
    );
  });

  test('what the cache can answer: all firings within a TTL but the one at its end', () => {
    expect(mean(hours.map((ttl) => Math.max(0, 1 - everyHours / ttl)))).toBeCloseTo(WORKLOAD.cachedSeenRatio.likely);
    // At best a firing that comes as the TTL ends still finds it.
    expect(mean(hours.map((ttl) => Math.floor(ttl / everyHours) / (Math.floor(ttl / everyHours) + 1)))).toBeCloseTo(
      WORKLOAD.cachedSeenRatio.cheap,
    );
  });

  test('pace, slices and sizes are the settings of the cloud', () => {
    expect(DEFAULT_WORKLOAD).toMatchObject({
      userCallsPerSecond: SETTINGS.userCallsPerSecond.cloud,
      callsInFlight: SETTINGS.upstreamConcurrency.cloud,
      slicePages: SETTINGS.slicePages.cloud,
      sliceSeconds: SETTINGS.sliceMs.cloud / 1000,
      lingerSeconds: SETTINGS.lingerMs.cloud / 1000,
      ingestsInFlight: SETTINGS.ingestConcurrency.cloud,
      sealedMaxBytes: SETTINGS.sealedMaxBytes.cloud,
    });
    expect(WORKLOAD.slicesInFlight.cheap).toBe(SETTINGS.miningConcurrency.cloud);
  });
});

describe('reading', () => {
  test('keeps the default of what is not given', () => {
    expect(readWorkload({ users: '7' }, 'option')).toEqual({ ok: true, workload: { ...DEFAULT_WORKLOAD, users: 7 } });
  });

  test('names option, rule, value and example, all at once', () => {
    expect(errorsOf({ users: '0', callsPerDay: 'many', newRatio: '1.5', userz: '3' })).toEqual([
      '--users must be a whole number 1..10000000 (users), got "0". Example: --users 500',
      '--calls-per-day must be a number 0..1000000000000 (calls a day), got "many". Example: --calls-per-day 2000000',
      '--new-ratio must be a number 0..1 (share 0..1), got "1.5". Example: --new-ratio 0.1',
      '--userz is not a field of a workload; did you mean --users? Example: --users 500',
    ]);
  });

  test.each(['', ' ', '1.5', '-1', '1e99', 'NaN', 'Infinity'])('refuses %j users', (text) => {
    expect(errorsOf({ users: text })).toHaveLength(1);
  });

  test('refuses more topics than data types', () => {
    expect(errorsOf({ dataTypes: '1', dataTopics: '2' })).toEqual([
      '--data-topics must be at most --data-types (1), because a data type has one topic, got "2". Example: --data-topics 1',
    ]);
  });
});

describe('adit:workload of a stack', () => {
  test('is read with the same fields, and defaults where it says nothing', () => {
    const { workload } = sampleConfig('dev', { 'adit:workload': '{"users":7,"newRatio":0.5}' });
    expect(workload).toEqual({ ...DEFAULT_WORKLOAD, users: 7, newRatio: 0.5 });
    expect(sampleConfig('dev', { 'adit:workload': undefined }).workload).toEqual(DEFAULT_WORKLOAD);
  });

  test("prod's is the article's", () => {
    expect(sampleConfig('prod').workload).toMatchObject({
      users: 500,
      callsPerDay: 2_000_000,
      itemsPerPage: 100,
      newRatio: 0.1,
    });
  });

  test('is refused with key, rule, value and example', () => {
    const values = rawValues('dev', { 'adit:workload': '{"users":"many","calls":1}' });
    expect(readStackConfig('dev', values)).toEqual({
      ok: false,
      errors: [
        'adit:workload: users must be a whole number 1..10000000 (users), got "many". Example: adit:workload: { users: 500 }',
        'adit:workload: calls is not a field of a workload; did you mean adit:workload: callsPerDay? Example: adit:workload: { callsPerDay: 2000000 }',
      ],
    });
    expect(readStackConfig('dev', rawValues('dev', { 'adit:workload': '[1]' }))).toMatchObject({ ok: false });
  });
});

describe('a range', () => {
  test('moves what is assumed and leaves what was given', () => {
    const given = { ...DEFAULT_WORKLOAD, slicesInFlight: 20 };
    expect(variantOf(given, 'dear')).toMatchObject({ slicesInFlight: 20, secondsPerCall: 0.5, users: 500 });
    expect(variantOf(given, 'cheap')).toMatchObject({ slicesInFlight: 20, secondsPerCall: 0.1 });
    expect(assumptionsOf(given).some((text) => text.startsWith('slicesInFlight'))).toBe(false);
    expect(assumptionsOf(DEFAULT_WORKLOAD).some((text) => text.startsWith('slicesInFlight 24 (32 to 10) slices'))).toBe(
      true,
    );
  });
});
