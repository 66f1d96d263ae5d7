import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KEYS } from '../../infra/config-keys.ts';
import { planStack } from '../../infra/plan.ts';
import { functionsOf } from '../../runtime/core/functions.ts';
import { miners } from '../../runtime/catalog.ts';
import { SETTINGS } from '../../runtime/settings.ts';
import { sampleConfig } from './sample-config.ts';

const text = readFileSync(join(process.cwd(), 'runtime/ops/PLAYBOOK.md'), 'utf8');
const sections = new Map(
  text
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
);
const plans = [
  planStack(sampleConfig('prod')),
  planStack(sampleConfig('prod', { 'adit:redis': 'managed-b5' })),
  planStack(sampleConfig('dev')),
];

test.each(plans)('there is a section for every alert and an alert for every section (plan %#)', ({ alerts }) => {
  expect([...sections.keys()]).toEqual(alerts.map(({ name }) => name));
});

test.each([...sections])('%s says what it means, where to look, what to do and when it is over', (_, section) => {
  for (const part of ['**Means.**', '**Look at**', '**Do', '**Over**']) expect(section).toContain(part);
});

describe('what a section says is what its alert watches', () => {
  const alerts = plans.flatMap((plan) => plan.alerts);

  test.each(alerts.filter(({ name }) => name !== 'execution-units'))('the threshold of $name ($metric)', (alert) => {
    const figure = alert.threshold === 0 ? 'at least one' : alert.threshold.toLocaleString('en-US');
    expect(sections.get(alert.name)).toContain(figure);
  });

  // The others point to the section that has their commands.
  const own = alerts.filter(({ name }) => !['depth-money', 'depth-bulk', 'depth-ingestion'].includes(name));
  test.each(own.filter(({ scope }) => scope !== 'insights'))('the metric of $name is looked at ($metric)', (alert) => {
    expect(sections.get(alert.name)).toMatch(new RegExp(`--metrics [^-]*\\b${alert.metric}\\b`));
  });

  test('the hour of functions that fires with the committed budget of prod', () => {
    const { threshold } = plans[0]?.alerts.find(({ name }) => name === 'execution-units') ?? { threshold: 0 };
    expect(sections.get('execution-units')).toContain(`${(threshold / 1_024_000).toLocaleString('en-US')} GB-s`);
  });
});

describe('the playbook names only what exists', () => {
  const allOf = (form: RegExp): readonly string[] => [
    ...new Set([...text.matchAll(form)].map((match) => match[1] ?? '')),
  ];

  test('functions', () => {
    const names = functionsOf(miners).map(({ name }) => name);
    expect(allOf(/\b((?:mine|fire)[A-Z]\w*)/g).length).toBeGreaterThan(1);
    expect(names).toEqual(expect.arrayContaining([...allOf(/\b((?:mine|fire)[A-Z]\w*)/g)]));
  });

  test('keys of a stack and settings of the runtime', () => {
    for (const key of allOf(/`(adit:\w+)/g)) expect(Object.keys(KEYS)).toContain(key);
    for (const setting of allOf(/`(\w+(?:Ms|PerSecond|Pages))`/g).filter((name) => name !== 'cacheTtlMs')) {
      expect(Object.keys(SETTINGS)).toContain(setting);
    }
  });

  test('queues and topics', () => {
    const plan = plans[0];
    const names = plan?.entities.map(({ entity }) => entity.name) ?? [];
    for (const name of allOf(/\b([a-z-]+-(?:queue|topic))\b(?! list)/g)) expect(names).toContain(name);
  });

  test('commands of npm', () => {
    const commands = allOf(/(npm (?:run )?(?:-s )?[\w-]+(?: -- (?:users \w+|[a-z]\w+))?)/g);
    for (const command of commands) {
      expect(['npm ci', 'npm run preview', 'npm run adit -- users import']).toContain(command);
    }
    expect(commands.length).toBeGreaterThan(1);
  });
});
