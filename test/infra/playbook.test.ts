import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { KEYS } from '../../infra/config-keys.ts';
import { planStack } from '../../infra/plan.ts';
import { FAULTS } from '../../runtime/core/faults.ts';
import { functionsOf } from '../../runtime/core/functions.ts';
import { miners } from '../../runtime/catalog.ts';
import { SETTINGS } from '../../runtime/settings.ts';
import { sampleConfig } from './sample-config.ts';

const text = readFileSync(join(process.cwd(), 'runtime/ops/PLAYBOOK.md'), 'utf8');
const sections = new Map(
  text
    .split(/^#{2,3} (?=[a-z])/m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
);
const plans = [
  planStack(sampleConfig('prod')),
  planStack(sampleConfig('prod', { 'adit:redis': 'managed-b5' })),
  planStack(sampleConfig('dev')),
];

/** Sections of faults that are no alert's, in the order of the table. */
const faultSections = (alertNames: readonly string[]): readonly string[] =>
  [...new Set(Object.values(FAULTS).map(({ playbook }) => playbook))].filter((title) => !alertNames.includes(title));

test.each(plans)('there is a section for every alert and every fault, and no other (plan %#)', ({ alerts }) => {
  const names = alerts.map(({ name }) => name);
  const titles = [...sections.keys()];
  expect(titles.slice(0, names.length)).toEqual(names);
  expect(titles.slice(names.length).toSorted()).toEqual([...faultSections(names)].toSorted());
});

test.each(Object.entries(FAULTS))('the code %s is in its section', (code, { playbook }) => {
  expect(sections.get(playbook)).toContain(`\`${code}\``);
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
    const commands = allOf(/(npm (?:run )?(?:-s )?[\w-]+(?: -- (?:(?:users|brake) \w+|[a-z]\w+))?)/g);
    const plain = ['npm ci', 'npm start', 'npm run preview'];
    const users = ['import', 'list', 'remove'].map((name) => `npm run adit -- users ${name}`);
    const brakes = ['engage', 'release', 'status'].map((name) => `npm run adit -- brake ${name}`);
    const others = ['redrive', 'discard', 'runs', 'resume', 'skip', 'export'].map((name) => `npm run adit -- ${name}`);
    for (const command of commands) expect([...plain, ...users, ...brakes, ...others]).toContain(command);
    expect(commands.length).toBeGreaterThan(1);
  });
});
