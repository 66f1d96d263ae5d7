import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cruise, type ICruiseResult, type IForbiddenRuleType, type IModule } from 'dependency-cruiser';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plantFixture, plantedViolations } from './layer-fixture.ts';
import { RULES } from './layer-rules.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const ROOMS = ['runtime', 'infra', 'policies'];

/** Packages that say who we are, not what we talk to: any adapter may import them beside its SDK. */
const NOT_AN_SDK = new Set(['@azure/identity', '@azure/core-auth', '@azure/abort-controller', 'lru-cache']);

async function cruiseHouse(baseDir: string): Promise<ICruiseResult> {
  const rooms = ROOMS.filter((room) => existsSync(join(baseDir, room)));
  const { output } = await cruise(rooms, {
    baseDir,
    // Type-only imports are imports too. Needs the JavaScript API of TypeScript 6; with another one nothing is read.
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(node_modules/.*/node_modules|dist)/' },
    validate: true,
    ruleSet: { forbidden: [...RULES] },
  });
  if (typeof output === 'string') throw new Error(`dependency-cruiser answered with text: ${output}`);
  return output;
}

function violationsOf(result: ICruiseResult): readonly { rule: string; from: string; to: string }[] {
  return result.summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to }));
}

function ownModules(result: ICruiseResult): readonly IModule[] {
  return result.modules.filter(({ source }) => ROOMS.some((room) => source.startsWith(`${room}/`)));
}

/** `node_modules/@azure/service-bus/dist/...` -> `@azure/service-bus`. */
function packageOf(resolved: string): string | undefined {
  return /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(resolved)?.[1];
}

/** SDKs by adapter, whose files share the first word of their names. */
function sdksByAdapter(modules: readonly IModule[]): ReadonlyMap<string, ReadonlySet<string>> {
  const sdks = new Map<string, Set<string>>();
  for (const { source, dependencies } of modules) {
    const adapter = /^runtime\/adapters\/([a-z0-9]+)/.exec(source)?.[1];
    if (adapter === undefined) continue;
    const found = sdks.get(adapter) ?? new Set();
    for (const { resolved } of dependencies) {
      const name = packageOf(resolved);
      if (name !== undefined && !NOT_AN_SDK.has(name)) found.add(name);
    }
    sdks.set(adapter, found);
  }
  return sdks;
}

describe('the layer rules', () => {
  let fixture = '';
  let found: readonly string[] = [];
  beforeAll(async () => {
    fixture = realpathSync(mkdtempSync(join(tmpdir(), 'adit-layers-')));
    plantFixture(fixture);
    found = violationsOf(await cruiseHouse(fixture)).map(({ rule, from }) => `${rule}: ${from}`);
  });
  afterAll(() => rmSync(fixture, { recursive: true, force: true }));

  test('find every planted violation and nothing else', () => {
    expect(found.toSorted()).toEqual(plantedViolations());
  });

  test.each(RULES.map(({ name }: IForbiddenRuleType) => name))('%s can fire', (name) => {
    expect(found.filter((line) => line.startsWith(`${name}: `))).not.toEqual([]);
  });
});

describe('the house', () => {
  let house: ICruiseResult;
  beforeAll(async () => {
    house = await cruiseHouse(ROOT);
  });

  test('is read at all', () => {
    // With a TypeScript that dependency-cruiser cannot load, it reads no module and reports success.
    expect(ownModules(house).length).toBeGreaterThan(20);
    expect(ownModules(house).some(({ source }) => source === 'runtime/ports.ts')).toBe(true);
    expect(ownModules(house).some(({ source }) => source === 'runtime/host/launch.mjs')).toBe(true);
  });

  test.each(RULES.map(({ name, comment }: IForbiddenRuleType) => ({ name, comment })))(
    'keeps $name',
    ({ name, comment }) => {
      const broken = violationsOf(house).filter(({ rule }) => rule === name);
      expect(
        broken.map(({ from, to }) => (from === to ? from : `${from} -> ${to}`)),
        comment,
      ).toEqual([]);
    },
  );

  test('gives each adapter one SDK', () => {
    const crowded = [...sdksByAdapter(ownModules(house))].filter(([, sdks]) => sdks.size > 1);
    expect(crowded.map(([adapter, sdks]) => `${adapter}: ${[...sdks].join(', ')}`)).toEqual([]);
  });

  test('would see a second SDK in an adapter', () => {
    const module = (source: string, name: string): IModule =>
      ({ source, dependencies: [{ resolved: `node_modules/${name}/index.js` }] }) as unknown as IModule;
    const sdks = sdksByAdapter([
      module('runtime/adapters/redis.ts', 'ioredis'),
      module('runtime/adapters/redis-lock.ts', 'undici'),
    ]);
    expect([...(sdks.get('redis') ?? [])]).toEqual(['ioredis', 'undici']);
  });
});
