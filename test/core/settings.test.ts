import { describe, expect, it } from 'vitest';
import { readSettings, type SettingName, SETTINGS, type SettingSpec, variableOf } from '../../runtime/settings.ts';

const specs = Object.entries(SETTINGS) as [SettingName, SettingSpec][];
const assign = (name: string, text: string) => ({ name, text, origin: '--set' });

function errorsOf(...assignments: ReturnType<typeof assign>[]): readonly string[] {
  const read = readSettings('home', assignments);
  return read.ok ? [] : read.errors;
}

describe('the table of settings', () => {
  it.each(specs)('%s has defaults within its own range, and says what it is', (_, spec) => {
    expect(spec.min).toBeLessThanOrEqual(spec.max);
    for (const value of [spec.home, spec.cloud]) {
      expect(value).toBeGreaterThanOrEqual(spec.min);
      expect(value).toBeLessThanOrEqual(spec.max);
      if (spec.unit !== 'calls/s') expect(Number.isInteger(value)).toBe(true);
    }
    expect(spec.docs).toMatch(/^[A-Z].*\.$/);
  });

  it('reads its own defaults when a person writes them', () => {
    for (const stage of ['home', 'cloud'] as const) {
      const read = readSettings(
        stage,
        specs.map(([name, spec]) => assign(name, String(spec[stage]))),
      );
      expect(read).toEqual({
        ok: true,
        settings: Object.fromEntries(specs.map(([name, spec]) => [name, spec[stage]])),
      });
    }
  });

  it('has a variable of its own for every setting', () => {
    expect(variableOf('userCallsPerSecond')).toBe('ADIT_USER_CALLS_PER_SECOND');
    expect(new Set(specs.map(([name]) => variableOf(name))).size).toBe(specs.length);
  });

  it('sends nothing that the bus refuses: a sealed envelope and its properties stay below 256 KB', () => {
    expect(SETTINGS.sealedMaxBytes.max + 4096).toBeLessThanOrEqual(256 * 1024);
  });
});

describe('readSettings', () => {
  it('takes the ends of a range and refuses what lies beyond', () => {
    for (const [name, spec] of specs) {
      expect(errorsOf(assign(name, String(spec.min)), assign(name, String(spec.max))), name).toEqual([]);
      expect(errorsOf(assign(name, String(spec.min - 1)), assign(name, String(spec.max + 1))), name).toHaveLength(2);
    }
  });

  it('lets the last assignment of a name win', () => {
    const read = readSettings('home', [assign('slicePages', '3'), assign('slicePages', '4')]);
    expect(read.ok && read.settings.slicePages).toBe(4);
  });

  it.each(['', ' ', 'x', 'NaN', 'Infinity', '-Infinity', '1.5', '1,5', '5 ms', 'null', '1_000'])(
    'refuses %j for a whole number, with name, rule, value and an example',
    (text) => {
      expect(errorsOf(assign('slicePages', text))).toEqual([
        `--set: slicePages must be a whole number 1..10000 (count), got ${JSON.stringify(text)}. Example: --set slicePages=50`,
      ]);
    },
  );

  it('takes a fraction for a rate', () => {
    const read = readSettings('home', [assign('userCallsPerSecond', '0.5')]);
    expect(read.ok && read.settings.userCallsPerSecond).toBe(0.5);
  });

  it('tells every mistake at once', () => {
    const errors = errorsOf(
      assign('slicePages', '0'),
      assign('lingerMs', '20'),
      assign('slicePagse', '5'),
      assign('sliceMs', 'x'),
    );
    expect(errors.map((error) => /slicePages must|did you mean slicePages|sliceMs must/.test(error))).toEqual([
      true,
      true,
      true,
    ]);
  });

  it.each([
    ['slice-pages', 'slicePages'],
    ['SLICEPAGES', 'slicePages'],
    ['linger', 'lingerMs'],
    ['userCallPerSecond', 'userCallsPerSecond'],
    ['upstreamConcurency', 'upstreamConcurrency'],
    ['pageMaxByte', 'pageMaxBytes'],
  ])('names the nearest setting for %s', (name, near) => {
    expect(errorsOf(assign(name, '1'))[0]).toContain(`did you mean ${near}?`);
  });

  it.each(['', 'x', '__proto__', 'constructor', 'toString', '😀'])('refuses the name %j without harm', (name) => {
    expect(errorsOf(assign(name, '1'))).toHaveLength(1);
  });
});
